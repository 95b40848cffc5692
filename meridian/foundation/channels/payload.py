"""What travels in a channel: how heavy an item is, and that its sender lets go of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sized
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from meridian.checks import checked_int

if TYPE_CHECKING:
    from meridian.foundation.channels.buffer import Buffer

__all__ = ["Parts", "freeze", "rows", "split_rows", "weigh_checked"]

T = TypeVar("T")


def rows(batch: Sized) -> int:
    """A weigher for batches: capacity counts rows, never batches."""
    return len(batch)


def split_rows(batch: Any, count: int) -> tuple[Any, Any]:
    """The first `count` rows and the others, as views: the splitter that goes with `rows`."""
    return batch[:count], batch[count:]


def weigh_checked(weigh: Callable[[T], int] | None, item: T) -> int:
    """What `weigh` says. Raises `TypeError` or `ValueError` where that is no amount."""
    if weigh is None:
        return 1
    weight = weigh(item)
    if type(weight) is int and weight >= 0:
        return weight
    return checked_int("a weight from weigh", weight)


def freeze(item: object) -> bool:
    """Make an array read-only, for its sender has given it away; whether it is one.

    Not the array that it is a view of, nor arrays inside a record. Never imports NumPy: where it
    is not loaded there are no arrays.
    """
    ndarray = getattr(sys.modules.get("numpy"), "ndarray", None)
    if ndarray is None or not isinstance(item, ndarray):
        return False
    item.flags.writeable = False
    return True


class Parts(Generic[T]):
    """What an item goes into a channel as: itself, or parts that each fit, with their weights."""

    __slots__ = ("_buffer", "_split", "rest", "weight")

    def __init__(
        self, buffer: Buffer[T], item: T, split: Callable[[T, int], tuple[T, T]] | None
    ) -> None:
        self._buffer = buffer
        self._split = split
        self.rest = item
        """What is not in yet: the part that was given last, and those after it."""
        self.weight = 0  # of the rest

    def __iter__(self) -> Iterator[tuple[T, int]]:
        buffer, capacity = self._buffer, self._buffer.capacity
        self.weight = weight = weigh_checked(buffer.weigh, self.rest)
        while weight > capacity:
            if self._split is None:
                raise never_fits(buffer, weight)
            if buffer.freezes:
                freeze(self.rest)
            head, rest = self._split(self.rest, capacity)
            part = weigh_checked(buffer.weigh, head)
            left = weigh_checked(buffer.weigh, rest)
            if part > capacity or left >= weight:
                raise ValueError(
                    f"Expected split to cut a weight of {weight} into at most {capacity} and "
                    f"less than {weight}, got {part} and {left}"
                )
            yield head, part
            self.rest = rest
            self.weight = weight = left
        yield self.rest, weight


def never_fits(buffer: Buffer[T], weight: int) -> ValueError:
    return ValueError(
        f"An item of weight {weight} never fits into channel {buffer.name} of {buffer.capacity}: "
        "send it in parts, or give the channel a split for `send`"
    )
