"""Criteria 6, 7 and 8: the end, subscribers that lag, the demo."""

from __future__ import annotations

import random
from typing import Any

import pytest

from grader.acceptance.foundation._channels import (
    ANSWER_S,
    BASE,
    PROBE,
    in_virtual_time,
    require_report,
)
from grader.judging.compare import require
from grader.proxy.loops import BACKENDS
from grader.proxy.submission import Submission

SOURCES, EACH, TAKES_S = 8, 25, 0.01
DEADLINE_S = 2.0
STREAM, ARCHIVE_TIMES = 400, 3
FRAMES, EMERGENCIES = 45, 8


@pytest.mark.criterion("6", points=4, after=BASE)
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
        ("send() of a routine frame", "send() of an emergency", "add_source()"),
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
        rejected=2,
        discarded=0,
        clean=True,
    )
    require(told["took_s"] <= 5, f"{what}: run() returned {told['took_s']:g} s later, not in 5")
    require(told["same"], f"{what}: a subscriber did not get them all, in order of processing")
    require(
        told["ends"] == ["ChannelClosed"],
        f"{what}: a subscriber must come to its end by ChannelClosed, got {told['ends']}",
    )


@pytest.mark.criterion("6", points=2, after=BASE)
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


@pytest.mark.criterion("7", points=4, after=BASE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_an_archive_that_lags(submission: Submission, backend: str, rng: random.Random) -> None:
    """A slow archive misses frames, is told how many, and slows nobody down."""
    archive_s = ARCHIVE_TIMES * TAKES_S
    told = in_virtual_time(submission, backend, rng, "lagging", STREAM, TAKES_S, archive_s)
    alone = in_virtual_time(submission, backend, rng, "lagging", STREAM, TAKES_S, 0.0)
    what = f"{STREAM} frames, an archive {ARCHIVE_TIMES} times too slow"
    require_report(told["report"], what, routed=STREAM, processed=STREAM, clean=True)
    received, missed = told["received"], told["missed"]
    require(
        received + missed == STREAM,
        f"{what}: received {received} + missed {missed} is not what was processed",
    )
    require(missed > 0, f"{what}: it missed none, so somebody waited for it or kept everything")
    require(told["in_order"], f"{what}: it got frames in another order than they were processed")
    require(told["quick"] == STREAM, f"{what}: the quick subscriber got {told['quick']}")
    require(told["lagged"] > 0, f"{what}: no handler_lagged was logged")
    require(
        told["elapsed_s"] <= alone["elapsed_s"] / 0.9,
        f"{what}: the run took {told['elapsed_s']:g} s; without it {alone['elapsed_s']:g} s",
    )


@pytest.mark.criterion("8", points=3, after=BASE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_demo(submission: Submission, backend: str) -> None:
    """The demo processes 45 frames, 8 of them emergencies, prints its stats, and ends with 0."""
    probe = submission.probe(PROBE)
    with submission.loop(backend) as loop:
        task: Any = loop.start(probe.demo_report, submission.module())
        report = task.result(ANSWER_S)
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
    status, lines = probe.demo(submission.module(), backend)
    require(type(status) is int and status == 0, f"main([]): expected 0, got {status!r}")
    shown = sum("PipelineStats(" in line for line in lines)
    require(shown >= 3, f"The demo printed its stats {shown} times; every 50 ms makes at least 3")
    kinds = [line.split()[0] for line in lines if line.startswith(("ROUTINE", "EMERGENCY"))]
    late = len(kinds) - 1 - kinds[::-1].index("EMERGENCY") if "EMERGENCY" in kinds else FRAMES
    require(
        late < len(kinds) // 2,
        "The demo's emergencies are sent behind a routine backlog: its lines must show them "
        f"overtaking; the last one is line {late + 1} of {len(kinds)}",
    )


__all__ = [
    "test_a_hung_processor",
    "test_a_source_that_never_stops",
    "test_an_archive_that_lags",
    "test_the_demo",
    "test_what_was_accepted_is_processed",
]
