"""The aggregator: many sources, two lanes, one processor, any number of subscribers."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Any

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus
from anyio.lowlevel import checkpoint

from meridian.foundation.channels.broadcast import BroadcastReceiver, BroadcastSender, broadcast
from meridian.foundation.channels.errors import Full, SendClosed
from meridian.foundation.channels.mpsc import Receiver, Sender, channel
from meridian.foundation.channels.watch import WatchReceiver, watch
from meridian.foundation.tasks.cancel import CancellationToken

from .config import AggregatorConfig
from .records import (
    AggregatorReport,
    DuplicateSource,
    FeedKind,
    Frame,
    FramePriority,
    PipelineStats,
    ShuttingDown,
    UnknownSource,
)

__all__ = ["SourceHandle", "TelemetryAggregator"]

Process = Callable[[Frame], Awaitable[None]]


class SourceHandle:
    """What one source sends by; several tasks may share it. Close it, or use ``async with``."""

    def __init__(self, aggregator: TelemetryAggregator, source: Any) -> None:
        self._aggregator = aggregator
        self._source = source

    async def send(self, frame: Frame) -> None:
        """Have `frame` accepted as soon as there is room for it; cancelled, it was not.

        Raises `ShuttingDown` with the frame once a shutdown was requested, also when it waited;
        `SendClosed` with the frame when this source was closed or removed; `ValueError` for a
        frame of another source.
        """
        raise NotImplementedError(
            "foundation/03-channels #3: SourceHandle.send() - wait for room, refuse when it is over"
        )

    def try_send(self, frame: Frame) -> None:
        """`send` without waiting. Raises `Full` with the frame, and what `send` does."""
        raise NotImplementedError(
            "foundation/03-channels #3: SourceHandle.try_send() - the same, now or never"
        )

    def close(self) -> None:
        """Send no more; what was accepted is processed. Closing twice is harmless."""
        raise NotImplementedError(
            "foundation/03-channels #2: SourceHandle.close() - and the source is forgotten when it is empty"
        )

    async def __aenter__(self) -> SourceHandle:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class TelemetryAggregator:
    """Merges what its sources send, has it processed by one task, and shows it to subscribers.

    - **Accepted** is a frame whose `send` has returned. It is processed, whatever happens, but at
      the deadline of a shutdown, or when its source is removed with ``drain=False``.
    - **Order.** When the processor takes a frame, no emergency that was accepted before waits.
      Emergencies keep the order they were accepted in, and so do routine frames of one source.
    - **Pressure.** Every place is bounded. A source waits for room of its own; a full routine lane
      keeps no emergency waiting.
    - **Subscribers** see every frame whose processing is complete, in that order. What they see is
      counted in `stats` before they see it. One that lags misses frames and holds up nobody.
    """

    stats: WatchReceiver[PipelineStats]
    """The latest counts: ``stats.borrow()``, in any thread, without a lock."""

    def __init__(
        self, config: AggregatorConfig | None = None, *, process: Process | None = None
    ) -> None:
        """`process` is awaited for one frame at a time; by default nothing is done.

        A frame for which it raises is skipped: neither processed nor shown.
        """
        raise NotImplementedError(
            "foundation/03-channels #1: TelemetryAggregator() - lanes that stay apart up to the processor"
        )

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> AggregatorReport:
        """Process until a shutdown is requested and all that was accepted is processed; a report.

        At the latest `shutdown_deadline_s` after the request it returns, with ``clean=False``.
        However it ends: senders are refused, subscribers and those who wait for `stats` come to
        their end, and nobody is left waiting in `remove_source`.
        """
        raise NotImplementedError(
            "foundation/03-channels #6: run() - stop intake, drain, close; and a deadline for it"
        )

    async def add_source(self, source_id: int, kind: FeedKind) -> SourceHandle:
        """A new source. Raises `DuplicateSource` while one of that id is there, `ShuttingDown`."""
        raise NotImplementedError(
            "foundation/03-channels #2: add_source() - an id is free again when its source is empty"
        )

    async def remove_source(self, source_id: int, *, drain: bool = True) -> int:
        """Close a source and wait until it has none waiting; how many frames were discarded.

        With `drain` that is none. Without, what waits in its feed is thrown away. Raises
        `UnknownSource`.
        """
        raise NotImplementedError(
            "foundation/03-channels #2: remove_source() - what it had accepted goes on, or is counted"
        )

    def subscribe(self, name: str | None = None) -> BroadcastReceiver[Frame]:
        """A subscriber to every frame that is processed from now on."""
        raise NotImplementedError("foundation/03-channels #4: subscribe() - one subscriber more")

    def request_shutdown(self) -> None:
        """Accept nothing more from now on. From any thread; before `run` too; twice is harmless."""
        raise NotImplementedError(
            "foundation/03-channels #6: request_shutdown() - from any thread, seen at once"
        )
