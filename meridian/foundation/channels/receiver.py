"""The end of a channel that items come out at."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Generic, TypeVar

from anyio.lowlevel import checkpoint_if_cancelled

from meridian.checks import checked_int
from meridian.foundation.channels.blocking import Deadline, recv_from_thread
from meridian.foundation.channels.buffer import Buffer
from meridian.foundation.channels.closing import warn_unclosed
from meridian.foundation.channels.errors import ChannelClosed, Empty
from meridian.foundation.channels.records import ChannelStats
from meridian.foundation.tasks.readiness import CLOSED, PENDING, Closed, Pending, Ready

__all__ = ["Receiver"]

T = TypeVar("T")
_here = threading.get_ident


class Receiver(Generic[T]):
    """The end that items come out at. A branch of `select`. Close it, or use ``async with``.

    Several tasks may receive from it; each item goes to one of them.
    """

    __slots__ = ("__weakref__", "_buffer")

    def __init__(self, buffer: Buffer[T]) -> None:
        self._buffer = buffer

    async def recv(self) -> T:
        """The oldest item. Cancelled, it has taken none. Raises `ChannelClosed` at the end."""
        buffer = self._buffer
        if buffer.recv_thread == _here() and buffer.items:
            budget = buffer.budget
            if (left := budget.left) > 1:
                budget.left = left - 1
                return buffer.items.popleft()
        if await self._ready():
            return buffer.take()
        raise ChannelClosed(buffer.name)

    def try_recv(self) -> T:
        """The oldest item, now. Raises `Empty`, or `ChannelClosed` at the end."""
        buffer = self._buffer
        buffer.enter()
        if not buffer.items:
            raise ChannelClosed(buffer.name) if buffer.over else Empty(buffer.name)
        return buffer.take()

    async def recv_many(self, limit: int = 256) -> list[T]:
        """At least one item and at most `limit`, oldest first; none only at the end.

        Raises `TypeError` or `ValueError` for a limit that is no int of at least 1.
        """
        if type(limit) is not int or limit < 1:
            limit = checked_int("limit", limit, least=1)
        return self._buffer.take_many(limit) if await self._ready() else []

    def blocking_recv(self, timeout: float | None = None) -> T:
        """`recv` from a thread that is not the loop's, which sleeps for as long as it takes.

        Raises `ChannelClosed` at the end, or when the loop has ended; `Empty` after `timeout`
        seconds; `RuntimeError` in the loop's own thread, which would wait for itself, and for a
        channel that has not met its loop yet.
        """
        return recv_from_thread(self._buffer, Deadline(timeout))

    def __aiter__(self) -> Receiver[T]:
        return self

    async def __anext__(self) -> T:
        buffer = self._buffer
        if buffer.recv_thread == _here() and buffer.items:
            budget = buffer.budget
            if (left := budget.left) > 1:
                budget.left = left - 1
                return buffer.items.popleft()
        if await self._ready():
            return buffer.take()
        raise StopAsyncIteration

    # -- what it is ------------------------------------------------------------------------------

    def __len__(self) -> int:
        """How many items lie ready."""
        return len(self._buffer.items)

    def __bool__(self) -> bool:
        return True  # an empty channel is not nothing

    @property
    def name(self) -> str:
        return self._buffer.name

    @property
    def capacity(self) -> int:
        return self._buffer.capacity

    @property
    def waiting_senders(self) -> int:
        return self._buffer.waiting_senders

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be received any more, now or later."""
        return self._buffer.over

    def statistics(self) -> ChannelStats:
        return self._buffer.statistics()

    def __repr__(self) -> str:
        return f"<Receiver of {self._buffer.describe()}>"

    # -- its end ---------------------------------------------------------------------------------

    def close(self) -> None:
        """Let nothing in any more; what is there can still be taken.

        From any thread; closing twice is harmless.
        """
        self._buffer.from_anywhere(self._buffer.stop_receiving)

    async def __aenter__(self) -> Receiver[T]:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        buffer = self._buffer
        unclosed = buffer.receiving and bool(buffer.senders)
        buffer.abandoned(buffer.discard)
        if unclosed:
            warn_unclosed(buffer, "receiver")

    # -- as a branch of select -------------------------------------------------------------------

    def try_take(self) -> Ready[T] | Pending | Closed:
        buffer = self._buffer
        buffer.enter()
        if buffer.items:
            return Ready(buffer.take())
        return CLOSED if buffer.over else PENDING

    def add_waiter(self, wake: Callable[[], object]) -> Callable[[], None]:
        buffer = self._buffer
        buffer.enter_loop()
        remove = buffer.add_recv_waiter(wake)
        if buffer.items or buffer.over:
            wake()
        return remove

    async def _ready(self) -> bool:
        """Until there is an item: ``True``; or there never will be one: ``False``."""
        buffer = self._buffer
        buffer.enter()
        if buffer.budget.spend():
            await buffer.budget.turn()
        while not buffer.items:
            if buffer.over:
                return False
            await buffer.wait_for_item()
            if not buffer.items:  # woken in vain: on asyncio a cancellation may lie unseen
                await checkpoint_if_cancelled()
        return True
