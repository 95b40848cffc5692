"""Every subscriber sees every event; who is too slow loses the oldest, and is told how many.

The model is Tokio's ``broadcast``: one ring for all, a cursor for each, and a sender that never
waits, so that no subscriber can hold up another. Two differences: the capacity is exact (Tokio
rounds it up to a power of two, and lag starts later than the number says), and sending to nobody
is no error.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Generic, TypeVar

from meridian.clock import Clock
from meridian.foundation.channels.broadcast_receiver import BroadcastReceiver
from meridian.foundation.channels.capacity import checked_capacity
from meridian.foundation.channels.closing import warn_unclosed
from meridian.foundation.channels.errors import SendClosed
from meridian.foundation.channels.payload import freeze
from meridian.foundation.channels.ring import BroadcastStats, Ring

__all__ = ["BroadcastReceiver", "BroadcastSender", "BroadcastStats", "broadcast"]

T = TypeVar("T")
_here = threading.get_ident


def broadcast(
    capacity: int, *, name: str | None = None, freeze: bool = True, clock: Clock | None = None
) -> BroadcastSender[T]:
    """A broadcast that holds the latest `capacity` items for those who have not read them.

    With `freeze`, arrays are made read-only when they are sent: several will share them. `clock`
    is what the log of lagging subscribers goes by. Raises `ValueError` for a capacity that is no
    int of at least 1.
    """
    capacity = checked_capacity(capacity)
    return BroadcastSender(Ring(capacity, name), freezes=freeze, clock=clock)


class BroadcastSender(Generic[T]):
    """The end that events go in at; several tasks may share it. Close it, or use ``async with``."""

    def __init__(self, ring: Ring[T], *, freezes: bool, clock: Clock | None) -> None:
        self._ring = ring
        self._freezes = freezes
        self._plain: set[type] = set()  # types of items that are no arrays
        self._clock = clock

    def send(self, item: T) -> int:
        """Put `item` in, at once; how many subscribers there are for it, 0 being as good as any.

        Lets no other task run: a task that sends without end has to yield by itself. Raises
        `SendClosed`, with the item, after `close`.
        """
        ring = self._ring
        if ring.thread != _here():
            ring.enter()
        if ring.closed:
            raise SendClosed(ring.name, item)
        if self._freezes and type(item) not in self._plain:
            self._give_away((item,))
        return ring.put(item)

    def send_many(self, items: Iterable[T]) -> int:
        """`send` each, and wake the subscribers once; how many there are.

        Raises `SendClosed`, with the list of them, after `close`; then none was sent.
        """
        ring = self._ring
        if ring.thread != _here():
            ring.enter()
        batch = list(items)
        if ring.closed:
            raise SendClosed(ring.name, batch)
        if self._freezes and not self._plain.issuperset(map(type, batch)):
            self._give_away(batch)
        return ring.put_many(batch)

    def subscribe(self, name: str | None = None) -> BroadcastReceiver[T]:
        """One subscriber more, from the next item on. After `close` it is at its end."""
        ring = self._ring
        if ring.thread != _here():
            ring.enter()
        ring.numbered += 1
        return BroadcastReceiver(ring, name or f"{ring.name}.{ring.numbered}", self._clock)

    def close(self) -> None:
        """Send no more; what is there can still be read.

        From any thread; closing twice is harmless.
        """
        self._ring.from_anywhere(self._ring.end)

    @property
    def name(self) -> str:
        return self._ring.name

    @property
    def capacity(self) -> int:
        return self._ring.capacity

    @property
    def is_closed(self) -> bool:
        return self._ring.closed

    @property
    def sent(self) -> int:
        """Items sent so far, those that nobody had subscribed for included."""
        return self._ring.sent

    @property
    def subscribers(self) -> int:
        """Subscribers that are neither closed nor collected."""
        return self._ring.subscribers - len(self._ring.collected)

    def statistics(self) -> BroadcastStats:
        return self._ring.statistics()

    def _give_away(self, items: Iterable[T]) -> None:
        """Freeze arrays, and remember the types of anything else."""
        if len(self._plain) > 64:  # types made at run time
            self._plain.clear()
        self._plain.update(type(item) for item in items if not freeze(item))

    async def __aenter__(self) -> BroadcastSender[T]:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        ring = self._ring
        if not ring.closed:
            ring.closed = True
            ring.abandoned(ring.waiters.call_all)
            if self.subscribers:
                warn_unclosed(ring, "sender")

    def __repr__(self) -> str:
        return f"<BroadcastSender {self._ring!r}, {self.subscribers} subscribers>"
