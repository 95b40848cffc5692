"""What lies in a channel: items with their weights, the room that is left, and the counts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from meridian.foundation.channels.loop_bound import LoopBound
from meridian.foundation.channels.payload import freeze

__all__ = ["WeighedQueue"]

T = TypeVar("T")


class WeighedQueue(LoopBound, Generic[T]):
    """A FIFO queue whose capacity is an amount of weight; without `weigh` every item weighs 1.

    It knows no waiting: whoever uses it asks `fits` first.
    """

    __slots__ = (
        "capacity",
        "freezes",
        "items",
        "max_used",
        "plain",
        "reserved",
        "sent",
        "unread",
        "weigh",
        "weight",
        "weights",
    )

    def __init__(
        self, capacity: int, weigh: Callable[[T], int] | None = None, *, freezes: bool = True
    ) -> None:
        self.capacity = capacity
        self.weigh = weigh
        self.freezes = freezes
        self.items: deque[T] = deque()
        self.weights: deque[int] = deque()  # of the items, where they are weighed
        self.weight = 0  # and their sum
        self.reserved = 0  # room that permits hold
        self.plain: set[type] = set()  # types of items that are no arrays
        self.sent = self.max_used = 0
        self.unread = 0  # what the receiver left
        super().__init__()

    @property
    def used(self) -> int:
        return len(self.items) if self.weigh is None else self.weight

    @property
    def room(self) -> int:
        return self.capacity - self.reserved - self.used

    def fits(self, weight: int) -> bool:
        """Whether there is room; an item that weighs nothing still takes a place in the queue."""
        return weight <= self.room if weight else len(self.items) < self.capacity

    def append(self, item: T, weight: int) -> None:
        if type(item) not in self.plain:
            self._freeze(item)
        self.items.append(item)
        if self.weigh is not None:
            self.weights.append(weight)
            self.weight += weight
        self._count(weight)

    def extend(self, items: list[T]) -> None:
        """Append items that weigh 1 each."""
        if not self.plain.issuperset(map(type, items)):
            for item in items:
                self._freeze(item)
        self.items.extend(items)
        self._count(len(items))

    def popleft(self) -> T:
        item = self.items.popleft()
        if self.weigh is not None:
            self.weight -= self.weights.popleft()
        return item

    def pop_many(self, limit: int) -> list[T]:
        """The oldest items, `limit` at most."""
        items, weights = self.items, self.weights
        if len(items) <= limit:
            taken = list(items)
            items.clear()
            weights.clear()
            self.weight = 0
        else:
            taken = [items.popleft() for _ in range(limit)]
            if weights:
                self.weight -= sum(weights.popleft() for _ in range(limit))
        return taken

    def clear(self) -> None:
        """Let go of what is left: nobody will read it."""
        self.unread += self.used
        self.items.clear()
        self.weights.clear()
        self.weight = 0

    def _count(self, weight: int) -> None:
        self.sent += weight
        used = len(self.items) if self.weigh is None else self.weight
        if used > self.max_used:
            self.max_used = used

    def _freeze(self, item: T) -> None:
        """Freeze an array, and remember the type of anything else."""
        if not (self.freezes and freeze(item)):
            if len(self.plain) > 64:  # types made at run time
                self.plain.clear()
            self.plain.add(type(item))
