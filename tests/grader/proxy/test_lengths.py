"""A length that the submission claims costs the judge no memory, and is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from grader.errors import WrongType
from grader.judging.verdict import explain
from grader.proxy.submission import Submission

SOURCE = """
class Claims:
    def __init__(self, length): self.length = length
    def __len__(self): return self.length
    def __iter__(self): return iter([1, 2])
def call(function, **keywords): return function(5, **keywords)
"""


@pytest.mark.parametrize("length", [100_000_001, 2**40, 2**63 - 1])
def test_a_huge_length_is_told(lab_of: Callable[..., Submission], length: int) -> None:
    with pytest.raises(WrongType) as told:
        len(lab_of(SOURCE).Claims(length))
    expected = f"Expected a length of at most 100,000,000 from Claims, got {length}"
    assert explain(told.value)[:2] == ("failed", expected)


@pytest.mark.parametrize("length", [100_000_000, 2**40, 2**63 - 1])
@pytest.mark.parametrize("ask", [list, tuple, sorted])
def test_no_room_is_set_aside_for_what_is_claimed(
    lab_of: Callable[..., Submission], ask: Callable[[Any], Any], length: int
) -> None:
    assert list(ask(lab_of(SOURCE).Claims(length))) == [1, 2]


def test_a_default_of_a_callback_is_the_submissions_to_choose(
    lab_of: Callable[..., Submission],
) -> None:
    """What docs/grader/pipe.md warns of, and what it advises."""
    seen: list[int] = []

    def careless(value: int, seen: list[int] = seen) -> None:
        seen.append(value)

    def careful(value: int) -> None:
        seen.append(value)

    lab = lab_of(SOURCE)
    lab.call(careless, seen=[])
    assert seen == []
    with pytest.raises(TypeError, match="unexpected keyword"):
        lab.call(careful, seen=[])
    lab.call(careful)
    assert seen == [5]
