"""Every frame to every handler, each in a task of its own, so that none can hold up another."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel
import structlog

from meridian.clock import Clock
from meridian.foundation.channels.broadcast import BroadcastReceiver, BroadcastSender, broadcast
from meridian.foundation.channels.errors import Lagged
from meridian.foundation.tasks.broker_records import BrokerStats, Frame, HandlerStats

__all__ = ["FanOut", "Handler", "HandlerTask", "LogThrottle"]

Handler = Callable[[Frame], Awaitable[None]]

_BATCH = 128  # frames a handler takes at once
_log = structlog.get_logger(__name__)


class FanOut:
    """Passes frames on in the order they are published in, at the pace of whoever keeps up.

    One connection publishes at a time, and lets the handlers run before it has filled half of
    the ring. So a handler that never waits misses nothing, however many connections deliver at
    once; one that does wait falls behind alone.
    """

    def __init__(self, capacity: int, stats: BrokerStats, clock: Clock) -> None:
        self._sender: BroadcastSender[Frame] = broadcast(
            capacity, name="frames", freeze=False, clock=clock
        )
        self._stride = max(1, capacity // 2)
        self._in_stride = 0  # published since handlers had a turn
        self._turn = anyio.Lock(fast_acquire=True)
        self._stats = stats
        self._clock = clock

    async def publish(self, frames: list[Frame]) -> None:
        """Pass on `frames`, of one connection; cancelled, perhaps only the first of them."""
        async with self._turn:
            for start in range(0, len(frames), self._stride):
                part = frames[start : start + self._stride]
                if self._in_stride + len(part) > self._stride:
                    await anyio.lowlevel.checkpoint()
                    self._in_stride = 0
                self._sender.send_many(part)
                self._in_stride += len(part)

    def attach(self, handler: Handler, seen: HandlerStats) -> HandlerTask:
        """Let `handler` see every frame from now on; somebody has to run it."""
        seen._receiver = self._sender.subscribe(seen.name)
        return HandlerTask(seen._receiver, handler, seen, self._stats, LogThrottle(self._clock))

    def close(self) -> None:
        """No more frames will come: a handler's task ends when it has seen those that did."""
        self._sender.close()


class HandlerTask:
    """One handler's task: calls it with one frame after another, and survives what it raises."""

    def __init__(
        self,
        receiver: BroadcastReceiver[Frame],
        handler: Handler,
        seen: HandlerStats,
        stats: BrokerStats,
        throttle: LogThrottle,
    ) -> None:
        self._receiver = receiver
        self._handler = handler
        self._seen = seen
        self._stats = stats
        self._throttle = throttle

    async def run(self) -> None:
        receiver, seen, handler = self._receiver, self._seen, self._handler
        try:
            while True:
                try:
                    frames = await receiver.recv_many(_BATCH)
                except Lagged:  # which the receiver has counted and logged
                    continue
                if not frames:
                    return
                for frame in frames:
                    seen.received += 1
                    try:
                        await handler(frame)
                    except Exception as error:
                        self._count(error)
        finally:
            self.settle()

    def settle(self) -> None:
        """Take no more frames; those that the handler was not given count as missed."""
        self._receiver.close()
        self._seen._settle()

    def _count(self, error: Exception) -> None:
        self._seen.errors += 1
        self._stats.handler_errors += 1
        if self._throttle.due():
            seen = self._seen
            _log.error("handler_error", handler=seen.name, errors=seen.errors, exc_info=error)


class LogThrottle:
    """Says when a line may be logged again: a flood of errors is not to become one of lines."""

    def __init__(self, clock: Clock, interval_s: float = 1.0) -> None:
        self._clock = clock
        self._interval_s = interval_s
        self._next_s: float | None = None

    def due(self) -> bool:
        """Whether the interval has passed since this last said so."""
        now_s = self._clock.monotonic()
        if self._next_s is not None and now_s < self._next_s:
            return False
        self._next_s = now_s + self._interval_s
        return True
