"""One connection's life: bytes in, whole frames out, and an end between frames."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

import anyio
import structlog
from anyio.abc import ByteStream

from meridian.clock import Clock
from meridian.foundation.tasks.blocking import BlockingPool
from meridian.foundation.tasks.broker_fanout import LogThrottle
from meridian.foundation.tasks.broker_records import BrokerConfig, BrokerStats, Frame, Processor
from meridian.foundation.tasks.cancel import CancellationToken
from meridian.orbital.framing import FrameDecoder, TruncatedFrame

__all__ = ["Service", "Session"]

_CHUNK = 262_144  # bytes read at once
_SLICE_S = 0.005  # for which a thread goes on with the frames of one connection
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Service:
    """What all connections of a broker share."""

    config: BrokerConfig
    stats: BrokerStats
    token: CancellationToken
    clock: Clock
    publish: Callable[[list[Frame]], Awaitable[None]]
    pool: BlockingPool | None = None
    sessions: set[Session] = field(default_factory=set)


class Session:
    """Reads one connection until it ends, or until shutdown finds it between two frames.

    A frame that has begun is read to its end, however long ago shutdown was requested; what comes
    after it is not. Only the wait for more bytes is ever interrupted, and that loses none of them.
    """

    def __init__(self, station_id: str, stream: ByteStream, service: Service) -> None:
        self.station_id = station_id
        self._stream = stream
        self._service = service
        self._decoder = FrameDecoder(service.config.max_payload)
        self._waiting: anyio.CancelScope | None = None
        self._rejections = LogThrottle(service.clock)
        self._frames = 0
        service.stats.accepted += 1
        service.sessions.add(self)
        service.stats.active = len(service.sessions)
        _log.info("connection_established", station=station_id)

    async def run(self) -> None:
        try:
            await self._read()
        except (TruncatedFrame, anyio.BrokenResourceError):
            # A peer that resets its connection between two frames has lost nothing of ours.
            self._service.stats.truncated += not self._decoder.at_boundary
        except anyio.get_cancelled_exc_class():
            _log.warning("session_aborted", station=self.station_id)
            raise
        finally:
            await self.end()

    async def end(self) -> None:
        """Close the connection, and forget it. Twice is harmless."""
        service = self._service
        if self not in service.sessions:
            return
        service.sessions.discard(self)
        service.stats.active = len(service.sessions)
        _log.info("connection_closed", station=self.station_id, frames=self._frames)
        with anyio.CancelScope(shield=True):  # neither of these waits
            with suppress(OSError, anyio.BrokenResourceError):  # the peer was faster
                await self._stream.send_eof()  # else unread bytes would turn the end into a reset
            await self._stream.aclose()

    def interrupt(self) -> None:
        """Shutdown was requested: look up from waiting for bytes."""
        if self._waiting is not None:
            self._waiting.cancel()

    # -- bytes to frames -------------------------------------------------------------------------

    async def _read(self) -> None:
        decoder = self._decoder
        while True:
            last = self._service.token.is_cancelled  # only the frame that has begun is read then
            if last and decoder.at_boundary:
                return None
            try:
                chunk = await self._receive(last)
            except anyio.EndOfStream:
                return decoder.eof()
            payloads = decoder.feed(chunk)
            await self._deliver(payloads[:1] if last else payloads)
            if decoder.fault is not None:
                self._reject(1, decoder.fault)
                return None
            if last and payloads:
                return None

    async def _receive(self, last: bool) -> bytes:
        """More bytes; none when shutdown is requested while there are none."""
        if last:
            return await self._stream.receive(_CHUNK)
        with anyio.CancelScope() as self._waiting:
            return await self._stream.receive(_CHUNK)
        return b""

    # -- frames to handlers ----------------------------------------------------------------------

    async def _deliver(self, payloads: list[bytes]) -> None:
        if not payloads:
            return
        service, station_id = self._service, self.station_id
        self._frames += len(payloads)
        service.stats.frames += len(payloads)
        service.stats.bytes += sum(map(len, payloads))
        frames = [Frame(station_id, payload) for payload in payloads]
        if service.pool is None:
            await service.publish(frames)
            return
        assert service.config.processor is not None
        while frames:
            # One call at a time: what several threads did with the frames of one connection would
            # come back in any order.
            done = await service.pool.run(
                _process, service.config.processor, frames, abandon_on_cancel=True
            )
            if done.rejected:
                self._reject(done.rejected, done.error)
            await service.publish(done.kept)
            frames = frames[done.taken :]

    def _reject(self, count: int, error: Exception | None) -> None:
        self._service.stats.rejected_frames += count
        if self._rejections.due():
            why = "the processor returned None" if error is None else repr(error)
            _log.warning("frame_rejected", station=self.station_id, rejected=count, reason=why)


class _Processed(NamedTuple):
    taken: int
    kept: list[Frame]
    rejected: int
    error: Exception | None  # the last


def _process(processor: Processor, frames: list[Frame]) -> _Processed:
    """In a thread: as many of `frames` as fit a slice of time, and at least one.

    A hop costs more than many a processor; all frames of a chunk in one would hold back the first
    until the last is done.
    """
    until_s = time.monotonic() + _SLICE_S
    kept: list[Frame] = []
    taken = rejected = 0
    last: Exception | None = None
    for frame in frames:
        taken += 1
        try:
            result = processor(frame)
            if not isinstance(result, (Frame, type(None))):
                raise TypeError(f"Expected Frame or None, got {type(result).__name__}")
        except Exception as error:
            rejected += 1
            last = error
        else:
            if result is None:
                rejected += 1
            else:
                kept.append(result)
        if time.monotonic() >= until_s:
            break
    return _Processed(taken, kept, rejected, last)
