"""Criteria 4 and 5: the end comes between frames, and it comes in time."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from grader.acceptance.foundation import _tasks as common
from grader.acceptance.foundation._tasks import (
    PROBE,
    SERVING,
    encode_frame,
    encode_frames,
    served,
    wait_for,
)
from grader.judging.compare import expect, require, show
from grader.proxy.loops import BACKENDS
from grader.proxy.proxy import Remote
from grader.proxy.submission import Submission

PAUSE_S = 0.2  # between the request and the rest of the frame
DEADLINE_S, GRACE_S, GRANTED_S = 0.5, 0.5, 0.5
STALLED = 6
DEFAULT_S, GONE_S = 10.0, 1.0  # of the command, which is not told another; and to be gone after it
COMMAND_S = DEFAULT_S
PACKAGE = "ingestion_broker"


@pytest.mark.criterion("4", points=4, after=SERVING)  # for each of the two
@pytest.mark.parametrize("backend", BACKENDS)
def test_shutdown_inside_a_payload(
    submission: Submission, backend: str, rng: random.Random
) -> None:
    """A frame whose payload has begun when shutdown is requested is delivered; none after it."""
    _cut(submission, backend, rng, 4 + 10)


@pytest.mark.criterion("4", points=3, after=SERVING)
def test_shutdown_inside_a_header(submission: Submission, rng: random.Random) -> None:
    """A frame whose header has begun when shutdown is requested is delivered; none after it."""
    _cut(submission, "asyncio", rng, rng.randrange(1, 4))


def _cut(submission: Submission, backend: str, rng: random.Random, cut: int) -> None:
    """The judge itself is the handlers: what they see is known here."""
    seen: list[list[bytes]] = [[], []]
    whole, begun, late = (rng.randbytes(20) for _ in range(3))
    handlers = [_handler(submission, frames) for frames in seen]
    with served(submission, backend, handlers) as broker:
        station, idle = broker.station(), broker.station()
        station.send(encode_frame(whole) + encode_frame(begun)[:cut])
        submission.attend(
            lambda: seen == [[whole]] * 2, common.PATIENCE_S, "The first frame at both handlers"
        )
        submission.attend(within_s=PAUSE_S / 2)  # what came with it is read
        broker.broker.request_shutdown("upgrade")
        broker.expect_refusal()
        submission.attend(within_s=PAUSE_S)
        station.send(encode_frame(begun)[cut:] + encode_frame(late))
        where = "header" if cut < 4 else "payload"
        what = f"The frame that had begun (cut inside its {where}) at both handlers"
        submission.attend(lambda: all(len(s) > 1 for s in seen), common.PATIENCE_S, what)
        station.expect_end("After the frame that had begun")
        idle.expect_end("After shutdown was requested, between two frames")
        report = broker.report()
        expect(seen, [[whole, begun]] * 2, "Frames at the two handlers, of three that were sent")
        _expect_clean(report)
        expect(report.reason, "upgrade", "report.reason")


@pytest.mark.criterion("4", points=3, after=SERVING)
def test_what_was_taken_is_delivered(submission: Submission, rng: random.Random) -> None:
    """Frames that are counted when shutdown is requested are delivered, all of them."""
    seen: list[bytes] = []
    sent = [rng.randbytes(8) for _ in range(6)]
    counted: list[int] = []

    def processor(frame: Remote) -> Remote:
        if not counted:
            counted.append(0)
            submission.attend(within_s=PAUSE_S)
            counted[0] = broker.stat("frames")
            broker.broker.request_shutdown("now")
            submission.attend(within_s=PAUSE_S)
        return frame

    handlers = [_handler(submission, seen)]
    with served(
        submission, "asyncio", handlers, processor=submission.callback(processor)
    ) as broker:
        broker.station().send(encode_frames(sent))
        what = "The frames that were counted before shutdown, at the handler"
        submission.attend(
            lambda: bool(counted and counted[0]) and len(seen) >= counted[0],
            common.PATIENCE_S,
            what,
        )
        _expect_clean(broker.report())
        expect(sorted(seen), sorted(sent[: len(seen)]), "Frames at the handler, of six in order")


@pytest.mark.criterion("5", points=4, after=SERVING)  # for each of the two
@pytest.mark.parametrize("backend", BACKENDS)
def test_stations_that_stall_are_aborted(submission: Submission, backend: str) -> None:
    """Stations that stall inside a frame are aborted after one deadline for all, and named."""
    recorder = submission.probe(PROBE).Recorder()
    limits = {"drain_deadline_s": DEADLINE_S, "abort_grace_s": GRACE_S}
    with served(submission, backend, [recorder], **limits) as broker:
        stations = [broker.station() for _ in range(STALLED)]
        for station in stations:
            station.send(encode_frame(b"whole") + b"\0\0\0\x09half")
        idle = broker.station()
        broker.wait_stat("frames", STALLED, "of as many stations")
        broker.wait_stat("accepted", STALLED + 1, "of all stations")
        time.sleep(PAUSE_S / 2)
        start_s = time.monotonic()
        broker.broker.request_shutdown("maintenance")
        idle.expect_end("After shutdown was requested, between two frames")
        limit_s = DEADLINE_S + GRACE_S + GRANTED_S
        report = broker.report(limit_s + 1.0)
        took_s = time.monotonic() - start_s
        require(
            took_s <= limit_s,
            f"serve() returned {took_s:.2f} s after the request, with a deadline of {DEADLINE_S} s "
            f"and {GRACE_S} s of grace",
        )
        require(
            took_s >= DEADLINE_S * 0.9,
            f"serve() returned {took_s:.2f} s after the request: stations inside a frame have "
            f"{DEADLINE_S} s",
        )
        expect(report.clean, False, "report.clean, stations stalled inside a frame")
        aborted = report.aborted
        require(type(aborted) is tuple, f"report.aborted: expected a tuple, got {show(aborted)}")
        addresses = sorted(str(name).partition("@")[2] for name in aborted)
        expect(addresses, sorted(s.address for s in stations), "Addresses in report.aborted")
        for station in stations:
            station.expect_gone("A station that stalled, after the deadline")


@pytest.mark.criterion("5", points=4, after=SERVING)
def test_a_process_with_a_blocked_processor_ends(submission: Submission) -> None:
    """11 s after SIGINT the command is gone, with exit status 1, though its processor is blocked.

    Its deadline is the default of 10 s.
    """
    probe = submission.probe(PROBE)
    told = [] if COMMAND_S == DEFAULT_S else ["--drain-deadline", str(COMMAND_S)]
    child = probe.Child(PACKAGE, told)
    try:
        say = "The line 'listening on <host>:<port>' of main()"
        wait_for(lambda: child.said("listening on"), say, 3 * common.PATIENCE_S)
        port = int(child.said("listening on").rpartition(":")[2])
        with submission.dial(port) as station:
            station.sendall(encode_frame(b"x"))
            wait_for(lambda: child.said("held"), "A call of the processor")
            start_s = time.monotonic()
            child.interrupt()
            what = f"The end of a process with {COMMAND_S:g} s to drain, a processor blocked"
            wait_for(lambda: child.status() is not None, what, COMMAND_S + GONE_S)
            took_s = time.monotonic() - start_s
        require(took_s >= COMMAND_S * 0.9, f"The process ended {took_s:.2f} s after SIGINT")
        expect(child.status(), 1, "The exit status of main(), a session aborted")
    finally:
        child.end()


def _handler(submission: Submission, seen: list[bytes]) -> Any:
    def handler(frame: Remote) -> None:
        seen.append(frame.payload)

    return submission.callback(handler, awaited=True)


def _expect_clean(report: Remote) -> None:
    found = (report.clean, report.aborted, report.stuck)
    expect(found, (True, (), ()), "report.clean, .aborted and .stuck, everybody in time")


__all__ = [
    "test_a_process_with_a_blocked_processor_ends",
    "test_shutdown_inside_a_header",
    "test_shutdown_inside_a_payload",
    "test_stations_that_stall_are_aborted",
    "test_what_was_taken_is_delivered",
]
