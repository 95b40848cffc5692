"""The aggregator: many sources, two lanes, one processor, any number of subscribers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from meridian.foundation.channels import BroadcastReceiver, WatchReceiver

from .config import AggregatorConfig
from .records import AggregatorReport, FeedKind, Frame, PipelineStats
from .source import SourceHandle

### BEGIN SOLUTION
# isort: split
from collections import deque

import anyio
from anyio.lowlevel import checkpoint

from meridian.foundation.channels import (
    BroadcastSender,
    Receiver,
    SendClosed,
    Sender,
    broadcast,
    channel,
    watch,
)
from meridian.foundation.tasks import CancellationToken

from .records import DuplicateSource, FramePriority, ShuttingDown, UnknownSource
from .source import _Source

### END SOLUTION
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
        ### BEGIN SOLUTION #1, #5: TelemetryAggregator() - lanes, counts, self.stats
        self._config = config = config or AggregatorConfig()
        self._process = process
        self._emergency_in: Sender[Frame]
        self._emergency: Receiver[Frame]
        self._emergency_in, self._emergency = channel(config.emergency_capacity)
        self._routine: deque[Frame] = deque()
        self._sources: dict[int, _Source] = {}
        self._ready: deque[_Source] = deque()  # those with frames in their feeds, in turn
        self._news = anyio.Event()
        self._out: BroadcastSender[Frame] = broadcast(config.broadcast_capacity)
        self._watch, self.stats = watch(PipelineStats())
        self._routed = self._processed = self._urgent = self._rejected = 0
        self._token = CancellationToken()
        self._stopped = False
        ### END SOLUTION

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> AggregatorReport:
        """Process until a shutdown is requested and all that was accepted is processed; a report.

        At the latest `shutdown_deadline_s` after the request it returns, with ``clean=False``.
        However it ends: senders are refused, subscribers and those who wait for `stats` come to
        their end, and nobody is left waiting in `remove_source`.
        """
        ### BEGIN SOLUTION #1, #4, #6: run() - choose, process, count, show; drain
        start_s = anyio.current_time()
        clean = False
        try:
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(self._stop_when_asked, scope)
                    task_status.started()
                    await self._process_all()
                    clean = True
                    group.cancel_scope.cancel()
        finally:
            self._token.cancel()
            self._stop()
            for source in list(self._sources.values()):
                self._discard(source)
            self._watch.close()
            self._out.close()
        return AggregatorReport(
            routed=self._routed,
            processed=self._processed,
            emergency=self._urgent,
            rejected=self._rejected,
            discarded=self._routed - self._processed,
            clean=clean,
            elapsed_s=anyio.current_time() - start_s,
        )
        ### END SOLUTION

    async def add_source(self, source_id: int, kind: FeedKind) -> SourceHandle:
        """A new source. Raises `DuplicateSource` while one of that id is there, `ShuttingDown`."""
        ### BEGIN SOLUTION #2: add_source() - refuse an id that is there
        await checkpoint()
        if self._token.is_cancelled:
            raise ShuttingDown
        if source_id in self._sources:
            raise DuplicateSource(source_id)
        source = _Source(source_id, kind, self._config.feed_capacity)
        self._sources[source_id] = source
        return SourceHandle(self, source)
        ### END SOLUTION

    async def remove_source(self, source_id: int, *, drain: bool = True) -> int:
        """Close a source and wait until it has none waiting; how many frames were discarded.

        With `drain` that is none. Without, what waits in its feed is thrown away. Raises
        `UnknownSource`.
        """
        ### BEGIN SOLUTION #2: remove_source() - close, and wait until it is empty
        source = self._sources.get(source_id)
        if source is None:
            raise UnknownSource(source_id)
        self._close(source)
        if not drain:
            self._discard(source)
        await source.gone.wait()
        return source.discarded
        ### END SOLUTION

    def subscribe(self, name: str | None = None) -> BroadcastReceiver[Frame]:
        """A subscriber to every frame that is processed from now on.

        One that lags logs `handler_lagged` with its name by itself; nothing else is logged.
        """
        ### BEGIN SOLUTION #4, #7: subscribe() - one receiver more
        return self._out.subscribe(name)
        ### END SOLUTION

    def request_shutdown(self) -> None:
        """Accept nothing more from now on. From any thread; before `run` too; twice is harmless."""
        ### BEGIN SOLUTION #6: request_shutdown() - what send() and run() look at
        self._token.cancel()
        ### END SOLUTION

    ### BEGIN SOLUTION

    # -- in: every method is one step of the loop, so nothing can come between its lines ---------

    def _check(self, source: _Source, frame: Frame) -> None:
        """Raise unless `frame` may come in."""
        if frame.source_id != source.source_id:
            raise ValueError(f"Expected a frame of source {source.source_id}, got {frame}")
        if self._token.is_cancelled:
            self._rejected += 1
            raise ShuttingDown(frame)
        if source.closed:
            raise SendClosed(f"source {source.source_id}", frame)

    def _inlet(self, source: _Source, frame: Frame) -> Sender[Frame]:
        """Where `frame` goes in: what is urgent has a way of its own."""
        return self._emergency_in if frame.priority is FramePriority.EMERGENCY else source.inlet

    def _accepted(self, source: _Source, frame: Frame) -> None:
        self._routed += 1
        self._publish()
        if frame.priority is FramePriority.ROUTINE:
            if len(source.feed) == 1:
                self._ready.append(source)
            if len(self._ready) == 1:  # where others wait, the processor fills the lane
                self._fill()
        self._news.set()

    # -- out -------------------------------------------------------------------------------------

    def _take(self) -> Frame | None:
        """The frame to process next: chosen now, with no queue behind the choice."""
        if len(self._emergency):
            return self._emergency.try_recv()
        if not self._routine:
            self._fill()
        return self._routine.popleft() if self._routine else None

    def _fill(self) -> None:
        """Move frames from the feeds to the lane, one of each source in turn."""
        while self._ready and len(self._routine) < self._config.routine_capacity:
            source = self._ready.popleft()
            self._routine.append(source.feed.try_recv())
            if len(source.feed):
                self._ready.append(source)
            elif source.closed:
                self._forget(source)

    async def _process_all(self) -> None:
        # Tasks run in any order: between two turns of a subscriber lie two of the processor, and
        # when it is told to let others run amid its frames, two more.
        room = self._config.broadcast_capacity // 4
        turn = max(1, min(self._config.processor_capacity, room))
        taken = 0
        while True:
            frame = self._take()
            if frame is None:
                if self._stopped:
                    return
                self._news = anyio.Event()
                await self._news.wait()
                continue
            try:
                if self._process is not None:
                    await self._process(frame)
            except Exception:
                pass  # skipped
            else:
                self._completed(frame)
            taken += 1
            if taken % turn == 0:
                await checkpoint()  # subscribers have their turn before they lag

    def _completed(self, frame: Frame) -> None:
        self._processed += 1
        self._urgent += frame.priority is FramePriority.EMERGENCY
        self._publish()
        self._out.send(frame)

    def _publish(self) -> None:
        self._watch.send(PipelineStats(self._routed, self._processed, self._urgent))

    # -- the end ---------------------------------------------------------------------------------

    async def _stop_when_asked(self, scope: anyio.CancelScope) -> None:
        await self._token.cancelled()
        scope.deadline = anyio.current_time() + self._config.shutdown_deadline_s
        self._stop()

    def _stop(self) -> None:
        """Let nothing more in; what is here is still processed."""
        self._stopped = True
        for source in list(self._sources.values()):
            self._close(source)
        self._emergency.close()
        self._news.set()

    def _close(self, source: _Source) -> None:
        if source.closed:
            return
        source.closed = True
        source.feed.close()  # those who wait for room are refused
        if not len(source.feed):
            self._forget(source)

    def _discard(self, source: _Source) -> None:
        while len(source.feed):
            source.feed.try_recv()
            source.discarded += 1
        if source in self._ready:
            self._ready.remove(source)
        self._forget(source)

    def _forget(self, source: _Source) -> None:
        if self._sources.get(source.source_id) is source:  # else another has the id by now
            del self._sources[source.source_id]
        source.inlet.close()
        source.gone.set()

    ### END SOLUTION
