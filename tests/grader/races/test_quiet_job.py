"""Jobs beside each other: many are judged at once, a race has the machine to itself."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from grader.races.quiet import MachineBusy, Quiet
from meridian.academy.curriculum import Criterion

PATIENCE_S = 120.0

SUITE = """
@pytest.mark.criterion("1", points=50)
def test_work(submission):
    '''Works.'''
    expect(submission.add(1, 2), 3)

@pytest.mark.criterion("2", points=50)
def test_race(submission, race):
    '''Races.'''
    side = lambda: timed(lambda: submission.add(1, 2))
    race.compare("Adding", side, side, peer_name="itself", unit="call", rounds=2)
"""


@pytest.fixture
def racing(toy: Any) -> dict[str, Any]:
    criteria = (
        Criterion(id="1", title="Work", points=50),
        Criterion(id="2", title="Race", points=50, benchmark=True),
    )
    only = msgspec.structs.replace(toy.capstone, criteria=criteria)
    return {"suite": toy.suite_of(SUITE), "definition": only, "box": "none", "trusted": True}


class Elsewhere:
    """Another job's block, held by another thread until told to leave."""

    def __init__(self, kind: str) -> None:
        self._entered, self._leave = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._hold, args=(kind,))
        self._thread.start()
        assert self._entered.wait(PATIENCE_S)

    def _hold(self, kind: str) -> None:
        with getattr(Quiet(), kind)():
            self._entered.set()
            self._leave.wait(PATIENCE_S)

    def leave(self) -> None:
        self._leave.set()
        self._thread.join(PATIENCE_S)


def test_a_race_waits_for_other_jobs_and_says_so(toy: Any, racing: dict[str, Any]) -> None:
    other = Elsewhere("working")
    events: list[dict[str, Any]] = []

    def on_event(event: dict[str, Any]) -> None:
        events.append(event)
        if event["message"] == "waiting for other jobs":
            other.leave()

    report = toy.judge(**racing, on_event=on_event)
    assert toy.outcomes(report) == {"1": "passed", "2": "passed"}
    (waited,) = [event for event in events if event["message"] == "waiting for other jobs"]
    assert waited["stage"] == "benchmark"
    assert report.benchmarks


def test_a_job_waits_for_a_race(toy: Any, racing: dict[str, Any]) -> None:
    race = Elsewhere("alone")
    seen: list[str] = []

    def on_event(event: dict[str, Any]) -> None:
        seen.append(event["message"])
        if event["message"] == "waiting for other jobs":
            race.leave()

    report = toy.judge(**racing, mode="check", on_event=on_event)
    assert "waiting for other jobs" in seen
    assert toy.outcomes(report)["1"] == "passed"


def test_a_check_goes_on_beside_other_work(toy: Any, racing: dict[str, Any]) -> None:
    other = Elsewhere("working")
    report = toy.judge(**racing, mode="check")
    other.leave()
    assert toy.outcomes(report)["1"] == "passed"


def test_waiting_is_not_taken_from_the_jobs_time(
    toy: Any, racing: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine was busy for longer than the job may take."""
    other = Elsewhere("working")
    limits = msgspec.structs.replace(toy.limits, job_s=30)
    real, skipped = time.monotonic, [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: real() + skipped[0])

    def on_event(event: dict[str, Any]) -> None:
        if event["message"] == "waiting for other jobs":
            skipped[0] += 1_000
            other.leave()

    report = toy.judge(**racing, limits=limits, on_event=on_event)
    assert toy.outcomes(report) == {"1": "passed", "2": "passed"}
    assert report.duration_s > 1_000


def test_a_machine_that_stays_busy_is_the_graders_trouble(
    toy: Any, racing: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Elsewhere("working")
    real = Quiet.__init__

    def impatient(self: Quiet, folder: Path | None = None, **settings: Any) -> None:
        real(self, folder, **{**settings, "wait_s": 0.05})

    monkeypatch.setattr(Quiet, "__init__", impatient)
    with pytest.raises(MachineBusy, match="kept the machine busy"):
        toy.judge(**racing)
    other.leave()
    assert not (toy.out / "report.json").exists()


def test_nothing_to_race_waits_for_nobody(toy: Any, racing: dict[str, Any]) -> None:
    """A submission that cannot be imported has no race to run."""
    other = Elsewhere("working")
    report = toy.judge("raise KeyError\n", **racing)
    assert not report.benchmarks
    other.leave()
