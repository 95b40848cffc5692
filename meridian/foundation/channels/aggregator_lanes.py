"""Where accepted frames wait, apart by urgency up to the moment of processing.

Routine frames go from the feed of their source to a lane that all share, and from there, a few at
a time, to the front of the processor; emergencies have one lane, straight to the processor. No
task carries frames from one place to the next: whoever takes makes the others move up, in the same
step. So nothing is ever in the hands of a task that could die or wait with it, and the processor
chooses between the lanes with nothing behind the choice.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import anyio

from meridian.foundation.channels.aggregator_config import AggregatorConfig
from meridian.foundation.channels.aggregator_records import FeedKind, Frame, FramePriority
from meridian.foundation.channels.loop_bound import LoopBound
from meridian.foundation.channels.mpsc import Receiver, Sender, channel
from meridian.foundation.sync.errors import WrongThread
from meridian.foundation.tasks.parking import Waiter

__all__ = ["Lanes", "Source"]

_here = threading.get_ident


class Source:
    """One source as the aggregator knows it: a feed of its own, and whether it is at its end."""

    __slots__ = ("closed", "discarded", "feed", "gone", "inlet", "kind", "source_id", "waiting")

    def __init__(self, source_id: int, kind: FeedKind, capacity: int, name: str) -> None:
        self.source_id = source_id
        self.kind = kind
        self.inlet: Sender[Frame]
        self.feed: Receiver[Frame]
        self.inlet, self.feed = channel(capacity, name=name)
        self.waiting = 0  # tasks between asking for room in the feed and having used it
        self.closed = False
        self.discarded = 0
        self.gone = anyio.Event()

    def close(self) -> None:
        """Let nothing more in; those who wait for room are refused."""
        self.closed = True
        self.feed.close()


class Lanes(LoopBound):
    """Every method is one step of the loop. `on_accept` is called for each frame that comes in."""

    def __init__(self, config: AggregatorConfig, name: str, on_accept: Callable[[], None]) -> None:
        super().__init__()
        self.name = name
        self.sources: dict[int, Source] = {}
        self.urgent_in: Sender[Frame]
        self.urgent_in, self._urgent = channel(config.emergency_capacity, name=f"{name}.emergency")
        self.urgent_waiting = 0
        self.stopped = False
        self._config = config
        self._on_accept = on_accept
        self._routine: deque[Frame] = deque()
        self._front: deque[Frame] = deque()
        self._turns: deque[Source] = deque()  # those with frames in their feeds, the next one first
        self._quantum = max(1, config.feed_capacity // 2)
        self._high_run = 0
        self._sleeper: Waiter | None = None

    def misused(self) -> WrongThread:
        return WrongThread(f"Aggregator {self.name}", "send from tasks of the loop that runs it")

    # -- going in --------------------------------------------------------------------------------

    def try_put(self, source: Source, frame: Frame) -> bool:
        """Take `frame` in if there is room and nobody came before; whether that was so."""
        if self.thread != _here():
            self.enter()
        if frame.priority is FramePriority.EMERGENCY:
            if self.urgent_waiting or len(self._urgent) >= self._config.emergency_capacity:
                return False
            self.urgent_in.try_send(frame)
        elif source.waiting:
            return False
        elif not self._turns and len(self._routine) < self._config.routine_capacity:
            self._routine.append(frame)
        elif len(source.feed) < source.feed.capacity:
            source.inlet.try_send(frame)
            self._queue(source)
        else:
            return False
        self._accepted()
        return True

    async def put(self, source: Source, frame: Frame, check: Callable[[], None]) -> None:
        """Wait for room in turn; `check` raises if the frame may not come in when there is some.

        Raises `SendClosed` when the source or the lanes are closed meanwhile.
        """
        self.enter_loop()
        if frame.priority is FramePriority.EMERGENCY:
            self.urgent_waiting += 1
            try:
                with await self.urgent_in.reserve() as permit:
                    check()
                    permit.send(frame)
            finally:
                self.urgent_waiting -= 1
        else:
            source.waiting += 1
            try:
                with await source.inlet.reserve() as permit:
                    check()
                    permit.send(frame)
            finally:
                source.waiting -= 1
            self._queue(source)
            self._move_up()
        self._accepted()

    def _queue(self, source: Source) -> None:
        if len(source.feed) == 1:
            self._turns.append(source)

    def _accepted(self) -> None:
        if self._sleeper is not None:
            self._sleeper.wake()
        self._on_accept()

    # -- coming out ------------------------------------------------------------------------------

    def take(self) -> Frame | None:
        """The oldest emergency; else the oldest routine frame that is in front; ``None`` if none.

        Feeds have their turns, so no source waits for more than the half feed of each other.
        """
        if len(self._urgent) and not self._routine_is_due():
            self._high_run += 1
            return self._urgent.try_recv()
        self._high_run = 0
        if not self._front:
            if not self._routine:
                return None
            self._draw()
        return self._front.popleft()

    def _routine_is_due(self) -> bool:
        most = self._config.max_high_run
        return most is not None and self._high_run >= most and bool(self._front or self._routine)

    def _draw(self) -> None:
        front, routine = self._front, self._routine
        if len(routine) <= self._config.processor_capacity:
            front.extend(routine)
            routine.clear()
        else:
            for _ in range(self._config.processor_capacity):
                front.append(routine.popleft())
        if self._turns:
            self._move_up()

    def _move_up(self) -> None:
        """Fill the routine lane from the feeds, a few frames of each in turn.

        A few: a sender that waits for room then has it for a few, and need not wait for each.
        """
        turns, routine = self._turns, self._routine
        room = self._config.routine_capacity - len(routine)
        while turns and room:
            source = turns.popleft()
            feed = source.feed
            count = min(self._quantum, len(feed), room)
            for _ in range(count):
                routine.append(feed.try_recv())
            room -= count
            if len(feed):
                turns.append(source)
            elif source.closed:
                self._forget(source)

    async def sleep(self) -> None:
        """Until a frame comes in, or the end."""
        self._sleeper = Waiter()
        try:
            await self._sleeper.wait()
        finally:
            self._sleeper = None

    # -- sources and the end ---------------------------------------------------------------------

    def add(self, source_id: int, kind: FeedKind) -> Source:
        name = f"{self.name}.feed-{source_id}"
        source = Source(source_id, kind, self._config.feed_capacity, name)
        self.sources[source_id] = source
        return source

    def close(self, source: Source) -> None:
        """Let nothing more in from `source`; it is forgotten when its feed is empty."""
        if not source.closed:
            self.enter()
            source.close()
            if not len(source.feed):
                self._forget(source)

    def discard(self, source: Source) -> int:
        """Throw away what is in the feed of `source`, and forget it; how many frames that was."""
        self.close(source)
        if count := len(source.feed):
            for _ in range(count):
                source.feed.try_recv()
            source.discarded += count
            self._turns.remove(source)
            self._forget(source)
        return count

    def _forget(self, source: Source) -> None:
        del self.sources[source.source_id]
        source.inlet.close()
        source.gone.set()

    def stop(self) -> None:
        """Let nothing more in at all; what is here can still be taken."""
        self.stopped = True
        for source in list(self.sources.values()):
            self.close(source)
        self._urgent.close()
        self.urgent_in.close()
        if self._sleeper is not None:
            self._sleeper.wake()

    def discard_all(self) -> None:
        """Stop, and throw away whatever is here."""
        self.stop()
        for _ in range(len(self._urgent)):
            self._urgent.try_recv()
        self._routine.clear()
        self._front.clear()
        for source in list(self.sources.values()):
            self.discard(source)

    def __repr__(self) -> str:
        behind = sum(len(source.feed) for source in self._turns)
        routine = len(self._front) + len(self._routine) + behind
        return f"<lanes of {self.name}: {len(self._urgent)} emergencies, {routine} routine frames>"
