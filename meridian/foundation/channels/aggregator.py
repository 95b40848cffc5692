"""Many telemetry sources into one stream: emergencies first, every frame accounted for.

Backpressure reaches each source alone: a send waits for room in its own feed. Downstream nobody
holds up anybody: subscribers that lag miss frames, counted, and the latest statistics are one
value that any thread reads without a lock.

>>> aggregator = TelemetryAggregator(process=store)
>>> async with anyio.create_task_group() as group:
...     await group.start(aggregator.run)
...     async with await aggregator.add_source(25544, FeedKind.LIVE_UPLINK) as source:
...         await source.send(frame)
...     aggregator.request_shutdown()
"""

from __future__ import annotations

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from meridian.foundation.channels.aggregator_config import AggregatorConfig
from meridian.foundation.channels.aggregator_lanes import Lanes
from meridian.foundation.channels.aggregator_processor import Account, OnError, Process, Processor
from meridian.foundation.channels.aggregator_records import (
    AggregatorReport,
    AggregatorStats,
    AggregatorUsed,
    FeedKind,
    Frame,
    FramePriority,
    PipelineStats,
    ProcessFailed,
    ShuttingDown,
)
from meridian.foundation.channels.aggregator_source import SourceHandle
from meridian.foundation.channels.broadcast import BroadcastReceiver, BroadcastSender, broadcast
from meridian.foundation.channels.router import DuplicateSource, UnknownSource
from meridian.foundation.channels.watch import WatchReceiver, watch
from meridian.foundation.tasks.cancel import CancellationToken

__all__ = [
    "AggregatorConfig",
    "AggregatorReport",
    "AggregatorStats",
    "AggregatorUsed",
    "DuplicateSource",
    "FeedKind",
    "Frame",
    "FramePriority",
    "PipelineStats",
    "ProcessFailed",
    "ShuttingDown",
    "SourceHandle",
    "TelemetryAggregator",
    "UnknownSource",
]


class TelemetryAggregator:
    """Merges what its sources send, has it processed by one task, and shows it to subscribers.

    *Accepted* is a frame whose `send` has returned; none is lost from then on but at the deadline
    of a shutdown. Emergencies are processed before any routine frame that waits, in the order they
    were accepted; routine frames in that order within their source. Frames are broadcast in the
    order of processing. One aggregator runs once, in the loop that first uses it.
    """

    def __init__(
        self,
        config: AggregatorConfig | None = None,
        *,
        process: Process | None = None,
        on_error: OnError = "skip",
        name: str = "aggregator",
    ) -> None:
        """`process` is awaited for one frame at a time; by default nothing is done.

        When it raises, the frame counts as failed and is not broadcast. What then happens is
        `on_error`: ``"skip"`` goes on, ``"stop"`` ends the run (`ProcessFailed`), and a function
        is awaited with the frame and the exception, and then goes on; what that raises ends the
        run.

        Raises `TypeError` for what cannot be called, `ValueError` for another word.
        """
        if process is not None and not callable(process):
            raise TypeError(f"Expected a process to call, got {process!r}")
        if isinstance(on_error, str):
            if on_error not in ("skip", "stop"):
                raise ValueError(f'Expected on_error "skip", "stop" or a function: {on_error!r}')
        elif not callable(on_error):
            raise TypeError(f"Expected on_error as a word or a function, got {on_error!r}")
        self.config = config = AggregatorConfig() if config is None else config
        self.name = name
        self.stats: WatchReceiver[PipelineStats]
        """The latest counts; ``stats.borrow()`` in any thread. `clone` it to wait for changes."""
        self._watch, self.stats = watch(PipelineStats(), name=f"{name}.stats")
        self._out: BroadcastSender[Frame] = broadcast(config.broadcast_capacity, name=f"{name}.out")
        self._account = Account(self._watch)
        self._lanes = Lanes(config, name, self._account.accepted)
        # A quarter: in an unlucky order of tasks a subscriber runs only after several turns.
        turn = max(1, min(config.processor_capacity, config.broadcast_capacity // 4))
        self._processor = Processor(self._lanes, self._account, self._out, process, on_error, turn)
        self._token = CancellationToken()
        self._ran = False
        self._removals = anyio.Semaphore(config.ctrl_capacity)

    # -- its life --------------------------------------------------------------------------------

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> AggregatorReport:
        """Process until a shutdown is requested and all that was accepted is processed; a report.

        Raises `ProcessFailed` where `on_error` says so, `AggregatorUsed` the second time, and
        `WrongThread` in another loop than its sources are used in. Cancelled, it discards what is
        left. Whatever ends it, senders are refused and subscribers come to their end.
        """
        if self._ran:
            raise AggregatorUsed
        self._lanes.enter_loop()
        self._ran = True
        start_s = anyio.current_time()
        try:
            with anyio.CancelScope() as draining:
                async with anyio.create_task_group() as group:
                    group.start_soon(self._stop_when_asked, draining)
                    task_status.started()
                    await self._processor.run()
                    group.cancel_scope.cancel()
        finally:
            self._end()
        report = self._report(anyio.current_time() - start_s)
        if self._processor.failure is not None:
            frame, error = self._processor.failure
            raise ProcessFailed(frame, report) from error
        return report

    def request_shutdown(self) -> None:
        """Refuse frames and sources from now on, and end `run` when the accepted ones are done.

        From any thread and from signal handlers; before `run` too. Twice is harmless.
        """
        self._token.cancel("shutdown requested")

    async def _stop_when_asked(self, draining: anyio.CancelScope) -> None:
        await self._token.cancelled()
        draining.deadline = anyio.current_time() + self.config.shutdown_deadline_s
        self._lanes.stop()

    def _end(self) -> None:
        """Leave no frame without an account, and nobody waiting."""
        self._token.cancel("the run has ended")
        self._lanes.discard_all()
        self._account.discarded += self._account.waiting  # the frame in hand is among them
        for end in (self._watch, self._out):
            end.close()

    def _report(self, elapsed_s: float) -> AggregatorReport:
        account = self._account
        return AggregatorReport(
            routed=account.routed,
            processed=account.processed,
            emergency=account.emergency,
            rejected=account.rejected,
            discarded=account.discarded,
            clean=self._processor.drained,
            elapsed_s=elapsed_s,
            failed=account.failed,
        )

    # -- its sources -----------------------------------------------------------------------------

    async def add_source(self, source_id: int, kind: FeedKind) -> SourceHandle:
        """A new source, whose frames go in through the handle. A checkpoint, passed first.

        Raises `DuplicateSource` while another of that id is there, a draining one too;
        `ShuttingDown`; `TypeError` for an id that is no int or a kind that is none.
        """
        if type(source_id) is not int:
            raise TypeError(f"Expected source_id as int, got {type(source_id).__name__}")
        if not isinstance(kind, FeedKind):
            raise TypeError(f"Expected kind as FeedKind, got {kind!r}")
        await anyio.lowlevel.checkpoint()
        self._lanes.enter_loop()
        if self._token.is_cancelled:
            raise ShuttingDown
        if source_id in self._lanes.sources:
            raise DuplicateSource(source_id)
        source = self._lanes.add(source_id, kind)
        return SourceHandle(source, self._lanes, self._account, self._token)

    async def remove_source(self, source_id: int, *, drain: bool = True) -> int:
        """Close a source and wait until its feed is empty; how many of its frames were discarded.

        With `drain` that is none, unless the run ends first: all that it had accepted goes on to
        the processor. Without, what has not left its feed is thrown away; emergencies and frames
        in the lane go on all the same. The removal has begun when this first waits; being
        cancelled there does not take it back. Raises `UnknownSource`.
        """
        if type(source_id) is not int:
            raise TypeError(f"Expected source_id as int, got {type(source_id).__name__}")
        self._lanes.enter_loop()
        source = self._lanes.sources.get(source_id)
        if source is None:
            raise UnknownSource(source_id)
        if not drain:
            self._account.discarded += self._lanes.discard(source)
            await anyio.lowlevel.checkpoint()
            return source.discarded
        self._lanes.close(source)  # before anything waits: whatever happens, it is removed
        async with self._removals:
            await source.gone.wait()
        return source.discarded

    def subscribe(self, name: str | None = None) -> BroadcastReceiver[Frame]:
        """A subscriber to all frames that are processed from now on. Close it."""
        return self._out.subscribe(name)

    def sources(self) -> tuple[int, ...]:
        """The ids of the sources there are now, oldest first, draining ones included."""
        return tuple(self._lanes.sources)

    def statistics(self) -> AggregatorStats:
        account = self._account
        return AggregatorStats(
            routed=account.routed,
            processed=account.processed,
            failed=account.failed,
            discarded=account.discarded,
            waiting=account.waiting,
            emergency=account.emergency,
            rejected=account.rejected,
            sources=len(self._lanes.sources),
        )

    def __repr__(self) -> str:
        state = "stopping" if self._token.is_cancelled else "running" if self._ran else "new"
        return f"<TelemetryAggregator {self.name}, {state}: {self._lanes!r}>"
