"""Criteria 1 to 3: frames reach every handler, whatever a station or a handler does."""

from __future__ import annotations

import itertools
import random
import re
import time
from typing import Any

import pytest
from hypothesis import strategies as st

from grader.acceptance.foundation._tasks import (
    DECODER,
    PROBE,
    SERVING,
    Station,
    encode_frame,
    encode_frames,
    paced,
    served,
    wait_for,
)
from grader.judging.compare import expect, require, show
from grader.judging.properties import Finder
from grader.proxy.loops import BACKENDS
from grader.proxy.proxy import Remote
from grader.proxy.submission import Submission

STATIONS = 48
FRAMES_EACH = 100
SLOW_FRAMES = 2_500  # of each of 4 stations, at 2,000 a second in all
SLOW_S = 0.05
TIMES_SLOWER, GRANTED_S = 1.1, 0.0  # what a shorter run is granted beside
TIMES_LINEAR = 4.0


@pytest.mark.criterion("1", points=2)
def test_any_split(submission: Submission, find: Finder) -> None:
    """FrameDecoder gives the same payloads however the stream is cut, and holds the rest."""
    probe = submission.probe(PROBE)

    def check(payloads: list[bytes], cuts: list[int], limit: int) -> None:
        wire = encode_frames(payloads)
        edges = [0, *sorted(cut % (len(wire) + 1) for cut in cuts), len(wire)]
        chunks = [wire[a:b] for a, b in itertools.pairwise(edges)]
        decoder = submission.FrameDecoder(limit)
        found = probe.decode(decoder, chunks)
        held, want = b"", []
        for chunk in chunks:
            held, got = held + chunk, []
            while len(held) >= 4 and len(held) - 4 >= (size := int.from_bytes(held[:4], "big")):
                got.append(held[4 : 4 + size])
                held = held[4 + size :]
            want.append((got, len(held), not held))
        call = f"feed() of {show(chunks)}: (payloads, pending, at_boundary) after each"
        expect(found, want, call)

    payloads = st.lists(st.binary(max_size=12), min_size=1, max_size=5)
    find(check, payloads=payloads, cuts=st.lists(st.integers(0, 80), max_size=6), limit=st.just(12))
    large, step = encode_frame(bytes(300_000)), 3
    small = encode_frames([bytes(5)] * (len(large) // 9))
    spent_s = []
    for wire, want in ((small, [bytes(5)] * (len(large) // 9)), (large, [bytes(300_000)])):
        seconds, got = probe.feed_slowly(submission.FrameDecoder(2**20), wire, step)
        require(got == want, f"{len(wire)} bytes fed {step} at a time: other payloads")
        spent_s.append(seconds)
    require(
        spent_s[1] < TIMES_LINEAR * spent_s[0] + 0.2,
        f"One frame of 300,000 bytes, fed {step} at a time, takes {spent_s[1]:.2f} s, and small "
        f"frames of as many bytes {spent_s[0]:.2f} s: the work must be linear in the bytes fed",
    )


@pytest.mark.criterion("1", points=2)
def test_reading_one_frame(submission: Submission, rng: random.Random) -> None:
    """read_frame takes exactly one frame, and tells an end between frames from one inside."""
    probe = submission.probe(PROBE)
    first, second = rng.randbytes(9), rng.randbytes(300)
    wire = encode_frames([first, b"", second])

    def read(stream: Remote, **limit: Any) -> Any:
        return submission.run(submission.read_frame, stream, **limit)

    for chunks in ([wire + b"NEXT"], [wire[:2], wire[2:6], wire[6:], b"NEXT"]):
        stream = probe.Chunks(chunks)
        found = [read(stream) for _ in range(3)]
        expect(found, [first, b"", second], "read_frame(stream), three times")
        expect(stream.left(), b"NEXT", "What read_frame left of the stream for the next reader")
    expect(read(probe.Chunks([])), None, "read_frame(stream) at the end of the stream")
    for cut, expected, got in ((3, 4, 3), (4, 9, 0), (10, 9, 6)):
        with submission.raises("TruncatedFrame", call=f"read_frame, {cut} bytes of 13") as caught:
            read(probe.Chunks([encode_frame(first)[:cut]]))
        assert caught.error is not None
        fields = {name: caught.error.fields.get(name) for name in ("expected", "got")}
        expect(fields, {"expected": expected, "got": got}, f"TruncatedFrame after {cut} bytes")
    stream = probe.Chunks([encode_frame(bytes(101))])
    with submission.raises("FrameTooLarge", call="read_frame, 101 bytes, max_payload=100"):
        read(stream, max_payload=100)
    expect(stream.left(), bytes(101), "What a frame that is too large leaves in the stream")


@pytest.mark.criterion("1", points=3, after=DECODER)  # for each of the two
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_stalled_header(submission: Submission, backend: str, rng: random.Random) -> None:
    """48 stations, one stalls after two bytes: every handler gets all frames of the others.

    In their order within a connection. Handlers are recorders in the worker, whose word is taken.
    """
    recorders = _recorders(submission)
    salt = rng.randbytes(4)
    with served(submission, backend, recorders) as broker:
        stalled = broker.station()
        stalled.send(b"\0\0")
        stations = [broker.station() for _ in range(STATIONS - 1)]
        paced(stations, FRAMES_EACH, lambda s, i: salt + b"%d %d" % (s, i))
        sent = [
            [salt + b"%d %d" % (s, i) for i in range(FRAMES_EACH)] for s in range(len(stations))
        ]
        _expect_all(recorders, stations, sent)
        broker.wait_stat("frames", len(stations) * FRAMES_EACH, "after the last frame")
        expect(broker.stat("active"), STATIONS, "broker.stats.active, one station stalled")
        stalled.close()


@pytest.mark.criterion("2", points=5, after=SERVING)  # for each of the two
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_handler_sees_every_frame(
    submission: Submission, backend: str, rng: random.Random
) -> None:
    """Three handlers see the same frames, whole, the empty and the largest one included.

    Each connection's in its order. Handlers are recorders in the worker, whose word is taken.
    """
    recorders = _recorders(submission)
    with served(submission, backend, recorders) as broker:
        stations = [broker.station() for _ in range(4)]
        sizes = (0, 65_536, 1, *(rng.randrange(2_000) for _ in range(27)))
        sent = [[rng.randbytes(size) for size in sizes] for _ in stations]
        paced(stations, len(sizes), lambda s, i: sent[s][i])
        found = _expect_all(recorders, stations, sent)
        expect(
            [broker.stat(name) for name in ("accepted", "frames", "bytes", "rejected_frames")],
            [4, 4 * len(sizes), sum(len(p) for station in sent for p in station), 0],
            "broker.stats: accepted, frames, bytes, rejected_frames",
        )
        received = [[stats.received, stats.missed, stats.errors] for stats in broker.handlers]
        expect(received, [[4 * len(sizes), 0, 0]] * 3, "HandlerStats: received, missed, errors")
    ids = sorted(int(match[1]) for name in found if (match := re.match(r"gs-(\d+)@", name)))
    expect(ids, [1, 2, 3, 4], "Numbers in the station ids of four connections")


@pytest.mark.criterion("3", points=12, after=SERVING)
def test_a_slow_handler_lags_alone(submission: Submission, rng: random.Random) -> None:
    """One handler that takes 50 ms for a frame misses frames, is told how many, and slows nobody.

    Handlers are recorders in the worker, whose word is taken.
    """
    probe = submission.probe(PROBE)
    total, took_s = 4 * SLOW_FRAMES, []
    payload = rng.randbytes(32)
    for with_slow in (False, True):
        fast = [probe.Recorder() for _ in range(2)]
        slow = [probe.Slow(SLOW_S)] if with_slow else []
        logs = probe.Logs()
        try:
            with served(submission, "asyncio", [*slow, *fast]) as broker:
                stations = [broker.station() for _ in range(4)]
                start_s = time.monotonic()
                _at_rate(stations, 2_000, payload)
                what = f"{total} frames at each handler that does not wait, one that does beside it"
                wait_for(lambda: all(r.count() == total for r in fast), what)  # noqa: B023
                took_s.append(time.monotonic() - start_s)
                if with_slow:
                    slow[0].let_go()
                    stats = broker.handlers[0]
                    what = f"received + missed == {total} for the slow handler"
                    wait_for(lambda: stats.received + stats.missed == total, what)  # noqa: B023
                    expect(slow[0].count(), stats.received, "Its frames, and stats.received")
                    require(stats.missed > 0, "The slow handler has missed nothing")
                    told = logs.values("handler_lagged", "missed")
                    require(bool(told), "No handler_lagged was logged, though frames were missed")
                    expect([broker.handlers[i].missed for i in (1, 2)], [0, 0], "Missed by others")
        finally:
            logs.close()
    require(
        took_s[1] <= took_s[0] * TIMES_SLOWER + GRANTED_S,
        f"{total} frames took {took_s[1]:.2f} s with a slow handler, {took_s[0]:.2f} s without",
    )


def _at_rate(stations: list[Station], frames_per_s: int, payload: bytes) -> None:
    start_s = time.monotonic()
    for i in range(SLOW_FRAMES):
        for station in stations:
            station.send(encode_frame(payload))
        due_s = start_s + len(stations) * (i + 1) / frames_per_s
        time.sleep(max(0.0, due_s - time.monotonic()))


def _recorders(submission: Submission) -> list[Remote]:
    probe = submission.probe(PROBE)
    return [probe.Recorder() for _ in range(3)]


def _expect_all(
    recorders: list[Remote], stations: list[Station], sent: list[list[bytes]]
) -> dict[str, list[bytes]]:
    """Every recorder has, of every station, what it sent, in that order, and nothing else."""
    total = sum(map(len, sent))
    what = f"{total} frames of {len(stations)} stations at each of {len(recorders)} handlers"
    wait_for(lambda: all(recorder.count() >= total for recorder in recorders), what)
    found: dict[str, list[bytes]] = {}
    for number, recorder in enumerate(recorders, 1):
        found = recorder.taken()
        by_address = {name.partition("@")[2]: payloads for name, payloads in found.items()}
        for station, payloads in zip(stations, sent, strict=True):
            got = by_address.pop(station.address, [])
            if got != payloads:
                at = next((i for i, p in enumerate(payloads) if got[i : i + 1] != [p]), None)
                require(
                    False,
                    f"Handler {number}, the frames of one connection: of {len(payloads)} that were "
                    f"sent {len(got)} came, and the first that differs is number "
                    f"{len(payloads) if at is None else at}",
                )
        expect(sum(map(len, by_address.values())), 0, f"Handler {number}: frames that nobody sent")
    return found


__all__ = [
    "test_a_slow_handler_lags_alone",
    "test_a_stalled_header",
    "test_any_split",
    "test_every_handler_sees_every_frame",
    "test_reading_one_frame",
]
