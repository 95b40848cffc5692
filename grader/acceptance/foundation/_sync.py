"""What several tests of the command queue's suite need: probes, draws, the order of dispatch."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from grader.judging.compare import CriterionFailed, require
from grader.proxy.submission import Submission

Row = tuple[int, int]  # priority, issued_at

KIT = Path(__file__).with_name("_sync_probe.py")
SCENARIOS = {
    name: KIT.with_name(f"_sync_probe_{part}.py")
    for part, names in (
        ("order", "order batches history Idle wake_latencies read_while_held"),
        ("admission", "Crowd Sleepers drained pops pop_seconds"),
        ("schedules", "explored stress"),
        ("failures", "failed_order failed_waking compared_while_held"),
        ("work", "demo Work"),
    )
    for name in names.split()
}

# What other tests stand on: when this fails, they would only say the same again.
BASE = "test_a_command_goes_through"
PRIORITIES = (0, 10, 50, 100, 199, 200, 254, 255)


class Probes:
    """What the probes tell of one submission: ``probes.order(rows)`` is `order` with the kit."""

    def __init__(self, submission: Submission) -> None:
        self._submission = submission
        self._kit_module = submission.probe(KIT)
        self.kit = self._kit_module.Kit(submission.module())
        self.size = self._kit_module.size

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in SCENARIOS:
            raise AttributeError(name)
        function = getattr(self._submission.probe(SCENARIOS[name]), name)
        return functools.partial(function, self.kit)


def drawn(rng: random.Random, count: int) -> list[Row]:
    """Commands whose times and priorities meet often."""
    return [(rng.choice(PRIORITIES), rng.randrange(-count // 8, count // 8)) for _ in range(count)]


def in_order(rows: Sequence[Row]) -> list[int]:
    """The numbers of `rows` in the order of dispatch: the rules in one line."""
    return sorted(range(len(rows)), key=lambda n: (-rows[n][0], rows[n][1], n))


def require_order(rows: Sequence[Row], got: Sequence[Any], call: str) -> None:
    """The numbers `got` must be those of the order of dispatch; tells the first that is not."""
    want = in_order(rows)
    require(len(got) == len(want), f"{call}: {len(got)} commands came out of {len(want)}")
    for place, (is_, due) in enumerate(zip(got, want, strict=True)):
        if is_ == due:
            continue
        if not (type(is_) is int and 0 <= is_ < len(rows)):
            raise CriterionFailed(f"{call}: pop number {place} gave nothing that was pushed")
        raise CriterionFailed(
            f"{call}: dispatch number {place} must be the command with {_told(rows, due)}; it is "
            f"the one with {_told(rows, is_)}",
            f"push number {min(is_, due)}: {_told(rows, min(is_, due))}\n"
            f"push number {max(is_, due)}: {_told(rows, max(is_, due))}",
        )


def _told(rows: Sequence[Row], number: int) -> str:
    priority, issued_at = rows[number]
    return f"priority {priority}, issued_at {issued_at}, pushed as number {number}"
