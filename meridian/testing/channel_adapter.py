"""How `check_channel` talks to a channel that it knows nothing of."""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar

__all__ = ["ChannelAdapter", "Item"]


class Item:
    """What is sent: the `number`-th item of a `producer`, both counted from 0."""

    __slots__ = ("__weakref__", "number", "producer")

    def __init__(self, producer: int, number: int) -> None:
        self.producer = producer
        self.number = number

    def __repr__(self) -> str:
        return f"{self.producer}.{self.number}"


class ChannelAdapter:
    """One channel, made in ``__init__``, and what may be done with it.

    An adapter must implement `send`, `recv`, `close` and `pending`. It has a `close_receiver`,
    `try_send`, `try_recv`, `lost`, `has_room`, `stream` or `ends` of its own where its channel has
    such a thing, and sets the class attributes that differ::

        class OfMpsc(ChannelAdapter):
            capacity, refused, ended = 2, (SendClosed, Full), (ChannelClosed,)

            def __init__(self) -> None:
                self.tx, self.rx = channel(self.capacity)

            async def send(self, item: Item) -> None:
                await self.tx.send(item)

            async def recv(self) -> Item:
                return await self.rx.recv()

            def close(self) -> None:
                self.tx.close()

            def pending(self) -> int:
                return len(self.rx)

        check_channel(OfMpsc)
    """

    capacity: ClassVar[int | None] = None
    """How many items may be accepted and not received; ``None``: any number."""
    producers: ClassVar[int] = 3
    """How many tasks may send at a time."""
    consumers: ClassVar[int] = 2
    """How many tasks may receive at a time. Order is checked for each."""
    most_items: ClassVar[int | None] = None
    """How many items it carries in its life; ``None``: any number."""
    refused: ClassVar[tuple[type[Exception], ...]] = ()
    """What sending raises when the item was not accepted."""
    ended: ClassVar[tuple[type[Exception], ...]] = (StopAsyncIteration, EOFError)
    """What receiving raises when nothing will come any more."""
    empty: ClassVar[tuple[type[Exception], ...]] = (BlockingIOError,)
    """What `try_recv` raises when nothing is there now."""
    keeps_last: ClassVar[bool] = False
    """Whether the last item stays, as a watched value does."""

    async def send(self, item: Item) -> None:
        """Send; to return is to have accepted it."""
        raise NotImplementedError(f"{type(self).__name__}.send")

    async def recv(self) -> Item:
        """The next item."""
        raise NotImplementedError(f"{type(self).__name__}.recv")

    def close(self) -> None:
        """Say that nothing more will be sent; called again later."""
        raise NotImplementedError(f"{type(self).__name__}.close")

    def pending(self) -> int:
        """How many items are accepted and not received."""
        raise NotImplementedError(f"{type(self).__name__}.pending")

    def close_receiver(self) -> None:
        """Refuse what is sent from now on; what is pending can still be received."""
        raise NotImplementedError(f"{type(self).__name__}.close_receiver")

    def try_send(self, item: Item) -> None:
        """Send without waiting, or raise one of `refused`."""
        raise NotImplementedError(f"{type(self).__name__}.try_send")

    def try_recv(self) -> Item:
        """Receive without waiting, or raise one of `empty` or `ended`."""
        raise NotImplementedError(f"{type(self).__name__}.try_recv")

    def lost(self) -> int:
        """How many accepted items the channel says it has dropped."""
        return 0

    def has_room(self) -> bool:
        """Whether nobody may be kept waiting to send now."""
        return self.capacity is None or self.pending() < self.capacity

    def stream(self, item: Item) -> Hashable:  # noqa: ARG002
        """Items of one producer keep their order within a stream, such as a lane."""
        return None

    def ends(self) -> tuple[object, ...]:
        """What is checked to have a repr of one line that shows length, capacity and state."""
        return ()

    def name(self) -> str | None:
        """What the repr of each end has to show as well."""
        return None

    @classmethod
    def can(cls, operation: str) -> bool:
        """Whether the adapter has an `operation` of its own."""
        return getattr(cls, operation) is not getattr(ChannelAdapter, operation)
