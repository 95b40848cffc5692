"""The middle of a channel, which both ends share: what is buffered, who waits, what was counted.

Whoever takes something out moves the next waiting sender's item in, in the same step. So the order
of those who wait is kept however the loop runs them, and a receiver that drains never has to wait
for a sender to take its turn.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar, cast

from anyio.lowlevel import checkpoint

from meridian.foundation.channels.errors import SendClosed, SendTimeout
from meridian.foundation.channels.records import ChannelStats, PendingSend
from meridian.foundation.channels.registry import enlist
from meridian.foundation.channels.weighed_queue import WeighedQueue
from meridian.foundation.tasks.parking import Budget, Waiter, Waiters

__all__ = ["Buffer"]

T = TypeVar("T")


class Buffer(WeighedQueue[T]):
    """A bounded queue of weighed items. Every method is one step of the loop it belongs to.

    The ends do the plain case themselves, and ask two questions for it: ``sent < limit`` says that
    an item of weight 1 may go in, is not the most there ever was, and wakes nobody;
    ``recv_thread == get_ident()`` that one may be taken in this thread, and nobody waits to move
    in. Both only say less than is true, never more, and `settle` renews them.
    """

    __slots__ = (
        "closed_waiters",
        "limit",
        "pending",
        "receiving",
        "recv_blocked_s",
        "recv_thread",
        "recv_waiters",
        "rejected",
        "send_blocked_s",
        "senders",
        "timed_out",
    )

    def __init__(
        self,
        capacity: int,
        name: str | None = None,
        weigh: Callable[[T], int] | None = None,
        *,
        freezes: bool = True,
    ) -> None:
        self.pending: OrderedDict[PendingSend[T], None] = OrderedDict()
        self.senders = 1
        self.receiving = True
        self.recv_waiters = Waiters()
        self.closed_waiters = Waiters()
        self.rejected = self.timed_out = 0
        self.send_blocked_s = self.recv_blocked_s = 0.0
        self.limit = self.recv_thread = 0
        super().__init__(capacity, weigh, freezes=freezes)
        self.name = enlist(self, name)

    # -- going in --------------------------------------------------------------------------------

    def admits(self, weight: int) -> bool:
        """Whether there is room, and nobody came before."""
        return not self.pending and self.fits(weight)

    def settle(self) -> None:
        """Say anew whether the plain case holds."""
        self.limit = self.recv_thread = 0
        if self.weigh is None and not self.pending and self.thread > 0:
            self.recv_thread = self.thread
            if self.receiving and not self.recv_waiters:
                free = min(self.max_used, self.capacity - self.reserved)
                self.limit = self.sent - len(self.items) + free

    def put_plain(self, item: T) -> bool:
        """Put in an item of weight 1 where there is room and nobody waits; whether that was so.

        The plain case once more, where only the budget was at its end, or `limit` behind.
        """
        items = self.items
        most = self.capacity - self.reserved
        if not self.limit or len(items) >= most or type(item) not in self.plain:
            return False
        items.append(item)
        self.sent += 1
        used = len(items)
        if used > self.max_used:
            self.max_used = used
        self.limit = self.sent - used + min(self.max_used, most)
        return True

    def put(self, item: T, weight: int) -> None:
        """Put in an item that fits."""
        self.append(item, weight)
        if self.recv_waiters:
            self.recv_waiters.call_first()
        self.settle()

    def put_many(self, items: list[T]) -> None:
        """Put in items that weigh 1 each, and fit."""
        self.extend(items)
        if self.recv_waiters:
            self.recv_waiters.call_first()
        self.settle()

    async def wait_for_room(self, entry: PendingSend[T]) -> None:
        """Until the item is in, or the room is reserved, or `entry` is closed."""
        self.enter_loop()
        self.add_pending(entry)
        start_s = time.perf_counter()
        try:
            await cast(Waiter, entry.waiter).wait()
        except BaseException:
            self.withdraw(entry)
            raise
        finally:
            self.send_blocked_s += time.perf_counter() - start_s
        self.budget.left = Budget.TURN

    def add_pending(self, entry: PendingSend[T]) -> None:
        self.pending[entry] = None
        self.limit = self.recv_thread = 0

    def withdraw(self, entry: PendingSend[T]) -> None:
        """An entry that is not meant any more; those behind it may go in."""
        self.pending.pop(entry, None)
        self.admit()

    def admit(self) -> None:
        """Move in what waits, in order, as far as there is room."""
        pending = self.pending
        while pending and self.fits((entry := next(iter(pending))).weight):
            pending.pop(entry)
            if not entry.waiter.wake():
                continue  # about to withdraw
            if entry.reserves:
                self.reserved += entry.weight
            else:
                self.append(entry.item, entry.weight)
                if self.recv_waiters:
                    self.recv_waiters.call_first()
        self.settle()

    def refuse(self, entry: PendingSend[T]) -> None:
        entry.closed = True
        if entry.waiter.wake() and not entry.reserves:
            self.rejected += entry.rest_weight

    def refused(self, item: object, weight: int) -> SendClosed:
        self.rejected += weight
        return SendClosed(self.name, item)

    def late(self, item: object, weight: int, seconds: float) -> SendTimeout:
        self.timed_out += weight
        return SendTimeout(self.name, item, seconds)

    # -- room that is reserved -------------------------------------------------------------------

    def reserve(self, weight: int) -> None:
        self.reserved += weight
        self.limit = 0

    def release(self, weight: int) -> None:
        """Give up room that was reserved."""
        self.reserved -= weight
        self.admit()
        self._tell_end()

    # -- coming out ------------------------------------------------------------------------------

    def take(self) -> T:
        """The oldest item. Only when there is one."""
        item = self.popleft()
        if self.pending:
            self.admit()
        return item

    def take_many(self, limit: int) -> list[T]:
        """The oldest items, `limit` at most; what waits moves in afterwards."""
        taken = self.pop_many(limit)
        if self.pending:
            self.admit()
        return taken

    async def wait_for_item(self) -> None:
        """Until there may be something to take, or nothing will come."""
        self.enter_loop()
        waiter = Waiter()
        remove = self.add_recv_waiter(waiter.wake)
        start_s = time.perf_counter()
        try:
            await waiter.wait()
        except BaseException:
            remove()
            raise
        finally:
            self.recv_blocked_s += time.perf_counter() - start_s
        self.budget.left = Budget.TURN

    def add_recv_waiter(self, wake: Callable[[], object]) -> Callable[[], None]:
        """Call `wake` when an item comes, or the end; the result takes it off.

        A waiter that was called and does not take lets the next one know.
        """
        take_off = self.recv_waiters.add(wake)
        self.limit = 0

        def remove() -> None:
            if not take_off() and self.items:
                self.recv_waiters.call_first()

        return remove

    # -- the end ---------------------------------------------------------------------------------

    def leave(self) -> None:
        """A sender is gone; with the last one, whoever waits for items learns it."""
        self.senders -= 1
        self._tell_end()

    def _tell_end(self) -> None:
        """Once nothing more will come: to all, for what lies there may not do for all."""
        if not (self.senders or self.reserved):
            self.recv_waiters.call_all()

    async def wait_for_end(self) -> None:
        """Until the receiver has gone."""
        self.enter()
        await checkpoint()
        while self.receiving:
            self.enter_loop()
            waiter = Waiter()
            remove = self.closed_waiters.add(waiter.wake)
            try:
                await waiter.wait()
            finally:
                remove()

    def stop_receiving(self) -> None:
        """No item goes in any more; those who wait to send are told."""
        if not self.receiving:
            return
        self.receiving = False
        pending, self.pending = self.pending, OrderedDict()
        for entry in pending:
            self.refuse(entry)
        self.settle()
        self.closed_waiters.call_all()
        self.recv_waiters.call_all()

    def discard(self) -> None:
        """Nobody can receive any more: let go of what is left."""
        self.stop_receiving()
        self.clear()

    @property
    def over(self) -> bool:
        """Whether nothing will ever be there again."""
        return not self.items and (not self.receiving or not (self.senders or self.reserved))

    @property
    def is_awaited(self) -> bool:
        return bool(self.pending or self.recv_waiters or self.closed_waiters)

    # -- what others may read --------------------------------------------------------------------

    def statistics(self) -> ChannelStats:
        return ChannelStats(
            sent=self.sent,
            received=self.sent - self.used - self.unread,
            rejected=self.rejected,
            timed_out=self.timed_out,
            send_blocked_s=self.send_blocked_s,
            recv_blocked_s=self.recv_blocked_s,
            max_used=self.max_used,
        )

    @property
    def waiting_senders(self) -> int:
        return len(self.pending)

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        return f"<{self.describe()}>"

    def describe(self) -> str:
        ends = [] if self.senders else ["no sender"]
        ends += [] if self.receiving else ["no receiver"]
        reserved = f" and {self.reserved} reserved" if self.reserved else ""
        state = ", ".join(ends) or "open"
        return f"channel {self.name}: {self.used}{reserved} of {self.capacity}, {state}"
