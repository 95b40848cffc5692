"""Criteria 3, 4 and 5: pressure, subscribers, statistics."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest

from grader.acceptance.foundation._channels import ANSWER_S, BASE, in_real_time, in_virtual_time
from grader.judging.compare import expect, require
from grader.proxy.loops import BACKENDS
from grader.proxy.submission import Submission

PRESSED, TAKES_S = 200, 0.01
BOUND = 8 * 32 + 256 + 64 + 64
SHOWN = 24
LOOKS = 60
READS = 100_000
READS_S = 0.2
HELD_S = 5.0
END_S = 5.0  # until a subscriber has come to its end


@pytest.mark.criterion("3", points=4, after=BASE)
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


@pytest.mark.criterion("3", points=3, after=BASE)
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


@pytest.mark.criterion("4", points=6, after=BASE)
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


@pytest.mark.criterion("5", points=2, after=BASE)
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


@pytest.mark.criterion("5", points=3, after=BASE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_statistics_are_read_from_any_thread(submission: Submission, backend: str) -> None:
    """A thread reads the statistics while the loop is held, and waits for nothing.

    Noted in the worker; the time is that of the reading thread's processor.
    """
    told = in_real_time(submission, backend, "from_a_thread", READS, HELD_S)
    reads, cpu_s, sound = told
    require(
        reads >= READS,
        f"While `process` held the loop a thread read stats.borrow() {reads} times in "
        f"{HELD_S:g} s, of {READS}: something makes it wait",
    )
    require(
        cpu_s <= READS_S,
        f"{READS} stats.borrow() took {cpu_s:.2f} s of processor time, more than {READS_S:g} s",
    )
    require(sound, "A thread read statistics that cannot be: see the criterion for their order")


__all__ = [
    "test_a_frame_is_counted_before_it_is_shown",
    "test_a_slow_processor_slows_the_sources_down",
    "test_pressure_holds_up_no_emergency",
    "test_statistics_are_read_from_any_thread",
    "test_subscribers_see_what_was_processed",
]
