"""What several tests of the aggregator's suite need: probes in loops, frames, patience."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from grader.judging.compare import require
from grader.proxy.loops import Loop
from grader.proxy.submission import Submission

__all__ = [
    "BASE",
    "PROBE",
    "SCENARIOS",
    "in_real_time",
    "in_virtual_time",
    "require_report",
]

PROBE = Path(__file__).with_name("_channels_probe.py")
SCENARIOS = {
    name: PROBE.with_name(f"_channels_probe_{part}.py")
    for part, names in (
        ("order", "goes_through overtaking history churn names cycles discarded drained"),
        ("flow", "pressure tried"),
        ("shown", "failing lagging"),
        ("stats", "looked_at from_a_thread between_lines within_a_read"),
        ("ending", "shut_down never_stops hung still_waiting before_it_runs"),
        ("demo", "demo"),
    )
    for name in names.split()
}
ANSWER_S = 20.0  # of real time, for one scenario

# What other tests stand on: when this fails, they would only say the same again.
BASE = "test_a_frame_goes_through"


def in_virtual_time(
    submission: Submission, backend: str, rng: random.Random, scenario: str, *arguments: Any
) -> Any:
    """What a scenario of the probes tells, in an order of tasks that is drawn."""
    with submission.loop(backend, clock="virtual", seed=rng.randrange(10_000)) as loop:
        return _told(submission, loop, scenario, arguments)


def in_real_time(submission: Submission, backend: str, scenario: str, *arguments: Any) -> Any:
    with submission.loop(backend) as loop:
        return _told(submission, loop, scenario, arguments)


def _told(submission: Submission, loop: Loop, scenario: str, arguments: tuple[Any, ...]) -> Any:
    kit = submission.probe(PROBE)
    function = getattr(submission.probe(SCENARIOS[scenario]), scenario)
    return loop.start(function, kit, submission.module(), *arguments).result(ANSWER_S)


def require_report(fields: list[Any], what: str, **wanted: Any) -> None:
    """Fields of an `AggregatorReport` must be these, of exactly these types."""
    require(bool(fields), f"{what}: run() has not returned")
    names = ("routed", "processed", "emergency", "rejected", "discarded", "clean")
    found = dict(zip(names, fields, strict=True))
    for name, value in wanted.items():
        require(
            type(found[name]) is type(value) and found[name] == value,
            f"{what}: expected {name} = {value!r} in the report, got {found[name]!r}",
        )
