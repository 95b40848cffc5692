"""Wire frames of a broker become frames of sources, priorities and all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import anyio
import pytest

from meridian.foundation.channels import (
    AggregatorConfig,
    FeedKind,
    FeedReport,
    Frame,
    FramePriority,
    Receiver,
    Sender,
    TelemetryAggregator,
    WireFrame,
    channel,
    feed_from_broker,
)
from meridian.foundation.tasks import Broker, BrokerConfig
from meridian.foundation.tasks import Frame as BrokerFrame
from meridian.orbital.framing import encode_frames
from meridian.orbital.telemetry import FLAG_EMERGENCY, TelemetryFrame
from meridian.testing.settling import settle

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Wire:
    station_id: str
    payload: bytes


def wire(station_id: str, sequence: int, *, flags: int = 0) -> Wire:
    return Wire(station_id, TelemetryFrame(25544, sequence, 1, 7, flags, b"body").to_wire())


def wires(capacity: int) -> tuple[Sender[WireFrame], Receiver[WireFrame]]:
    return channel(capacity)


class Rig:
    """An aggregator that keeps what it processes, and may be held by a gate."""

    def __init__(self, **config: int) -> None:
        self.frames: list[Frame] = []
        self.gate = anyio.Event()
        self.gate.set()
        self.aggregator = TelemetryAggregator(AggregatorConfig(**config), process=self._process)

    async def _process(self, frame: Frame) -> None:
        await self.gate.wait()
        self.frames.append(frame)


async def test_each_station_is_a_source_and_the_header_tells_the_rest() -> None:
    rig = Rig()

    async def frames() -> AsyncIterator[Wire]:
        yield wire("a", 5)
        yield wire("b", 9, flags=FLAG_EMERGENCY)
        yield Wire("a", b"too short")
        yield Wire("c", wire("c", 1).payload + b"!")
        yield wire("a", 6)

    async with anyio.create_task_group() as group:
        group.start_soon(rig.aggregator.run)
        report = await feed_from_broker(frames(), rig.aggregator)
        rig.aggregator.request_shutdown()
    assert report == FeedReport(forwarded=3, malformed=2, refused=0, sources=2)
    assert sorted(rig.frames, key=lambda f: f.sequence) == [
        Frame(0, FeedKind.LIVE_UPLINK, FramePriority.ROUTINE, 5, wire("a", 5).payload),
        Frame(0, FeedKind.LIVE_UPLINK, FramePriority.ROUTINE, 6, wire("a", 6).payload),
        Frame(
            1,
            FeedKind.LIVE_UPLINK,
            FramePriority.EMERGENCY,
            9,
            wire("b", 9, flags=FLAG_EMERGENCY).payload,
        ),
    ]


@pytest.mark.usefixtures("virtual_time")
async def test_a_silent_station_is_closed_and_opened_anew() -> None:
    rig = Rig()
    sender, received = wires(16)
    reports: list[FeedReport] = []

    async def feed() -> None:
        reports.append(await feed_from_broker(received, rig.aggregator, idle_s=60))

    async with anyio.create_task_group() as group:
        group.start_soon(rig.aggregator.run)
        group.start_soon(feed)
        await sender.send(wire("a", 0))
        await anyio.sleep(50)
        await sender.send(wire("b", 1))
        await anyio.sleep(9)
        assert rig.aggregator.sources() == (0, 1)
        await anyio.sleep(2)
        assert rig.aggregator.sources() == (1,), "only a is silent for 60 s"
        await anyio.sleep(40)
        await sender.send(wire("b", 2))
        await anyio.sleep(30)
        assert rig.aggregator.sources() == (1,), "b spoke 30 s ago"
        await sender.send(wire("a", 3))
        await settle()
        assert rig.aggregator.sources() == (1, 0)
        await anyio.sleep(61)
        assert rig.aggregator.sources() == ()
        sender.close()
        await settle()
        assert reports == [FeedReport(forwarded=4, malformed=0, refused=0, sources=3)]
        rig.aggregator.request_shutdown()
    assert [(f.source_id, f.sequence) for f in rig.frames] == [(0, 0), (1, 1), (1, 2), (0, 3)]


@pytest.mark.usefixtures("virtual_time")
async def test_a_station_that_waits_for_room_is_not_silent() -> None:
    rig = Rig(feed_capacity=1, routine_capacity=1, processor_capacity=1)
    rig.gate = anyio.Event()

    async def frames() -> AsyncIterator[Wire]:
        for sequence in range(8):
            yield wire("a", sequence)

    async with anyio.create_task_group() as group:
        group.start_soon(rig.aggregator.run)
        reports: list[FeedReport] = []

        async def feed() -> None:
            reports.append(await feed_from_broker(frames(), rig.aggregator, idle_s=5))

        group.start_soon(feed)
        await anyio.sleep(100)
        rig.gate.set()
        await settle()
        assert reports == [FeedReport(forwarded=8, malformed=0, refused=0, sources=1)]
        rig.aggregator.request_shutdown()
    assert [frame.sequence for frame in rig.frames] == list(range(8))


async def test_it_ends_with_the_aggregator() -> None:
    rig = Rig()
    sender, received = wires(16)
    async with anyio.create_task_group() as group:
        group.start_soon(rig.aggregator.run)
        await sender.send(wire("a", 0))
        reports: list[FeedReport] = []

        async def feed() -> None:
            reports.append(await feed_from_broker(received, rig.aggregator))

        group.start_soon(feed)
        await settle()
        rig.aggregator.request_shutdown()
        await sender.send(wire("a", 1))
        await settle()
        assert reports == [FeedReport(forwarded=1, malformed=0, refused=1, sources=1)]
    sender.close()


async def test_a_source_that_was_removed_is_opened_with_the_next_frame() -> None:
    rig = Rig()
    sender, received = wires(16)
    async with anyio.create_task_group() as group:
        group.start_soon(rig.aggregator.run)
        group.start_soon(feed_from_broker, received, rig.aggregator)
        await sender.send(wire("a", 0))
        await settle()
        await rig.aggregator.remove_source(0)
        await sender.send_many([wire("a", 1), wire("a", 2)])
        sender.close()
        await settle()
        rig.aggregator.request_shutdown()
    assert [frame.sequence for frame in rig.frames] == [0, 2]


async def test_ids_that_are_taken_are_left_alone_and_errors_come_through() -> None:
    rig = Rig()

    async def frames() -> AsyncIterator[Wire]:
        yield wire("a", 0)
        raise OSError("the disk is gone")

    async with anyio.create_task_group() as group:
        group.start_soon(rig.aggregator.run)
        async with await rig.aggregator.add_source(0, FeedKind.ARCHIVED_REPLAY):
            with pytest.raises(OSError, match="the disk"):
                await feed_from_broker(frames(), rig.aggregator)
        assert rig.aggregator.sources() == ()
        rig.aggregator.request_shutdown()
    assert [frame.source_id for frame in rig.frames] == [1]
    for idle_s in (0, -1, float("nan"), float("inf"), True, None):
        error = ValueError if type(idle_s) in (int, float) else TypeError
        with pytest.raises(error, match="idle_s"):
            await feed_from_broker(frames(), rig.aggregator, idle_s=idle_s)  # type: ignore[arg-type]


async def test_a_broker_over_sockets() -> None:
    """Stations connect to a broker; what they send reaches the aggregator's subscribers."""
    rig = Rig()
    broker = Broker(BrokerConfig(host="127.0.0.1", port=0))
    sender, received = wires(64)
    reports: list[FeedReport] = []

    async def hand_over(frame: BrokerFrame) -> None:
        await sender.send(frame)

    async def feed() -> None:
        reports.append(await feed_from_broker(received, rig.aggregator))

    broker.subscribe(hand_over, name="aggregator")
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(rig.aggregator.run)
            group.start_soon(feed)
            async with anyio.create_task_group() as serving:
                address = await serving.start(broker.serve)
                for station in range(3):
                    flags = [FLAG_EMERGENCY if n == station else 0 for n in range(20)]
                    payloads = [wire("", n, flags=flags[n]).payload for n in range(20)]
                    async with await anyio.connect_tcp(*address) as stream:
                        await stream.send(encode_frames(payloads))
                while broker.stats.frames < 60:
                    await anyio.sleep(0.005)
                broker.request_shutdown()
            sender.close()
            await settle()
            rig.aggregator.request_shutdown()
    assert reports == [FeedReport(forwarded=60, malformed=0, refused=0, sources=3)]
    for station in range(3):
        mine = [frame for frame in rig.frames if frame.source_id == station]
        assert sorted(frame.sequence for frame in mine) == list(range(20))
        urgent = [frame.sequence for frame in mine if frame.priority is FramePriority.EMERGENCY]
        assert len(urgent) == 1
