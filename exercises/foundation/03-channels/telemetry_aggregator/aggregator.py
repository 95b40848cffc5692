"""The aggregator: many sources, two lanes, one processor, any number of subscribers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from meridian.foundation.channels import BroadcastReceiver, WatchReceiver

from .config import AggregatorConfig
from .records import AggregatorReport, FeedKind, Frame, PipelineStats
from .source import SourceHandle

__all__ = ["TelemetryAggregator"]

Process = Callable[[Frame], Awaitable[None]]


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
            "foundation/03-channels #1, #5: TelemetryAggregator() - lanes, counts, self.stats"
        )

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> AggregatorReport:
        """Process until a shutdown is requested and all that was accepted is processed; a report.

        At the latest `shutdown_deadline_s` after the request it returns, with ``clean=False``.
        However it ends: senders are refused, subscribers and those who wait for `stats` come to
        their end, and nobody is left waiting in `remove_source`.
        """
        raise NotImplementedError(
            "foundation/03-channels #1, #4, #6: run() - choose, process, count, show; drain"
        )

    async def add_source(self, source_id: int, kind: FeedKind) -> SourceHandle:
        """A new source. Raises `DuplicateSource` while one of that id is there, `ShuttingDown`."""
        raise NotImplementedError(
            "foundation/03-channels #2: add_source() - refuse an id that is there"
        )

    async def remove_source(self, source_id: int, *, drain: bool = True) -> int:
        """Close a source and wait until it has none waiting; how many frames were discarded.

        With `drain` that is none. Without, what waits in its feed is thrown away. Raises
        `UnknownSource`.
        """
        raise NotImplementedError(
            "foundation/03-channels #2: remove_source() - close, and wait until it is empty"
        )

    def subscribe(self, name: str | None = None) -> BroadcastReceiver[Frame]:
        """A subscriber to every frame that is processed from now on.

        One that lags logs `handler_lagged` with its name by itself; nothing else is logged.
        """
        raise NotImplementedError("foundation/03-channels #4, #7: subscribe() - one receiver more")

    def request_shutdown(self) -> None:
        """Accept nothing more from now on. From any thread; before `run` too; twice is harmless."""
        raise NotImplementedError(
            "foundation/03-channels #6: request_shutdown() - what send() and run() look at"
        )
