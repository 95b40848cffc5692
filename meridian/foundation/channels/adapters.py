"""Wiring between the ingestion broker, or any other producer of wire frames, and the aggregator."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterable
from typing import Protocol

import anyio
import msgspec

from meridian.checks import checked_seconds
from meridian.foundation.channels.aggregator import (
    DuplicateSource,
    FeedKind,
    Frame,
    FramePriority,
    ShuttingDown,
    SourceHandle,
    TelemetryAggregator,
)
from meridian.foundation.channels.errors import SendClosed
from meridian.orbital.telemetry import BadTelemetryFrame, parse_wire_frame

__all__ = ["FeedReport", "WireFrame", "feed_from_broker"]


class WireFrame(Protocol):
    """A payload, and the connection that it came from."""

    @property
    def station_id(self) -> str: ...
    @property
    def payload(self) -> bytes: ...


class FeedReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the wire frames: ``forwarded + malformed + refused`` is all of them."""

    forwarded: int
    malformed: int
    """Frames with a header that cannot be parsed, or a body of another size than it says."""
    refused: int
    """Frames that the aggregator did not take any more."""
    sources: int
    """Sources that were opened."""


async def feed_from_broker(
    frames: AsyncIterable[WireFrame], aggregator: TelemetryAggregator, *, idle_s: float = 60.0
) -> FeedReport:
    """Send all `frames` to `aggregator`, as one source for each station, until one of both ends.

    `frames` may be a channel that a handler of a broker fills. Priority and sequence come from
    the header of 24 bytes; the payload goes on as it is, header included. Where the routine feed
    of a station is full this waits, and with it whoever fills `frames`.

    A station that is silent for `idle_s` has its source closed, and all that it sent is processed;
    when it speaks again, it has a new source. Ids of sources are the smallest from 0 that are free
    when they are opened. Raises what `frames` raises; `TypeError` or `ValueError` for a time that
    is none, not above 0 or not finite.
    """
    idle_s = checked_seconds("idle_s", idle_s, positive=True, finite=True)
    feed = _Feed(aggregator, idle_s)
    failure: Exception | None = None
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(feed.close_idle)
            try:
                async for wire in frames:
                    await feed.forward(wire)
                    if feed.ended:
                        break
            except Exception as error:
                failure = error  # raised as it is, and not in a group
            group.cancel_scope.cancel()
    finally:
        feed.close()
    if failure is not None:
        raise failure
    return FeedReport(
        forwarded=feed.forwarded,
        malformed=feed.malformed,
        refused=feed.refused,
        sources=feed.opened,
    )


class _Station:
    __slots__ = ("heard_s", "sending", "source")

    def __init__(self, source: SourceHandle) -> None:
        self.source = source
        self.heard_s = anyio.current_time()
        self.sending = False


class _Feed:
    def __init__(self, aggregator: TelemetryAggregator, idle_s: float) -> None:
        self.forwarded = self.malformed = self.refused = self.opened = 0
        self.ended = False
        self._aggregator = aggregator
        self._idle_s = idle_s
        self._stations: OrderedDict[str, _Station] = OrderedDict()  # the longest silent first

    async def forward(self, wire: WireFrame) -> None:
        try:
            telemetry = parse_wire_frame(wire.payload)
        except BadTelemetryFrame:
            self.malformed += 1
            return
        urgent = telemetry.is_emergency
        try:
            station = self._stations.get(wire.station_id) or await self._open(wire.station_id)
            frame = Frame(
                station.source.source_id,
                station.source.kind,
                FramePriority.EMERGENCY if urgent else FramePriority.ROUTINE,
                telemetry.sequence,
                wire.payload,
            )
            station.sending = True
            try:
                await station.source.send(frame)
            finally:
                station.sending = False
                station.heard_s = anyio.current_time()
                self._stations.move_to_end(wire.station_id)
        except ShuttingDown:
            self.refused += 1
            self.ended = True
        except SendClosed:  # somebody has removed the source
            self.refused += 1
            del self._stations[wire.station_id]
        else:
            self.forwarded += 1

    async def _open(self, station_id: str) -> _Station:
        taken = set(self._aggregator.sources())
        source_id = 0
        while True:
            while source_id in taken:
                source_id += 1
            try:
                source = await self._aggregator.add_source(source_id, FeedKind.LIVE_UPLINK)
            except DuplicateSource:  # taken meanwhile
                taken.add(source_id)
                continue
            self.opened += 1
            station = self._stations[station_id] = _Station(source)
            return station

    async def close_idle(self) -> None:
        """Close the sources of those that are silent for too long, each at its time."""
        while True:
            now_s = wake_s = anyio.current_time()
            while self._stations:
                station_id, station = next(iter(self._stations.items()))
                if station.sending and station.heard_s < now_s:  # what keeps it waiting is room
                    self._stations.move_to_end(station_id)
                    station.heard_s = now_s
                    continue
                wake_s = station.heard_s
                if wake_s + self._idle_s > now_s:
                    break
                del self._stations[station_id]
                station.source.close()
                wake_s = now_s
            await anyio.sleep_until(wake_s + self._idle_s)

    def close(self) -> None:
        for station in self._stations.values():
            station.source.close()
        self._stations.clear()
