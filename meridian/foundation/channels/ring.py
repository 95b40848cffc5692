"""The ring that all subscribers of a broadcast read from, each at a cursor of its own.

An item is kept until the slowest has passed it or `capacity` newer ones have come. Who stands
where is counted per position, so that an item is let go in the step in which the last subscriber
passes it, at a cost per item that does not grow with their number.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

import msgspec

from meridian.foundation.channels.policies import DropCounter
from meridian.foundation.channels.shared_state import SharedState

__all__ = ["BroadcastStats", "Ring"]

T = TypeVar("T")


class BroadcastStats(msgspec.Struct, frozen=True, kw_only=True):
    """What a broadcast has done so far."""

    sent: int
    """Items, those that nobody had subscribed for included."""
    held: int
    """Items that some subscriber has not read yet; never more than the capacity."""
    subscribers: int


class Ring(SharedState, Generic[T]):
    """Positions count up from 0 and never turn; position p lies in slot ``p % capacity``.

    ``tail <= every position held < head``. `standing` says how many subscribers stand at each
    position from `tail` to `head`; those that the ring has overtaken stand at `tail`.
    """

    def __init__(self, capacity: int, name: str | None) -> None:
        super().__init__("broadcast", name)
        self.capacity = capacity
        self.slots: list[T | None] = []  # grows up to the capacity
        self.head = 0
        self.tail = 0
        self.standing: dict[int, int] = {}
        self.subscribers = 0
        self.numbered = 0  # subscribers so far, for their names
        self.unseen = 0  # sent to nobody
        self.collected: deque[tuple[int, DropCounter]] = deque()  # collected without being closed

    # -- going in --------------------------------------------------------------------------------

    def put(self, item: T) -> int:
        """Append `item`; how many subscribers there are for it."""
        if self.collected:
            self.reap()
        if not self.subscribers:
            self.unseen += 1
            return 0
        head, slots = self.head, self.slots
        slot = head % self.capacity
        if slot < len(slots):
            slots[slot] = item
        else:
            slots.append(item)
        self.head = head = head + 1
        if head - self.tail > self.capacity:
            self._push_tail(head - self.capacity)
        if self.waiters:
            self.waiters.call_all()
        return self.subscribers

    def put_many(self, items: list[T]) -> int:
        """Append all; how many subscribers there are for them."""
        if self.collected:
            self.reap()
        if not self.subscribers:
            self.unseen += len(items)
            return 0
        done = 0
        while done < len(items):
            slot = self.head % self.capacity
            part = items[done : done + self.capacity - slot]
            self.slots[slot : slot + len(part)] = part
            done += len(part)
            self.head += len(part)
            if self.head - self.tail > self.capacity:
                self._push_tail(self.head - self.capacity)
        if done and self.waiters:
            self.waiters.call_all()
        return self.subscribers

    def _push_tail(self, tail: int) -> None:
        """Take those along whom the ring overtakes; their items are overwritten already."""
        overtaken = 0
        for position in range(self.tail, tail):
            overtaken += self.standing.pop(position, 0)
        if overtaken:
            self.standing[tail] = self.standing.get(tail, 0) + overtaken
        self.tail = tail

    # -- coming out ------------------------------------------------------------------------------

    def read(self, start: int, stop: int) -> list[T]:
        """The items from `start` to before `stop`: all held, and at least one."""
        slot, end = start % self.capacity, start % self.capacity + stop - start
        if end <= self.capacity:
            return self.slots[slot:end]  # type: ignore[return-value]  # every one was put
        return self.slots[slot:] + self.slots[: end - self.capacity]  # type: ignore[return-value]

    def move(self, start: int, stop: int) -> None:
        """One that stood at `start` stands at `stop` now."""
        standing = self.standing
        standing[stop] = standing.get(stop, 0) + 1
        self._leave(start)

    def _leave(self, position: int) -> None:
        standing = self.standing
        count = standing[position]
        if count > 1:
            standing[position] = count - 1
            return
        del standing[position]
        if position == self.tail:
            self._let_go()

    def _let_go(self) -> None:
        """Keep no reference to what the last one has passed."""
        tail, slots, capacity = self.tail, self.slots, self.capacity
        standing, head = self.standing, self.head
        while tail not in standing and tail != head:
            slots[tail % capacity] = None
            tail += 1
        self.tail = tail

    # -- who reads -------------------------------------------------------------------------------

    def join(self) -> int:
        """One subscriber more; the position it starts at."""
        self.reap()
        self.subscribers += 1
        self.standing[self.head] = self.standing.get(self.head, 0) + 1
        return self.head

    def part(self, position: int) -> None:
        """One subscriber less, that stood at `position`."""
        self.subscribers -= 1
        self._leave(max(position, self.tail))

    def reap(self) -> None:
        """Forget subscribers that nobody has any more.

        Collection may strike between any two steps, and in any thread: it only leaves a note.
        """
        while self.collected:
            position, lost = self.collected.popleft()
            if position < self.tail:
                lost.add(self.tail - position)
            lost.close()
            self.part(position)

    def end(self) -> None:
        self.reap()
        super().end()

    # -- what it is ------------------------------------------------------------------------------

    @property
    def sent(self) -> int:
        return self.head + self.unseen

    def statistics(self) -> BroadcastStats:
        return BroadcastStats(
            sent=self.sent,
            held=self.head - self.tail,
            subscribers=self.subscribers - len(self.collected),
        )

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open"
        held = self.head - self.tail
        return f"<broadcast {self.name}: {held} of {self.capacity} held, {state}>"
