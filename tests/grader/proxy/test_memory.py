"""What a package uses is told apart from what its interpreter needs anyway."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from grader.box.workers import Workshop
from grader.limits import MIB, Limits
from grader.proxy.submission import Submission

LIMITS = Limits(question_s=20, start_s=60)


@pytest.mark.parametrize("took_mib", [0, 64])
def test_own_memory_leaves_the_empty_worker_out(
    walls: str, laboratory: Callable[..., Workshop], took_mib: int
) -> None:
    submission = Submission(laboratory(walls, LIMITS), "lab", weighed=True)
    try:
        submission.do(f"x = bytearray({took_mib} << 20)")
        own, peak = submission.own_memory(), submission.peak_memory()
        assert took_mib * MIB <= own < (took_mib + 16) * MIB
        assert own < peak
    finally:
        submission.close()


def test_one_that_was_not_weighed_has_it_all(
    walls: str, laboratory: Callable[..., Workshop]
) -> None:
    submission = Submission(laboratory(walls, LIMITS), "lab")
    try:
        submission.do("pass")
        assert submission.own_memory() == submission.peak_memory() > 0
    finally:
        submission.close()
