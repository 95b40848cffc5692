"""One answer to one question: a channel that carries a single value."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import TracebackType
from typing import Generic, TypeVar

from meridian.foundation.channels.errors import (
    AlreadySent,
    ChannelClosed,
    Empty,
    ReplyDropped,
    SendClosed,
)
from meridian.foundation.channels.loop_bound import LoopBound
from meridian.foundation.tasks.parking import Waiter, Waiters
from meridian.foundation.tasks.readiness import CLOSED, PENDING, Closed, Pending, Ready

__all__ = ["OneReceiver", "OneSender", "oneshot"]

T = TypeVar("T")
_numbers = itertools.count(1)


def oneshot(*, name: str | None = None) -> tuple[OneSender[T], OneReceiver[T]]:
    """Both ends of a channel for one value. `name` is what errors call it.

    Where nothing is sent the receiver is told, so an answer that was forgotten cannot hang the
    asker: close the sender, use it with ``with``, or drop it. Nor can an asker that gave up hang
    who answers: `OneSender.send` says whether somebody still waits.
    """
    if name is not None and not isinstance(name, str):
        raise TypeError(f"Expected the name of a oneshot as str, got {type(name).__name__}")
    cell: _Cell[T] = _Cell(name)
    return OneSender(cell), OneReceiver(cell)


class _Cell(LoopBound, Generic[T]):
    """Where the value lies from the moment it is sent until it is received."""

    __slots__ = ("asks", "state", "value", "waiters")

    def __init__(self, name: str | None) -> None:
        super().__init__()
        self.name = name or f"oneshot-{next(_numbers)}"
        self.value: list[T] = []
        self.state = "open"  # then sent or dropped, and at last received
        self.asks = True
        self.waiters = Waiters()

    @property
    def is_awaited(self) -> bool:
        return bool(self.waiters)

    def take(self) -> T:
        """The value. Raises `Empty`, `ReplyDropped` or `ChannelClosed`."""
        if self.value:
            self.state = "received"
            return self.value.pop()
        if self.state == "open":
            raise Empty(self.name)
        raise (ChannelClosed if self.state == "received" else ReplyDropped)(self.name)

    def drop_sender(self) -> None:
        if self.state == "open":
            self.state = "dropped"
            self.waiters.call_all()

    def drop_receiver(self) -> None:
        self.asks = False
        self.value.clear()
        self.waiters.call_all()

    def __repr__(self) -> str:
        state = self.state if self.asks else f"{self.state}, no receiver"
        return f"<oneshot {self.name}: {len(self.value)} of 1, {state}>"


class OneSender(Generic[T]):
    """The end that answers, once."""

    __slots__ = ("__weakref__", "_cell")

    def __init__(self, cell: _Cell[T]) -> None:
        self._cell = cell

    def send(self, value: T) -> bool:
        """Answer; whether the receiver is still there to hear it. Never waits.

        Raises `AlreadySent` the second time, `SendClosed` after `close`; both have the value.
        """
        cell = self._cell
        cell.enter()
        if cell.state == "dropped":
            raise SendClosed(cell.name, value)
        if cell.state != "open":
            raise AlreadySent(cell.name, value)
        cell.state = "sent"
        if cell.asks:
            cell.value.append(value)
            cell.waiters.call_all()
        return cell.asks

    def close(self) -> None:
        """Say that there will be no answer. From any thread; harmless after `send`, or twice."""
        self._cell.from_anywhere(self._cell.drop_sender)

    @property
    def is_closed(self) -> bool:
        """Whether the receiver has gone: nobody needs the answer any more."""
        return not self._cell.asks

    async def closed(self) -> None:
        """Until the receiver has gone, to give up work that nobody waits for. Raises nothing."""
        cell = self._cell
        await cell.begin()
        while cell.asks:
            await _news(cell)

    def __enter__(self) -> OneSender[T]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self._cell.abandoned(self._cell.drop_sender)

    def __repr__(self) -> str:
        return f"<OneSender of {self._cell!r}>"


class OneReceiver(Generic[T]):
    """The end that asks. A branch of `select`. To drop it is to ask no more."""

    __slots__ = ("__weakref__", "_cell")

    def __init__(self, cell: _Cell[T]) -> None:
        self._cell = cell

    async def recv(self) -> T:
        """Wait for the answer. Cancelled, it can be asked for again.

        Raises `ReplyDropped` when there will be none, `ChannelClosed` when it was received before
        or this end is closed.
        """
        cell = self._cell
        await cell.begin()
        while cell.asks and cell.state == "open":
            await _news(cell)
        return self.try_recv()

    def try_recv(self) -> T:
        """The answer, now. Raises `Empty`, and otherwise as `recv`."""
        self._cell.enter()
        if not self._cell.asks:
            raise ChannelClosed(self._cell.name)
        return self._cell.take()

    def close(self) -> None:
        """Ask no more: what is there, or comes, is dropped. From any thread; twice is harmless."""
        self._cell.from_anywhere(self._cell.drop_receiver)

    def __enter__(self) -> OneReceiver[T]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self._cell.abandoned(self._cell.drop_receiver)

    def __repr__(self) -> str:
        return f"<OneReceiver of {self._cell!r}>"

    # -- as a branch of select -------------------------------------------------------------------

    def try_take(self) -> Ready[T] | Pending | Closed:
        """The answer. Raises `ReplyDropped` when there will be none."""
        cell = self._cell
        cell.enter()
        if not cell.asks or cell.state == "received":
            return CLOSED
        return PENDING if cell.state == "open" else Ready(cell.take())

    def add_waiter(self, wake: Callable[[], object]) -> Callable[[], object]:
        cell = self._cell
        cell.enter_loop()
        remove = cell.waiters.add(wake)
        if not cell.asks or cell.state != "open":
            wake()
        return remove


async def _news(cell: _Cell[T]) -> None:
    """Until the value, or either end, has changed."""
    cell.enter_loop()
    waiter = Waiter()
    remove = cell.waiters.add(waiter.wake)
    try:
        await waiter.wait()
    finally:
        remove()
