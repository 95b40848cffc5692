"""A bounded channel: many senders, one receiver, and exact about what became of every item.

The model is Tokio's ``mpsc``. An operation that need not wait does not let other tasks run, except
every 128th in a row (`Budget`): cancellation is met there at the latest. anyio's memory streams
suspend on every call instead, and cost a switch of tasks for every item.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from meridian.foundation.channels.buffer import Buffer
from meridian.foundation.channels.capacity import checked_capacity
from meridian.foundation.channels.permits import Permit
from meridian.foundation.channels.receiver import Receiver
from meridian.foundation.channels.records import ChannelStats
from meridian.foundation.channels.sender import Sender

__all__ = ["ChannelStats", "Permit", "Receiver", "Sender", "channel"]

T = TypeVar("T")


def channel(
    capacity: int,
    *,
    name: str | None = None,
    weigh: Callable[[T], int] | None = None,
    split: Callable[[T, int], tuple[T, T]] | None = None,
    freeze: bool = True,
) -> tuple[Sender[T], Receiver[T]]:
    """A channel for `capacity` items, or for so much weight as `weigh` gives them (see `rows`).

    An item heavier than the whole capacity is sent in parts: ``split(item, capacity)`` gives one
    that fits, and the rest (see `split_rows`). A NumPy array is made read-only as it goes in,
    unless `freeze` is off: whoever sends one has given it away. `name` is what `channel_registry`
    and errors call it. It belongs to the loop that first uses it; made within a loop, other
    threads may use their ends of it (``blocking_``) at once.

    Raises `ValueError` for a capacity that is no int of at least 1, and for `split` without
    `weigh`; `TypeError` for a `weigh` or `split` that cannot be called.
    """
    capacity = checked_capacity(capacity)
    for what, function in (("weigh", weigh), ("split", split)):
        if function is not None and not callable(function):
            raise TypeError(f"Expected {what} to be a function, got {function!r}")
    if split is not None and weigh is None:
        raise ValueError("Expected weigh beside split: without it every item weighs 1")
    buffer: Buffer[T] = Buffer(capacity, name, weigh, freezes=freeze)
    return Sender(buffer, split), Receiver(buffer)
