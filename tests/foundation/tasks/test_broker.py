"""The broker over real sockets: every frame to every handler, and each trouble its owner's own."""

from __future__ import annotations

import errno
import os
import socket
import struct

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream
from structlog.testing import capture_logs

from meridian.foundation.tasks import (
    Broker,
    BrokerConfig,
    BrokerElsewhere,
    BrokerUsed,
    Frame,
    HandlerNameTaken,
    UnknownHandler,
)
from meridian.orbital.framing import encode_frame, encode_frames
from tests.foundation.tasks.broker_rig import Recorder, at_end, local, serving, until

pytestmark = pytest.mark.anyio


def reset(stream: SocketStream) -> None:
    """Have the connection end with a reset when it is closed."""
    raw = stream.extra(SocketAttribute.raw_socket)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def test_every_handler_sees_every_frame_in_the_order_of_its_connection() -> None:
    broker = Broker(local())
    recorders = [Recorder() for _ in range(3)]
    seen = [broker.subscribe(recorder) for recorder in recorders]
    sent = {
        n: [b"", bytes([n]) * 65_536, *(b"%d-%d" % (n, i) for i in range(50))] for n in range(4)
    }
    async with serving(broker) as rig:

        async def station(payloads: list[bytes]) -> None:
            async with await rig.connect() as stream:
                for payload in payloads:
                    await stream.send(encode_frame(payload))
                assert await at_end(stream)

        async with anyio.create_task_group() as group:
            for payloads in sent.values():
                group.start_soon(station, payloads)
            await until(lambda: broker.stats.frames == 4 * 52)
            report = await rig.stop()
    assert report.clean
    for recorder in recorders:
        assert sorted(recorder.by_station().values()) == sorted(sent.values())
        assert recorder.frames == recorders[0].frames
    assert [(s.received, s.missed, s.errors) for s in seen] == [(208, 0, 0)] * 3
    assert [s.name for s in seen] == ["handler-1", "handler-2", "handler-3"]
    assert broker.stats.bytes == sum(len(p) for payloads in sent.values() for p in payloads)


async def test_stations_are_numbered_as_they_come() -> None:
    recorder = Recorder()
    async with serving() as rig:
        rig.broker.subscribe(recorder)
        names = []
        for n in range(1, 4):
            async with await rig.connect() as stream:
                host, port = stream.extra(SocketAttribute.local_address)[:2]
                names.append(f"gs-{n}@{host}:{port}")
                await stream.send(encode_frame(b"x"))
                await until(lambda n=n: len(recorder.frames) == n)  # type: ignore[misc]
        await until(lambda: rig.broker.stats.active == 0)
    assert [frame.station_id for frame in recorder.frames] == names
    assert rig.broker.stats.accepted == 3


async def test_a_station_that_stalls_in_its_header_holds_up_nobody() -> None:
    recorder = Recorder()
    async with serving() as rig:
        rig.broker.subscribe(recorder)
        async with await rig.connect() as stalled, await rig.connect() as other:
            await stalled.send(b"\0\0")
            for i in range(20):
                await other.send(encode_frame(b"%d" % i))
            await until(lambda: len(recorder.frames) == 20)
            assert rig.broker.stats.active == 2
    assert recorder.payloads() == [b"%d" % i for i in range(20)]


async def test_a_handler_that_never_waits_misses_nothing_of_a_burst() -> None:
    broker = Broker(local(broadcast_capacity=8))
    recorder = Recorder()
    seen = broker.subscribe(recorder)
    burst = encode_frames([b"%d" % i for i in range(500)])
    async with serving(broker) as rig, anyio.create_task_group() as group:

        async def station() -> None:
            async with await rig.connect() as stream:
                await stream.send(burst)
                assert await at_end(stream)

        for _ in range(6):
            group.start_soon(station)
        await until(lambda: broker.stats.frames == 3_000)
        broker.request_shutdown()
    assert (seen.received, seen.missed) == (3_000, 0)
    assert all(
        payloads == [b"%d" % i for i in range(500)] for payloads in recorder.by_station().values()
    )


async def test_a_slow_handler_lags_alone_and_its_account_is_exact() -> None:
    broker = Broker(local(broadcast_capacity=16))
    recorder, gate, given = Recorder(), anyio.Event(), []

    async def slow(frame: Frame) -> None:
        given.append(frame)
        await gate.wait()

    lagging, fast = broker.subscribe(slow, name="slow"), broker.subscribe(recorder)
    with capture_logs() as logs:
        async with serving(broker) as rig, await rig.connect() as stream:
            await stream.send(encode_frame(b"first"))
            await until(lambda: lagging.received == 1)
            await stream.send(encode_frames([b"%d" % i for i in range(2_000)]))
            await until(lambda: fast.received == 2_001)
            assert lagging.received == 1
            assert lagging.missed == 2_000 - 16
            gate.set()
            report = await rig.stop()
    assert report.clean
    assert (lagging.received, lagging.missed, fast.missed) == (17, 1_984, 0)
    assert [frame.payload for frame in given[1:]] == [b"%d" % i for i in range(1_984, 2_000)]
    assert [log["name"] for log in logs if log["event"] == "handler_lagged"] == ["slow"]


async def test_a_handler_that_raises_is_counted_and_goes_on() -> None:
    broker = Broker(local())
    recorder = Recorder()

    async def broken(frame: Frame) -> None:
        raise KeyError(frame.payload)

    bad, good = broker.subscribe(broken, name="bad"), broker.subscribe(recorder)
    with capture_logs() as logs:
        async with serving(broker) as rig, await rig.connect() as stream:
            await stream.send(encode_frames([b"x"] * 300))
            await until(lambda: bad.errors == 300)
            assert good.errors == 0
    assert good.received == 300
    assert broker.stats.handler_errors == 300
    lines = [log for log in logs if log["event"] == "handler_error"]
    assert lines[0]["handler"] == "bad"
    assert isinstance(lines[0]["exc_info"], KeyError)
    assert len(lines) < 30, "told seldom"


async def test_without_handlers_frames_are_counted_and_connections_stay() -> None:
    async with serving() as rig, await rig.connect() as stream:
        stats = rig.broker.stats
        await stream.send(encode_frame(b"a"))
        await until(lambda: stats.frames == 1)
        recorder = Recorder()
        seen = rig.broker.subscribe(recorder, name="late")
        await stream.send(encode_frame(b"b"))
        await until(lambda: seen.received == 1)
        rig.broker.unsubscribe("late")
        with pytest.raises(UnknownHandler):
            rig.broker.unsubscribe("late")
        await stream.send(encode_frame(b"c"))
        await until(lambda: stats.frames == 3)
        assert stats.active == 1
    assert recorder.payloads() == [b"b"]
    assert (seen.received, seen.missed) == (1, 0)


async def test_a_handler_stopped_in_its_work_is_cancelled_there() -> None:
    steps: list[str] = []

    async def stuck(frame: Frame) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            steps.append("left")

    async with serving() as rig, await rig.connect() as stream:
        seen = rig.broker.subscribe(stuck, name="stuck")
        await stream.send(encode_frames([b"1", b"2", b"3"]))
        await until(lambda: seen.received == 1 and rig.broker.stats.frames == 3)
        rig.broker.unsubscribe("stuck")
        await until(lambda: steps)
        await stream.send(encode_frame(b"4"))
        await until(lambda: rig.broker.stats.frames == 4)
    assert (seen.received, seen.missed) == (1, 2)


@pytest.mark.parametrize("length", [65_537, 2**32 - 1])
async def test_a_length_above_the_limit_ends_its_connection_alone(length: int) -> None:
    recorder = Recorder()
    with capture_logs() as logs:
        async with serving() as rig:
            rig.broker.subscribe(recorder)
            async with await rig.connect() as bad, await rig.connect() as good:
                header = length.to_bytes(4, "big")
                await bad.send(encode_frames([b"before", b"it"]) + header + b"behind it")
                assert await at_end(bad)
                await good.send(encode_frame(b"fine"))
                await until(lambda: len(recorder.frames) == 3)
                assert rig.broker.stats.active == 1
    assert recorder.payloads() == [b"before", b"it", b"fine"]
    assert rig.broker.stats.rejected_frames == 1
    assert rig.broker.stats.truncated == 0
    (line,) = [log for log in logs if log["event"] == "frame_rejected"]
    assert str(length) in line["reason"]


@pytest.mark.parametrize("wire", [b"\0", b"\0\0\0\x05abc"])
@pytest.mark.parametrize("by_reset", [False, True])
async def test_a_connection_that_ends_inside_a_frame_is_counted(
    wire: bytes, by_reset: bool
) -> None:
    async with serving() as rig:
        async with await rig.connect() as stream:
            await stream.send(encode_frame(b"whole") + wire)
            await until(lambda: rig.broker.stats.frames == 1)
            if by_reset:
                reset(stream)
        await until(lambda: rig.broker.stats.truncated == 1)
        await until(lambda: rig.broker.stats.active == 0)
        async with await rig.connect() as stream:
            await stream.send(encode_frame(b"next"))
            await until(lambda: rig.broker.stats.frames == 2)


async def test_a_reset_between_frames_is_only_an_end() -> None:
    async with serving() as rig:
        async with await rig.connect() as stream:
            await stream.send(encode_frame(b"whole"))
            await until(lambda: rig.broker.stats.frames == 1)
            reset(stream)
        await until(lambda: rig.broker.stats.active == 0)
    assert rig.broker.stats.truncated == 0


async def test_connections_come_and_go_and_leave_nothing() -> None:
    recorder = Recorder()
    async with serving() as rig:
        rig.broker.subscribe(recorder)
        async with await rig.connect() as stream:  # whatever is opened once
            await stream.send(encode_frame(b"0"))
            await until(lambda: len(recorder.frames) == 1)
        await until(lambda: rig.broker.stats.active == 0)
        before = len(os.listdir("/proc/self/fd"))
        for i in range(1, 101):
            async with await rig.connect() as stream:
                await stream.send(encode_frame(b"%d" % i))
        await until(lambda: len(recorder.frames) == 101 and rig.broker.stats.active == 0)
        await until(lambda: len(os.listdir("/proc/self/fd")) == before)
    assert sorted(map(int, recorder.payloads())) == list(range(101))
    assert rig.broker.stats.accepted == 101


async def test_an_address_in_use_is_told_before_anything_starts() -> None:
    async with serving() as rig:
        second = Broker(BrokerConfig(host="127.0.0.1", port=rig.address[1]))
        with pytest.raises(OSError, match=os.strerror(errno.EADDRINUSE)):
            await second.serve()
        await rig.stop()
    async with serving(second) as again:  # once the address is free, the same broker serves
        assert again.address == rig.address


async def test_a_broker_serves_once() -> None:
    async with serving() as rig:
        with pytest.raises(BrokerUsed, match="serve"):
            await rig.broker.serve()
        await rig.stop()
        with pytest.raises(BrokerUsed):
            await rig.broker.serve()
        with pytest.raises(BrokerUsed, match="subscribe"):
            rig.broker.subscribe(Recorder())


async def test_handlers_are_changed_in_the_thread_of_the_loop_only() -> None:
    async with serving() as rig, await rig.connect() as stream:
        recorder = Recorder()
        rig.broker.subscribe(recorder, name="archive")
        with pytest.raises(BrokerElsewhere, match="subscribe"):
            await anyio.to_thread.run_sync(rig.broker.subscribe, Recorder())
        with pytest.raises(BrokerElsewhere, match="unsubscribe"):
            await anyio.to_thread.run_sync(rig.broker.unsubscribe, "archive")
        await stream.send(encode_frame(b"still heard"))
        await until(lambda: recorder.frames)


async def test_a_handler_is_stopped_by_its_name_and_an_unknown_name_is_told() -> None:
    broker = Broker()
    with pytest.raises(UnknownHandler, match=r"^No handler 'archive': there is none$"):
        broker.unsubscribe("archive")
    for name in ("archive", "alerts"):
        broker.subscribe(Recorder(), name=name)
    with pytest.raises(KeyError, match=r"^No handler 'alert': there are 'archive', 'alerts'$"):
        broker.unsubscribe("alert")
    broker.unsubscribe("archive")
    with pytest.raises(UnknownHandler, match="there are 'alerts'") as caught:
        broker.unsubscribe("archive")
    assert (caught.value.name, caught.value.known) == ("archive", ("alerts",))
    with pytest.raises(TypeError, match="name as str, got HandlerStats"):
        broker.unsubscribe(broker.subscribe(Recorder()))  # type: ignore[arg-type]


async def test_two_handlers_have_two_names() -> None:
    broker = Broker()
    broker.subscribe(Recorder(), name="archive")
    with pytest.raises(HandlerNameTaken, match="'archive'"):
        broker.subscribe(Recorder(), name="archive")
    broker.unsubscribe("archive")
    assert broker.subscribe(Recorder(), name="archive").name == "archive"
    with pytest.raises(TypeError, match="name as str, got int"):
        broker.subscribe(Recorder(), name=7)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"host": 7}, TypeError),
        ({"port": -1}, ValueError),
        ({"port": 65_536}, ValueError),
        ({"port": True}, TypeError),
        ({"broadcast_capacity": 0}, ValueError),
        ({"max_payload": -1}, ValueError),
        ({"drain_deadline_s": float("nan")}, ValueError),
        ({"abort_grace_s": -0.1}, ValueError),
        ({"abort_grace_s": "1"}, TypeError),
        ({"processor": 3}, TypeError),
        ({"processor_threads": 0}, ValueError),
    ],
)
async def test_a_configuration_that_makes_no_sense(bad: dict[str, object], error: type) -> None:
    with pytest.raises(error, match=next(iter(bad))):
        BrokerConfig(**bad)  # type: ignore[arg-type]


async def test_a_handler_has_to_be_callable() -> None:
    with pytest.raises(TypeError, match="handler"):
        Broker().subscribe("log")  # type: ignore[arg-type]
