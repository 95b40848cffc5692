"""A processor runs in threads: the loop goes on, and order stays."""

from __future__ import annotations

import threading
import time

import anyio
import pytest
from structlog.testing import capture_logs

from meridian.foundation.tasks import Broker, Frame
from meridian.orbital.framing import encode_frames
from tests.foundation.tasks.broker_rig import Recorder, local, serving, until

pytestmark = pytest.mark.anyio


async def test_order_holds_within_a_connection_and_no_more_threads_run_than_allowed() -> None:
    lock, running, peak, threads = threading.Lock(), [0], [0], set()

    def jitter(frame: Frame) -> Frame:
        with lock:
            running[0] += 1
            peak[0] = max(peak[0], running[0])
            threads.add(threading.get_ident())
        time.sleep(0.002 if frame.payload.endswith(b"0") else 0)
        with lock:
            running[0] -= 1
        return Frame(frame.station_id, b"done " + frame.payload)

    broker, recorder = Broker(local(processor=jitter, processor_threads=3)), Recorder()
    broker.subscribe(recorder)
    async with serving(broker) as rig, anyio.create_task_group() as group:
        for n in range(6):

            async def station(n: int = n) -> None:
                async with await rig.connect() as stream:
                    await stream.send(encode_frames([b"%d-%d" % (n, i) for i in range(60)]))
                    await until(lambda: len(recorder.frames) == 360)

            group.start_soon(station)
    assert sorted(recorder.by_station().values()) == [
        [b"done %d-%d" % (n, i) for i in range(60)] for n in range(6)
    ]
    assert peak[0] <= 3
    assert threading.get_ident() not in threads


async def test_while_every_thread_is_held_connections_are_accepted_and_the_loop_runs() -> None:
    gate = threading.Event()

    def held(frame: Frame) -> Frame:
        assert gate.wait(60)
        return frame

    broker, recorder = Broker(local(processor=held, processor_threads=2)), Recorder()
    broker.subscribe(recorder)
    try:
        async with serving(broker) as rig:
            streams = [await rig.connect() for _ in range(4)]
            for stream in streams:
                await stream.send(encode_frames([b"x", b"y"]))
            await until(lambda: broker.stats.frames == 8)
            async with await rig.connect():
                await until(lambda: broker.stats.active == 5)
            await until(lambda: broker.stats.active == 4)
            assert recorder.frames == []
            gate.set()
            await until(lambda: len(recorder.frames) == 8)
            for stream in streams:
                await stream.aclose()
    finally:
        gate.set()


async def test_what_it_rejects_or_fails_on_is_counted_and_the_rest_goes_on() -> None:
    def picky(frame: Frame) -> Frame | None:
        match frame.payload:
            case b"reject":
                return None
            case b"fail":
                raise KeyError("bug")
            case b"wrong":
                return b"no frame"  # type: ignore[return-value]
        return frame

    broker, recorder = Broker(local(processor=picky)), Recorder()
    broker.subscribe(recorder)
    with capture_logs() as logs:
        async with serving(broker) as rig, await rig.connect() as stream:
            await stream.send(encode_frames([b"1", b"reject", b"2", b"fail", b"wrong", b"3"]))
            await until(lambda: len(recorder.frames) == 3)
            assert broker.stats.active == 1
    assert recorder.payloads() == [b"1", b"2", b"3"]
    assert broker.stats.frames == 6
    assert broker.stats.rejected_frames == 3
    assert sum(log["rejected"] for log in logs if log["event"] == "frame_rejected") == 3


async def test_a_slow_processor_hands_on_what_is_done() -> None:
    gate = threading.Event()

    def slow(frame: Frame) -> Frame:
        if frame.payload == b"last":
            assert gate.wait(60)
        else:
            time.sleep(0.006)
        return frame

    broker, recorder = Broker(local(processor=slow)), Recorder()
    broker.subscribe(recorder)
    try:
        async with serving(broker) as rig, await rig.connect() as stream:
            await stream.send(encode_frames([b"1", b"2", b"last"]))
            await until(lambda: recorder.payloads() == [b"1", b"2"])
            gate.set()
            await until(lambda: len(recorder.frames) == 3)
    finally:
        gate.set()
