"""Criteria 6 and 8: the end, and the demo."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from grader.acceptance.foundation._channels import (
    BASE,
    SCENARIOS,
    in_virtual_time,
    require_report,
)
from grader.judging.compare import require
from grader.proxy.loops import BACKENDS
from grader.proxy.submission import Submission

SOURCES, EACH, TAKES_S = 8, 25, 0.01
DEADLINE_S = 2.0
LITTLE = {
    "feed_capacity": 2,
    "routine_capacity": 2,
    "processor_capacity": 2,
    "emergency_capacity": 2,
}
FRAMES, EMERGENCIES = 45, 8
STATS_S, SLACK_S = 0.05, 0.005


@pytest.mark.criterion("6", points=3, after=BASE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_what_was_accepted_is_processed(
    submission: Submission, backend: str, rng: random.Random
) -> None:
    """After a shutdown everything accepted is processed and shown, and nothing else accepted."""
    told = in_virtual_time(submission, backend, rng, "shut_down", SOURCES, EACH, TAKES_S)
    count = SOURCES * EACH
    what = f"A shutdown with {count} frames accepted and unprocessed"
    require(
        told["took_s"] >= 0,
        f"{what}: run() has not returned, {told['processed']} were processed",
    )
    require(told["processed"] == count, f"{what}: {told['processed']} of them were processed")
    for call, (name, has_item) in zip(
        ("send() of a routine frame", "send() of an emergency", "try_send()", "add_source()"),
        told["refused"],
        strict=True,
    ):
        require(name == "ShuttingDown", f"{call} after the request: expected ShuttingDown, {name}")
        require(has_item, f"{call} after the request: ShuttingDown must have the frame as `item`")
    require_report(
        told["report"],
        what,
        routed=count,
        processed=count,
        emergency=SOURCES,
        rejected=3,
        discarded=0,
        clean=True,
    )
    require(told["took_s"] <= 5, f"{what}: run() returned {told['took_s']:g} s later, not in 5")
    require(told["same"], f"{what}: a subscriber did not get them all, in order of processing")
    require(
        told["ends"] == ["ChannelClosed"],
        f"{what}: a subscriber must come to its end by ChannelClosed, got {told['ends']}",
    )


@pytest.mark.criterion("6", points=1, after=BASE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_who_still_waits_is_refused(
    submission: Submission, backend: str, rng: random.Random
) -> None:
    """A frame whose send still waits for room when the shutdown is requested comes back."""
    told = in_virtual_time(submission, backend, rng, "still_waiting", LITTLE)
    what = "A shutdown while a routine frame and an emergency wait for room"
    require(bool(told["report"]), f"{what}: run() has not returned")
    names = [name for name, _ in told["refused"]]
    require(
        set(names) <= {"ShuttingDown"},
        f"{what}: whoever is refused must get ShuttingDown; raised were {names}",
    )
    require(
        all(has_item for _, has_item in told["refused"]),
        f"{what}: ShuttingDown must have the frame as `item`, so that it can be sent elsewhere",
    )
    require(told["same"], f"{what}: the frames processed are not the {told['accepted']} accepted")
    require_report(
        told["report"],
        what,
        routed=told["accepted"],
        rejected=len(names),
        discarded=0,
        clean=True,
    )


@pytest.mark.criterion("6", points=1, after=BASE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_shutdown_before_the_run(
    submission: Submission, backend: str, rng: random.Random
) -> None:
    """A shutdown that is requested before `run`, in another thread, ends it at once and cleanly."""
    told = in_virtual_time(submission, backend, rng, "before_it_runs")
    what = "request_shutdown() in a thread, then run()"
    require(told["took_s"] >= 0, f"{what}: run() has not returned")
    require(told["took_s"] <= 1, f"{what}: run() returned after {told['took_s']:g} s")
    require_report(
        told["report"],
        what,
        routed=0,
        processed=0,
        emergency=0,
        rejected=0,
        discarded=0,
        clean=True,
    )
    require(
        told["ends"] == ["ChannelClosed"],
        f"{what}: a subscriber from before must come to its end by ChannelClosed: {told['ends']}",
    )
    require(
        told["added"] == "ShuttingDown",
        f"{what}: add_source() must raise ShuttingDown, got {told['added']}",
    )


@pytest.mark.criterion("6", points=1, after=BASE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_source_that_never_stops(
    submission: Submission, backend: str, rng: random.Random
) -> None:
    """Sources that send on and on do not postpone the end."""
    told = in_virtual_time(submission, backend, rng, "never_stops", TAKES_S / 10)
    what = "A shutdown while three sources send without end"
    require(told["took_s"] >= 0, f"{what}: run() has not returned after 20 s")
    require(told["took_s"] <= 5, f"{what}: run() returned {told['took_s']:g} s later, not in 5")
    require(
        told["refused"] == ["ShuttingDown"] * 3,
        f"{what}: each must get ShuttingDown once; raised were {told['refused']}",
    )
    require(
        told["processed"] == told["accepted"],
        f"{what}: {told['accepted']} frames were accepted, {told['processed']} processed",
    )
    require_report(
        told["report"], what, routed=told["accepted"], rejected=3, discarded=0, clean=True
    )


@pytest.mark.criterion("6", points=2, after=BASE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_hung_processor(submission: Submission, backend: str, rng: random.Random) -> None:
    """When a frame is never done, the run ends at the deadline and counts what it discards."""
    frames = rng.randint(8, 24)
    told = in_virtual_time(submission, backend, rng, "hung", DEADLINE_S, frames)
    what = f"{told['accepted']} frames, of which 3 are processed and the fourth hangs"
    require(told["took_s"] >= 0, f"{what}: run() has not returned {DEADLINE_S + 30:g} s later")
    require(
        DEADLINE_S - 0.1 <= told["took_s"] <= DEADLINE_S + 1,
        f"{what}: with a deadline of {DEADLINE_S:g} s run() returned after {told['took_s']:g} s",
    )
    require_report(
        told["report"],
        what,
        routed=told["accepted"],
        processed=3,
        discarded=told["accepted"] - 3,
        clean=False,
    )


@pytest.mark.criterion("8", points=3, after=BASE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_demo(submission: Submission, backend: str, rng: random.Random) -> None:
    """The demo processes 45 frames, 8 of them emergencies, prints its stats every 50 ms, and ends
    with 0.
    """
    report, lines = in_virtual_time(submission, backend, rng, "demo")
    require_report(
        report,
        "run_demo()",
        routed=FRAMES,
        processed=FRAMES,
        emergency=EMERGENCIES,
        rejected=0,
        discarded=0,
        clean=True,
    )
    times_s = [s for s, line in lines if "PipelineStats(" in line]
    told = ", ".join(f"{s * 1e3:.0f}" for s in times_s)
    gaps_s = [after - before for before, after in pairwise(times_s)]
    require(
        len(gaps_s) >= 3
        and all(abs(gap_s - STATS_S) <= SLACK_S for gap_s in gaps_s[:-1])
        and gaps_s[-1] <= STATS_S + SLACK_S,  # once more at the end
        f"run_demo() must print its stats every 50 ms; it did so after {told or 'no'} ms",
    )
    last_s = max((s for s, line in lines if line.startswith("ROUTINE")), default=0.0)
    require(
        times_s[-1] >= last_s - STATS_S - SLACK_S,
        f"run_demo() must print its stats to the end; it did so after {told} ms, and processed its "
        f"last frame after {last_s * 1e3:.0f}",
    )
    kinds = [line.split()[0] for _, line in lines if line.startswith(("ROUTINE", "EMERGENCY"))]
    late = len(kinds) - 1 - kinds[::-1].index("EMERGENCY") if "EMERGENCY" in kinds else FRAMES
    require(
        late < len(kinds) // 2,
        "run_demo(): emergencies are sent behind a routine backlog, and its lines must show them "
        f"overtaking; the last one is line {late + 1} of {len(kinds)}",
    )
    status = submission.probe(SCENARIOS["demo"]).command(submission.module(), backend)
    call = f'main(["--backend", "{backend}"])'
    require(type(status) is int and status == 0, f"{call}: expected 0, got {status!r}")


__all__ = [
    "test_a_hung_processor",
    "test_a_shutdown_before_the_run",
    "test_a_source_that_never_stops",
    "test_the_demo",
    "test_what_was_accepted_is_processed",
    "test_who_still_waits_is_refused",
]
