"""Criterion 3: pressure."""

from __future__ import annotations

import random

import pytest

from grader.acceptance.foundation._channels import BASE, in_virtual_time, require_report
from grader.judging.compare import require
from grader.proxy.loops import BACKENDS
from grader.proxy.submission import Submission

PRESSED, TAKES_S = 200, 0.01
BOUND = 8 * 32 + 256 + 64 + 64
LITTLE = {
    "feed_capacity": 4,
    "routine_capacity": 4,
    "processor_capacity": 2,
    "emergency_capacity": 3,
}


@pytest.mark.criterion("3", points=3, after=BASE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_slow_processor_slows_the_sources_down(
    submission: Submission, backend: str, rng: random.Random
) -> None:
    """Eight sources outrun the processor: they wait, memory is bounded, no frame is lost."""
    told = in_virtual_time(submission, backend, rng, "pressure", PRESSED, TAKES_S)
    count = 8 * PRESSED + 1
    require(told["processed"] == count, f"{count} frames were sent, {told['processed']} processed")
    require(
        told["most"] <= BOUND,
        f"{told['most']} frames were accepted and not processed at one time: the capacities allow "
        f"{BOUND}",
    )
    require(
        told["waited"] >= 4,
        f"8 sources sent {PRESSED} frames each to a processor that takes {TAKES_S:g} s for one; "
        f"only {told['waited']} of them had to wait for it. {told['most']} frames were held",
    )


@pytest.mark.criterion("3", points=2, after=BASE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_pressure_holds_up_no_emergency(
    submission: Submission, backend: str, rng: random.Random
) -> None:
    """While every routine lane is full, an emergency is accepted and processed at once."""
    told = in_virtual_time(submission, backend, rng, "pressure", PRESSED, TAKES_S)
    slack_s = 1e-6
    require(
        told["sent_s"] <= 2 * TAKES_S + slack_s,
        f"While routine frames fill all lanes, send() of an emergency took {told['sent_s']:g} s: "
        f"more than 2 processing times of {TAKES_S:g} s",
    )
    require(
        told["processed_s"] <= 2 * TAKES_S + slack_s,
        f"An emergency sent while all lanes are full was processed {told['processed_s']:g} s "
        f"later: more than 2 processing times of {TAKES_S:g} s",
    )


@pytest.mark.criterion("3", points=2, after=BASE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_try_send_never_waits(submission: Submission, backend: str, rng: random.Random) -> None:
    """`try_send` accepts what there is room for, and hands everything else back."""
    most = sum(LITTLE.values())
    told = in_virtual_time(submission, backend, rng, "tried", LITTLE, most)
    routine, urgent = told["routine"], told["urgent"]
    what = "try_send() before a held processor"
    require(routine > 0, f"{what}: it accepted no routine frame")
    require(urgent > 0, f"{what}: when routine frames fill all lanes, it accepts no emergency")
    require(
        routine + urgent <= most,
        f"{what} accepted {routine} routine frames and {urgent} emergencies: the capacities allow "
        f"{most}",
    )
    refused = sorted({name for name, _ in told["refused"]})
    require(refused == ["Full"], f"{what}, without room: expected Full, got {refused}")
    items = all(has_item for _, has_item in told["refused"])
    require(items, f"{what}: Full must have the frame as `item`")
    for call, found, name in (
        ("of a frame of another source", told["foreign"], "ValueError"),
        ("after close()", told["closed"][0], "SendClosed"),
        ("when there is room again", told["again"], "nothing"),
    ):
        require(found == name, f"try_send() {call}: expected {name} to be raised, got {found}")
    require(told["closed"][1], "try_send() after close(): SendClosed must have the frame as `item`")
    require(told["same"], f"{what}: the frames processed are not those that it accepted")
    count = routine + urgent + 1
    require_report(told["report"], what, routed=count, processed=count, rejected=0, clean=True)


__all__ = [
    "test_a_slow_processor_slows_the_sources_down",
    "test_pressure_holds_up_no_emergency",
    "test_try_send_never_waits",
]
