"""Criteria 4, 5 and 7: subscribers, statistics, an archive that lags."""

from __future__ import annotations

import ast
import random
from itertools import pairwise
from typing import Any

import pytest

from grader.acceptance.foundation._channels import (
    ANSWER_S,
    BASE,
    in_real_time,
    in_virtual_time,
    require_report,
)
from grader.judging.compare import expect, require
from grader.judging.source_rules import LOCKS, Sources
from grader.proxy.loops import BACKENDS
from grader.proxy.submission import Submission

TAKES_S = 0.01
SHOWN = 24
FAILING = 800  # more than a subscriber may be behind
LOOKS = 60
READS = 100_000
READS_S = 0.2
HELD_S = 5.0
VALUES = 10  # of the statistics, seen while frames flow
TRACED = 20  # frames; a thread reads at every line that runs for them
STEPS = 200  # of one read, at most
END_S = 5.0  # until a subscriber has come to its end
STREAM, ARCHIVE_TIMES = 400, 3
THREAD_LOCKS = frozenset(f"threading.{name}" for name in LOCKS)


@pytest.mark.criterion("4", points=4, after=BASE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_subscribers_see_what_was_processed(
    submission: Submission, backend: str, rng: random.Random
) -> None:
    """Two subscribers get exactly the processed frames, in the order of processing.

    The judge itself is the processor, and reads the subscribers.
    """
    processed: list[bytes] = []
    payloads = [rng.randbytes(8) for _ in range(SHOWN)]

    def take(frame: Any) -> None:
        processed.append(bytes(frame.payload))

    with submission.loop(backend) as loop:
        aggregator = loop.call(
            submission.TelemetryAggregator, process=submission.callback(take, awaited=True)
        )
        before = loop.call(aggregator.subscribe, "before")
        run = loop.serve(aggregator.run)
        other = loop.call(aggregator.subscribe)
        live, priority = submission.FeedKind.LIVE_UPLINK, submission.FramePriority
        sources = [loop.call(aggregator.add_source, number, live) for number in range(3)]
        for number, payload in enumerate(payloads):
            level = priority.EMERGENCY if rng.random() < 0.3 else priority.ROUTINE
            frame = submission.Frame(number % 3, live, level, number, payload)
            loop.call(sources[number % 3].send, frame)
        submission.attend(
            lambda: len(processed) == SHOWN, ANSWER_S, "All accepted frames at the processor"
        )
        aggregator.request_shutdown()
        run.result(ANSWER_S)
        for name, subscriber in (("before run()", before), ("after it", other)):
            frames: list[bytes] = []
            while batch := loop.start(subscriber.recv_many).result(END_S):
                frames += [bytes(frame.payload) for frame in batch]
            expect(frames, processed, f"What a subscriber got that subscribed {name}")
    require(sorted(processed) == sorted(payloads), "The frames processed are not those sent")


@pytest.mark.criterion("4", points=2, after=BASE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_failed_frame_is_skipped(
    submission: Submission, backend: str, rng: random.Random
) -> None:
    """A frame for which `process` raises is neither counted as processed nor shown; all others
    are, to every subscriber that reads all the time.
    """
    told = in_virtual_time(submission, backend, rng, "failing", FAILING)
    processed = FAILING - FAILING // 5
    what = f"{FAILING} frames, and `process` raises for one of five"
    require(told["processed"] == processed, f"{what}: {told['processed']} went through it")
    for number in range(2):
        ends = told["ends"][number]
        missed = ends.count("Lagged")
        require(
            missed == 0,
            f"{what}: a subscriber that reads all the time missed frames {missed} times. Let other "
            "tasks run before more frames are shown than a subscriber may be behind",
        )
        require(
            told["same"][number],
            f"{what}: a subscriber got {told['shown'][number]} frames, not exactly the {processed} "
            "that were processed, in their order",
        )
        require(
            ends == ["ChannelClosed"],
            f"{what}: a subscriber must come to its end by ChannelClosed, got {ends}",
        )
    require_report(
        told["report"],
        what,
        routed=FAILING,
        processed=processed,
        emergency=told["urgent"],
        clean=True,
    )


@pytest.mark.criterion("5", points=1, after=BASE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_frame_is_counted_before_it_is_shown(
    submission: Submission, backend: str, rng: random.Random
) -> None:
    """Whoever has got a frame finds it in the statistics, which never go back."""
    seen, report = in_virtual_time(submission, backend, rng, "looked_at", LOOKS)
    for number, (routed, processed, emergency) in enumerate(seen[:-1], 1):
        require(
            processed >= number,
            f"A subscriber has got {number} frames, and stats.borrow() tells that {processed} are "
            "processed",
        )
        require(
            emergency <= processed <= routed,
            f"stats.borrow() told routed {routed}, processed {processed}, emergency {emergency}",
        )
    for earlier, later in pairwise(seen):
        require(
            all(a <= b for a, b in zip(earlier, later, strict=True)),
            f"stats.borrow() told {tuple(earlier)}, and after it {tuple(later)}",
        )
    require(bool(report), "run() has not returned")
    expect(list(seen[-1]), list(report[:3]), "The last statistics, and those of the report")


@pytest.mark.criterion("5", points=2, after=BASE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_statistics_are_read_from_any_thread(submission: Submission, backend: str) -> None:
    """A thread reads the statistics while frames flow and while the loop is held, and waits for
    nothing.

    Noted in the worker; the time is that of the reading thread's processor.
    """
    told = in_real_time(submission, backend, "from_a_thread", READS, HELD_S)
    require(len(told) == 2, "The frame that was sent last has not come to `process`")
    for (count, _, _, wrong), when in zip(
        told, ("While frames flowed", "While `process` held the loop"), strict=True
    ):
        require(
            count >= READS // 2,
            f"{when} a thread read stats.borrow() {count} times in {HELD_S:g} s, of {READS // 2}: "
            "something makes it wait",
        )
        require(
            not wrong,
            f"{when} a thread read routed, processed and emergency as {wrong}: these never go "
            "back, and emergency <= processed <= routed",
        )
    values = told[0][2]
    require(
        values >= VALUES,
        f"While frames flowed, {READS // 2} stats.borrow() gave {values} values: the statistics "
        "must follow each frame",
    )
    cpu_s = told[0][1] + told[1][1]
    require(
        cpu_s <= READS_S,
        f"{READS} stats.borrow() took {cpu_s:.2f} s of processor time, more than {READS_S:g} s",
    )


@pytest.mark.criterion("5", points=1, after=BASE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_statistics_are_of_one_moment(submission: Submission, backend: str) -> None:
    """Whatever line the aggregator is at, and however long a thread needs for one read: it never
    gets counts of two moments together.

    Noted in the worker, which lets the two threads take turns.
    """
    reads, wrong = in_real_time(submission, backend, "between_lines", TRACED)
    told = "routed, processed and emergency as"
    rule = "these never go back, and emergency <= processed <= routed"
    require(not wrong, f"Between two lines of the package a thread read {told} {wrong}: {rule}")
    require(reads >= TRACED, f"{TRACED} frames ran {reads} lines of the package: nothing to judge")
    wrong = in_real_time(submission, backend, "within_a_read", STEPS)
    require(
        not wrong,
        f"A thread was inside stats.borrow() while frames were processed, and read {told} {wrong}: "
        f"{rule}",
    )


@pytest.mark.criterion("5", points=2, after=BASE)
def test_nobody_needs_a_lock(submission: Submission) -> None:
    """No lock of `threading` in the package: one loop needs none, and a reader would wait for it.

    Read from the source.
    """
    for place in Sources(submission.sources()).nodes():
        if isinstance(place.node, ast.Name | ast.Attribute):
            require(
                place.name not in THREAD_LOCKS,
                f"{place}: {place.name}: whoever reads the statistics must never wait for a lock; "
                "publish a snapshot that nobody changes",
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


__all__ = [
    "test_a_failed_frame_is_skipped",
    "test_a_frame_is_counted_before_it_is_shown",
    "test_an_archive_that_lags",
    "test_nobody_needs_a_lock",
    "test_statistics_are_of_one_moment",
    "test_statistics_are_read_from_any_thread",
    "test_subscribers_see_what_was_processed",
]
