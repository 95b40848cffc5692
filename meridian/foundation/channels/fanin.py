"""Many feeds into one: all alike (`merge`), or the urgent ones first (`priority_channel`).

Both only ask their sources, in an order that is the whole difference; they hold no item of their
own. A queue behind the choice would undo it: what is urgent would wait in line again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Generic, Protocol, TypeVar

import msgspec

from meridian.foundation.channels.capacity import checked_capacity
from meridian.foundation.channels.composed_receiver import ComposedReceiver, add_to_all
from meridian.foundation.channels.mpsc import ChannelStats, Receiver, Sender, channel
from meridian.foundation.channels.tagged import ArchivedReplay, FrameSource, LiveUplink, TaggedFrame
from meridian.foundation.tasks.readiness import CLOSED, PENDING, Closed, Pending, Ready, Selectable

__all__ = [
    "ArchivedReplay",
    "FrameSource",
    "LiveUplink",
    "MergedReceiver",
    "PriorityReceiver",
    "PrioritySender",
    "PriorityStats",
    "TaggedFrame",
    "merge",
    "priority_channel",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Mergeable(Selectable[T_co], Protocol[T_co]):
    """A receiver of any kind."""

    def close(self) -> None: ...
    def __len__(self) -> int: ...


def merge(*receivers: Mergeable[T], name: str = "merge") -> MergedReceiver[T]:
    """One receiver that takes from all `receivers` in turn, and ends when all have ended."""
    return MergedReceiver(receivers, name)


class MergedReceiver(ComposedReceiver[T]):
    """Several receivers as one. A branch of `select`.

    Those that have something are served in turn, one item each: of n, none waits for more than
    n - 1 items of others, however fast those come. What one of them raises (`Lagged`) is raised
    here, and the others go on.
    """

    def __init__(self, receivers: Iterable[Mergeable[T]], name: str) -> None:
        self.name = name
        self._sources = deque(receivers)  # those that have not ended, the next one first

    def _take(self) -> Ready[T] | Pending | Closed:
        sources = self._sources
        for _ in range(len(sources)):
            sources.rotate(-1)
            answer = sources[-1].try_take()
            if isinstance(answer, Ready):
                return answer
            if answer is CLOSED:
                sources.pop()
        return PENDING if sources else CLOSED

    def add_waiter(self, wake: Callable[[], object]) -> Callable[[], object]:
        if self._due is not None or not self._sources:
            wake()
        return add_to_all(self._sources, wake)

    def close(self) -> None:
        """Let nothing into any of them any more. Closing twice is harmless."""
        for source in self._sources:
            source.close()

    def __len__(self) -> int:
        """How many items lie ready in all of them."""
        return sum(map(len, self._sources))

    def __repr__(self) -> str:
        state = "open" if self._sources else "closed"
        return f"<MergedReceiver {self.name}: {len(self)} of {len(self._sources)} feeds, {state}>"


def priority_channel(
    high: int = 64, low: int = 256, *, max_high_run: int | None = None, name: str | None = None
) -> tuple[PrioritySender[T], PriorityReceiver[T]]:
    """A channel with two lanes, `high` and `low` items long, of which the high one is taken first.

    Routine items starve while urgent ones keep coming, which is meant. `max_high_run` bounds it:
    after so many urgent items in a row while routine ones lay ready, one of those is taken.
    Raises `ValueError` for a capacity or a run that is no int of at least 1.
    """
    if max_high_run is not None:
        max_high_run = checked_capacity(max_high_run, "max_high_run")
    name = name or "priority"
    urgent: tuple[Sender[T], Receiver[T]] = channel(high, name=f"{name}.high")
    routine: tuple[Sender[T], Receiver[T]] = channel(low, name=f"{name}.low")
    return PrioritySender(urgent[0], routine[0]), PriorityReceiver(
        urgent[1], routine[1], max_high_run
    )


class PriorityStats(msgspec.Struct, frozen=True, kw_only=True):
    """What each lane has done so far."""

    high: ChannelStats
    low: ChannelStats


class PrioritySender(Generic[T]):
    """One of the ends that items go in at. Close each, or use it with ``async with``.

    The lanes share nothing: a full low one never delays what is urgent.
    """

    def __init__(self, high: Sender[T], low: Sender[T]) -> None:
        self._high = high
        self._low = low

    async def send(self, item: T, *, high: bool) -> None:
        """Put `item` into its lane, as `Sender.send` does; the other is not looked at."""
        await (self._high if high else self._low).send(item)

    def try_send(self, item: T, *, high: bool) -> None:
        """Put `item` into its lane now. Raises `Full` or `SendClosed`, with the item."""
        (self._high if high else self._low).try_send(item)

    def clone(self) -> PrioritySender[T]:
        """One sender more. Raises `SendClosed`."""
        high = self._high.clone()
        try:
            return PrioritySender(high, self._low.clone())
        except BaseException:
            high.close()
            raise

    def close(self) -> None:
        """Send no more from here. Closing twice is harmless."""
        self._high.close()
        self._low.close()

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be sent from here any more."""
        return self._high.is_closed

    async def closed(self) -> None:
        """Until the receiver has gone. Always a checkpoint."""
        await self._high.closed()

    def statistics(self) -> PriorityStats:
        return PriorityStats(high=self._high.statistics(), low=self._low.statistics())

    async def __aenter__(self) -> PrioritySender[T]:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<PrioritySender {self._high!r}, {self._low!r}>"


class PriorityReceiver(ComposedReceiver[T]):
    """The end that items come out at, urgent ones first. A branch of `select`."""

    def __init__(self, high: Receiver[T], low: Receiver[T], max_high_run: int | None) -> None:
        self.name = high.name.removesuffix(".high")
        self._high = high
        self._low = low
        self._most = max_high_run
        self._run = 0  # urgent items in a row while routine ones lay ready

    def _take(self) -> Ready[T] | Pending | Closed:
        if self._most is not None and self._run >= self._most:
            answer = self._low.try_take()
            if isinstance(answer, Ready):
                self._run = 0
                return answer
        answer = self._high.try_take()
        if isinstance(answer, Ready):
            self._run = self._run + 1 if len(self._low) else 0
            return answer
        self._run = 0
        other = self._low.try_take()
        return answer if other is CLOSED else other

    def add_waiter(self, wake: Callable[[], object]) -> Callable[[], object]:
        lanes = [lane for lane in (self._high, self._low) if not lane.is_closed]
        if not lanes:
            wake()
        return add_to_all(lanes, wake)  # one that has ended would wake at once, and in vain

    def close(self) -> None:
        """Let nothing in any more; what is there can still be taken. Twice is harmless."""
        self._high.close()
        self._low.close()

    def __len__(self) -> int:
        """How many items lie ready in both lanes."""
        return len(self._high) + len(self._low)

    @property
    def high_pending(self) -> int:
        return len(self._high)

    @property
    def low_pending(self) -> int:
        return len(self._low)

    def statistics(self) -> PriorityStats:
        return PriorityStats(high=self._high.statistics(), low=self._low.statistics())

    def __repr__(self) -> str:
        return f"<PriorityReceiver {self._high!r}, {self._low!r}>"
