"""The end of a broker: between frames, in bounded time, and with an exact report."""

from __future__ import annotations

import threading

import anyio
import pytest
from anyio.abc import TaskStatus
from structlog.testing import capture_logs

from meridian.foundation.tasks import Broker, Frame
from meridian.orbital.framing import encode_frame, encode_frames
from tests.foundation.tasks.broker_rig import Recorder, at_end, local, serving, until

pytestmark = pytest.mark.anyio

FRAME = encode_frame(b"a frame that is cut in two")


async def stopped_accepting(broker: Broker) -> None:
    await until(lambda: broker._start is None)


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 5, len(FRAME) - 1])
async def test_a_frame_that_has_begun_is_finished_and_no_other_begun(cut: int) -> None:
    broker, recorders = Broker(local()), [Recorder(), Recorder()]
    for recorder in recorders:
        broker.subscribe(recorder)
    async with serving(broker) as rig, await rig.connect() as stream:
        await stream.send(encode_frame(b"whole") + FRAME[:cut])
        await until(lambda: broker.stats.frames == 1)
        broker.request_shutdown("upgrade")
        await stopped_accepting(broker)
        await stream.send(FRAME[cut:] + encode_frame(b"too late"))
        assert await at_end(stream)
        report = await rig.over()
    assert report.clean
    assert report.reason == "upgrade"
    assert report.aborted == report.stuck == ()
    for recorder in recorders:
        assert recorder.payloads() == [b"whole", FRAME[4:]]


async def test_the_rest_may_come_a_byte_at_a_time() -> None:
    recorder = Recorder()
    async with serving() as rig:
        rig.broker.subscribe(recorder)
        async with await rig.connect() as stream:
            await stream.send(encode_frame(b"whole") + FRAME[:1])
            await until(lambda: rig.broker.stats.frames == 1)  # and with it the byte behind it
            rig.broker.request_shutdown()
            await stopped_accepting(rig.broker)
            for byte in FRAME[1:]:
                await stream.send(bytes([byte]))
                await anyio.wait_all_tasks_blocked()  # so that each comes alone
            assert await at_end(stream)
    assert recorder.payloads() == [b"whole", FRAME[4:]]


async def test_new_connections_are_refused_from_the_request_on() -> None:
    async with serving() as rig, await rig.connect() as stream:
        await stream.send(FRAME[:9])
        await until(lambda: rig.broker.stats.active == 1)
        rig.broker.request_shutdown()
        await stopped_accepting(rig.broker)
        with pytest.raises(OSError, match=r"(?i)connect"):
            await rig.connect()
        await stream.send(FRAME[9:])
    assert rig.broker.stats.accepted == 1


async def test_frames_that_were_taken_are_delivered_though_shutdown_came() -> None:
    broker, recorder, gate = (
        Broker(local(processor=lambda frame: gate_of(frame))),
        Recorder(),
        (threading.Event()),
    )

    def gate_of(frame: Frame) -> Frame:
        assert gate.wait(30)
        return frame

    broker.subscribe(recorder)
    async with serving(broker) as rig, await rig.connect() as stream:
        await stream.send(encode_frames([b"%d" % i for i in range(50)]))
        await until(lambda: broker.stats.frames == 50)
        broker.request_shutdown()
        await stopped_accepting(broker)
        gate.set()
        report = await rig.over()
    assert report.clean
    assert recorder.payloads() == [b"%d" % i for i in range(50)]


async def test_a_slow_handler_may_finish_what_was_passed_on() -> None:
    broker, given = Broker(local()), []

    async def slow(frame: Frame) -> None:
        await anyio.sleep(0.001)
        given.append(frame.payload)

    seen = broker.subscribe(slow)
    async with serving(broker) as rig, await rig.connect() as stream:
        await stream.send(encode_frames([b"%d" % i for i in range(100)]))
        await until(lambda: broker.stats.frames == 100)
        report = await rig.stop()
    assert report.clean
    assert given == [b"%d" % i for i in range(100)]
    assert (seen.received, seen.missed) == (100, 0)


async def test_those_who_stall_inside_a_frame_are_aborted_after_one_deadline() -> None:
    broker = Broker(local(drain_deadline_s=0.2, abort_grace_s=2.0))
    recorder = Recorder()
    seen = broker.subscribe(recorder, name="archive")
    with capture_logs() as logs:
        async with serving(broker) as rig:
            streams = [await rig.connect() for _ in range(5)]
            for stream in streams:
                await stream.send(encode_frame(b"whole") + b"\0\0\0\x09half")
            await until(lambda: broker.stats.frames == 5)
            report = await rig.stop()
            for stream in streams:
                assert await at_end(stream)
                await stream.aclose()
    assert not report.clean
    assert sorted(name[:4] for name in report.aborted) == [f"gs-{n}" for n in range(1, 6)]
    assert report.stuck == ()
    assert 0.2 <= report.elapsed_s < 1.0, "one deadline for all, not one each"
    assert (seen.received, seen.missed) == (5, 0), "a handler that keeps up is no straggler"
    events = [log["event"] for log in logs]
    assert events.count("session_aborted") == 5
    assert events[-1] == "shutdown_complete"


async def test_what_an_aborted_handler_was_not_given_counts_as_missed() -> None:
    broker = Broker(local(drain_deadline_s=0.05, abort_grace_s=5.0))

    async def hangs(frame: Frame) -> None:
        await anyio.sleep_forever()

    seen = broker.subscribe(hangs, name="hangs")
    async with serving(broker) as rig, await rig.connect() as stream:
        await stream.send(encode_frames([b"x"] * 200))
        await until(lambda: broker.stats.frames == 200)
        report = await rig.stop()
    assert (report.aborted, report.stuck, report.clean) == (("hangs",), (), False)
    assert (seen.received, seen.missed) == (1, 199)


async def test_a_handler_that_refuses_to_end_is_named_as_stuck() -> None:
    broker, release = Broker(local(drain_deadline_s=0.05, abort_grace_s=0.1)), anyio.Event()

    async def shielded(frame: Frame) -> None:
        with anyio.CancelScope(shield=True):
            await release.wait()

    broker.subscribe(shielded, name="shielded")
    async with serving(broker) as rig, await rig.connect() as stream:
        await stream.send(FRAME)
        await until(lambda: broker.stats.frames == 1)
        broker.request_shutdown()
        assert (await broker.drained()).stuck == ("shielded",)
        assert rig.ended is None, "no task outlives serve"
        release.set()
        report = await rig.over()
    assert report is broker.report
    assert (report.aborted, report.stuck, report.clean) == ((), ("shielded",), False)


async def test_a_processor_that_blocks_does_not_hold_up_the_end() -> None:
    gate = threading.Event()

    def blocked(frame: Frame) -> Frame:
        gate.wait(60)
        return frame

    broker = Broker(local(processor=blocked, drain_deadline_s=0.05, abort_grace_s=5.0))
    try:
        async with serving(broker) as rig, await rig.connect() as stream:
            await stream.send(FRAME)
            await until(lambda: broker.stats.frames == 1)
            report = await rig.stop()
    finally:
        gate.set()
    assert not report.clean
    assert len(report.aborted) == 1
    assert report.elapsed_s < 4.0


async def test_shutdown_before_serve() -> None:
    broker = Broker(local())
    broker.request_shutdown("never mind")
    async with serving(broker) as rig:
        report = await rig.over()
    assert (report.clean, report.reason) == (True, "never mind")


async def test_shutdown_from_many_threads_is_one_shutdown() -> None:
    async with serving() as rig, await rig.connect() as stream:
        await stream.send(FRAME)
        await until(lambda: rig.broker.stats.frames == 1)
        with capture_logs() as logs:
            threads = [
                threading.Thread(target=rig.broker.request_shutdown, args=(f"thread {i}",))
                for i in range(8)
            ]
            for thread in threads:
                thread.start()
            report = await rig.over()
            for thread in threads:
                thread.join()
            rig.broker.request_shutdown("again")
    assert report.clean
    assert report.reason.startswith("thread ")
    events = [log["event"] for log in logs]
    assert events.count("shutdown_requested") == events.count("shutdown_complete") == 1


async def test_cancelled_from_outside_it_closes_every_socket_and_the_cancellation_goes_on() -> None:
    broker, stopped, addresses = Broker(local()), [], []

    async def work(frame: Frame) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            stopped.append(frame.payload)

    seen = broker.subscribe(work)

    async def serve(*, task_status: TaskStatus[tuple[str, int]]) -> None:
        try:
            await broker.serve(task_status=task_status)
        finally:
            addresses.append("left")

    async with anyio.create_task_group() as group:
        address = await group.start(serve)
        stream = await anyio.connect_tcp(*address)
        await stream.send(encode_frame(b"1") + FRAME[:7])
        await until(lambda: seen.received == 1)
        group.cancel_scope.cancel()
    assert group.cancel_scope.cancelled_caught
    assert (addresses, stopped) == (["left"], [b"1"])
    assert broker.stats.active == 0
    assert broker.report is None
    async with stream:
        assert await at_end(stream)
    with pytest.raises(OSError, match=r"(?i)connect"):
        await anyio.connect_tcp(*address)
