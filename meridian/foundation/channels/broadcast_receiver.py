"""The end of a broadcast that events come out at: a cursor on the ring, and an exact account."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Generic, NoReturn, TypeVar

from meridian.checks import checked_int
from meridian.clock import Clock
from meridian.foundation.channels.errors import ChannelClosed, Empty, Lagged
from meridian.foundation.channels.policies import DropCounter
from meridian.foundation.channels.ring import Ring
from meridian.foundation.tasks.readiness import CLOSED, PENDING, Closed, Pending, Ready

__all__ = ["BroadcastReceiver"]

T = TypeVar("T")
_here = threading.get_ident


class BroadcastReceiver(Generic[T]):
    """One subscriber. A branch of `select`. Close it, or use it with ``async with``.

    At every moment ``received + missed + pending`` is what was sent since it subscribed, and at
    its end what was sent until it closed: the numbers then stay as they are, and it keeps no item.
    Several tasks may read from one: each item is one task's.
    """

    def __init__(self, ring: Ring[T], name: str, clock: Clock | None) -> None:
        self.name = name
        self._ring = ring
        self._lost = DropCounter(name, clock=clock, event="handler_lagged", field="missed")
        self._left = 0  # pending, when it was closed
        self._open = True
        self._start = self._cursor = ring.join()

    async def recv(self) -> T:
        """The oldest item it has not read. Cancelled, it has taken none.

        Raises `Lagged` once when items were missed, and reads on at the oldest that is held;
        `ChannelClosed` at the end. Need not wait: yields every 128th time.
        """
        ring = self._ring
        if ring.thread != _here():
            ring.enter()
        if ring.budget.spend():
            await ring.budget.turn()
        if self._cursor == ring.head or not self._open:
            await ring.wait_until(self._ready)
        return self._take()

    def try_recv(self) -> T:
        """`recv` without waiting. Raises `Empty` where there is nothing yet."""
        if self._ring.thread != _here():
            self._ring.enter()
        if not self._ready():
            raise Empty(self.name)
        return self._take()

    async def recv_many(self, limit: int = 256) -> list[T]:
        """At least one item and at most `limit`, oldest first; none only at the end.

        Raises `Lagged` as `recv` does; `TypeError` or `ValueError` for a limit that is no int of
        at least 1.
        """
        if type(limit) is not int or limit < 1:
            limit = checked_int("limit", limit, least=1)
        ring = self._ring
        if ring.thread != _here():
            ring.enter()
        if ring.budget.spend():
            await ring.budget.turn()
        if self._cursor == ring.head or not self._open:
            try:
                await ring.wait_until(self._ready)
            except ChannelClosed:
                return []
        cursor = self._cursor
        if cursor < ring.tail:
            self._lag()
        self._cursor = stop = min(cursor + limit, ring.head)
        items = ring.read(cursor, stop)
        ring.move(cursor, stop)
        return items

    def __aiter__(self) -> BroadcastReceiver[T]:
        return self

    async def __anext__(self) -> T:
        """Raises `Lagged` out of the loop; another loop over the same subscriber goes on."""
        try:
            return await self.recv()
        except ChannelClosed:
            raise StopAsyncIteration from None

    def close(self) -> None:
        """Be forgotten, together with what was not read.

        From any thread; closing twice is harmless.
        """
        self._ring.from_anywhere(self._stop)

    def _stop(self) -> None:
        if not self._open:
            return
        ring = self._ring
        self._catch_up()
        self._lost.close()
        self._left = ring.head - self._cursor
        self._open = False
        ring.part(self._cursor)
        ring.waiters.call_all()  # a task of its own may be among them

    # -- the account -----------------------------------------------------------------------------

    @property
    def received(self) -> int:
        """Items read."""
        return self._cursor - self._start - self._lost.total

    @property
    def missed(self) -> int:
        """Items that went before they were read, told by a `Lagged` or not yet."""
        return self._lost.total + (max(0, self._ring.tail - self._cursor) if self._open else 0)

    @property
    def pending(self) -> int:
        """Items that lie ready; of a closed one, those that it left."""
        if not self._open:
            return self._left
        return self._ring.head - max(self._cursor, self._ring.tail)

    def __len__(self) -> int:
        return self.pending

    def __bool__(self) -> bool:
        return True  # one with nothing to read is not nothing

    @property
    def capacity(self) -> int:
        return self._ring.capacity

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be received any more, now or later."""
        return not self._open or (self._ring.closed and self._cursor == self._ring.head)

    # -- as a branch of select -------------------------------------------------------------------

    def try_take(self) -> Ready[T] | Pending | Closed:
        """What `recv` would answer. Raises `Lagged` as it does."""
        try:
            return Ready(self.try_recv())
        except Empty:
            return PENDING
        except ChannelClosed:
            return CLOSED

    def add_waiter(self, wake: Callable[[], object]) -> Callable[[], object]:
        ring = self._ring
        if ring.thread != _here():
            ring.enter()
        if not self._open or self._cursor != ring.head or ring.closed:
            wake()
            return lambda: None
        return ring.add_waiter(wake)

    # -- within ----------------------------------------------------------------------------------

    def _ready(self) -> bool:
        """Whether there is an item. Raises `ChannelClosed` where there will be none."""
        if not self._open:
            self._end()
        if self._cursor != self._ring.head:
            return True
        if self._ring.closed:
            self._end()
        return False

    def _end(self) -> NoReturn:
        self._lost.close()
        raise ChannelClosed(self.name)

    def _take(self) -> T:
        ring, cursor = self._ring, self._cursor
        if cursor < ring.tail:
            self._lag()
        item = ring.slots[cursor % ring.capacity]
        self._cursor = cursor + 1
        ring.move(cursor, cursor + 1)
        return item  # type: ignore[return-value]  # it was put

    def _lag(self) -> NoReturn:
        raise Lagged(self.name, self._catch_up())

    def _catch_up(self) -> int:
        """Stand at the oldest item that is held; how many were missed on the way."""
        missed = max(0, self._ring.tail - self._cursor)
        self._cursor += missed
        self._lost.add(missed)
        return missed

    async def __aenter__(self) -> BroadcastReceiver[T]:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if self._open:
            self._ring.collected.append((self._cursor, self._lost))

    def __repr__(self) -> str:
        state = "open" if self._open and not self._ring.closed else "closed"
        return f"<BroadcastReceiver {self.name}: {self.pending} of {self.capacity}, {state}>"
