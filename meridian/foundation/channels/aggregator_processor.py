"""The one task that works frames off: what is urgent first, each counted before it is shown."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias

from anyio.lowlevel import checkpoint

from meridian.foundation.channels.aggregator_lanes import Lanes
from meridian.foundation.channels.aggregator_records import Frame, FramePriority, PipelineStats
from meridian.foundation.channels.broadcast import BroadcastSender
from meridian.foundation.channels.watch import WatchSender

__all__ = ["Account", "OnError", "Process", "Processor"]

Process: TypeAlias = Callable[[Frame], Awaitable[None]]
OnError: TypeAlias = Literal["skip", "stop"] | Callable[[Frame, Exception], Awaitable[None]]


class Account:
    """What became of every frame. Whoever sees a frame finds it counted already."""

    __slots__ = ("_watch", "discarded", "emergency", "failed", "processed", "rejected", "routed")

    def __init__(self, watch: WatchSender[PipelineStats]) -> None:
        self._watch = watch
        self.routed = self.processed = self.emergency = 0
        self.failed = self.rejected = self.discarded = 0

    def accepted(self) -> None:
        self.routed += 1
        self._publish()

    def completed(self, frame: Frame) -> None:
        self.processed += 1
        if frame.priority is FramePriority.EMERGENCY:
            self.emergency += 1
        self._publish()

    @property
    def waiting(self) -> int:
        """Accepted, and nothing has become of them yet."""
        return self.routed - self.processed - self.failed - self.discarded

    def _publish(self) -> None:
        self._watch.send(PipelineStats(self.routed, self.processed, self.emergency))


class Processor:
    """Takes frames from the lanes until these are stopped and empty.

    `turn` is how many frames it works on in a row before it lets other tasks run.
    """

    def __init__(
        self,
        lanes: Lanes,
        account: Account,
        out: BroadcastSender[Frame],
        process: Process | None,
        on_error: OnError,
        turn: int,
    ) -> None:
        self.drained = False
        self.failure: tuple[Frame, Exception] | None = None
        """What ended it, where that was no shutdown."""
        self._lanes = lanes
        self._account = account
        self._out = out
        self._process = process
        self._on_error = on_error
        self._turn = turn

    async def run(self) -> None:
        lanes, process, turn = self._lanes, self._process, self._turn
        completed, send = self._account.completed, self._out.send
        left = turn
        while self.failure is None:
            frame = lanes.take()
            if frame is None:
                if lanes.stopped:
                    self.drained = True
                    return
                await lanes.sleep()
                left = turn
                continue
            try:
                if process is not None:
                    await process(frame)
            except Exception as error:
                await self._failed(frame, error)
            else:
                completed(frame)
                send(frame)
            left -= 1
            if left <= 0:
                left = turn
                await checkpoint()

    async def _failed(self, frame: Frame, error: Exception) -> None:
        self._account.failed += 1
        if self._on_error == "stop":
            self.failure = (frame, error)
        elif callable(self._on_error):
            try:
                await self._on_error(frame, error)
            except Exception as second:
                self.failure = (frame, second)
