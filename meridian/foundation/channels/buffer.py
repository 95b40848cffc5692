"""The middle of a channel, which both ends share: what is buffered, who waits, what was counted.

Whoever takes something out moves the next waiting sender's item in, in the same step. So the order
of those who wait is kept however the loop runs them, and a receiver that drains never has to wait
for a sender to take its turn.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Generic, TypeVar, cast

from anyio.lowlevel import checkpoint

from meridian.foundation.channels.belonging import LoopBound
from meridian.foundation.channels.errors import SendClosed, SendTimeout
from meridian.foundation.channels.payload import freeze
from meridian.foundation.channels.records import ChannelStats, Offer
from meridian.foundation.channels.registry import enlist
from meridian.foundation.tasks.parking import Budget, Waiter, Waiters

__all__ = ["Buffer"]

T = TypeVar("T")


class Buffer(LoopBound, Generic[T]):
    """A bounded queue of weighed items. Every method is one step of the loop it belongs to.

    The ends do the plain case themselves, and ask two questions for it: ``sent < limit`` says that
    an item of weight 1 may go in, is not the most there ever was, and wakes nobody;
    ``taker == get_ident()`` that one may be taken in this thread, and nobody waits to move in.
    Both only say less than is true, never more, and `settle` renews them.
    """

    __slots__ = (
        "capacity",
        "freezes",
        "gone",
        "items",
        "kept",
        "leavers",
        "limit",
        "max_used",
        "offers",
        "plain",
        "receiving",
        "recv_blocked_s",
        "rejected",
        "send_blocked_s",
        "senders",
        "sent",
        "taker",
        "takers",
        "timed_out",
        "weigh",
        "weight",
        "weights",
    )

    def __init__(
        self,
        capacity: int,
        name: str | None = None,
        weigh: Callable[[T], int] | None = None,
        *,
        freezes: bool = True,
    ) -> None:
        self.capacity = capacity
        self.weigh = weigh
        self.freezes = freezes
        self.items: deque[T] = deque()
        self.weights: deque[int] = deque()  # of the items, where they are weighed
        self.weight = 0  # and their sum
        self.kept = 0  # room that permits hold
        self.offers: OrderedDict[Offer[T], None] = OrderedDict()
        self.senders = 1
        self.receiving = True
        self.takers = Waiters()
        self.leavers = Waiters()
        self.plain: set[type] = set()  # types of items that are no arrays
        self.sent = self.rejected = self.timed_out = self.max_used = 0
        self.send_blocked_s = self.recv_blocked_s = 0.0
        self.gone = 0  # what the receiver left unread
        self.limit = self.taker = 0
        super().__init__()
        self.name = enlist(self, name)

    # -- going in --------------------------------------------------------------------------------

    @property
    def used(self) -> int:
        return len(self.items) if self.weigh is None else self.weight

    @property
    def room(self) -> int:
        return self.capacity - self.kept - self.used

    def fits(self, weight: int) -> bool:
        """Whether there is room; an item that weighs nothing still takes a place in the queue."""
        return weight <= self.room if weight else len(self.items) < self.capacity

    def admits(self, weight: int) -> bool:
        """Whether there is room, and nobody came before."""
        return not self.offers and self.fits(weight)

    def settle(self) -> None:
        """Say anew whether the plain case holds."""
        self.limit = self.taker = 0
        if self.weigh is None and not self.offers and self.thread > 0:
            self.taker = self.thread
            if self.receiving and not self.takers:
                free = min(self.max_used, self.capacity - self.kept)
                self.limit = self.sent - len(self.items) + free

    def put_plain(self, item: T) -> bool:
        """Put in an item of weight 1 where there is room and nobody waits; whether that was so.

        The plain case once more, where only the budget was at its end, or `limit` behind.
        """
        items = self.items
        most = self.capacity - self.kept
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
        self._insert(item, weight)
        self.settle()

    def put_many(self, items: list[T]) -> None:
        """Put in items that weigh 1 each, and fit."""
        if not self.plain.issuperset(map(type, items)):
            for item in items:
                self._sort(item)
        self.items.extend(items)
        self._count(len(items))
        self.settle()

    def _insert(self, item: T, weight: int) -> None:
        if type(item) not in self.plain:
            self._sort(item)
        self.items.append(item)
        if self.weigh is not None:
            self.weights.append(weight)
            self.weight += weight
        self._count(weight)

    def _count(self, weight: int) -> None:
        self.sent += weight
        used = len(self.items) if self.weigh is None else self.weight
        if used > self.max_used:
            self.max_used = used
        if self.takers:
            self.takers.call_first()

    def _sort(self, item: T) -> None:
        """Freeze an array, and remember the type of anything else."""
        if not (self.freezes and freeze(item)):
            if len(self.plain) > 64:  # types made at run time
                self.plain.clear()
            self.plain.add(type(item))

    async def wait_for_room(self, offer: Offer[T]) -> None:
        """Until the item is in, or the room is kept, or `offer` is closed."""
        self.enter_loop()
        self.add_offer(offer)
        start_s = time.perf_counter()
        try:
            await cast(Waiter, offer.waiter).wait()
        except BaseException:
            self.withdraw(offer)
            raise
        finally:
            self.send_blocked_s += time.perf_counter() - start_s
        self.budget.left = Budget.TURN

    def add_offer(self, offer: Offer[T]) -> None:
        self.offers[offer] = None
        self.limit = self.taker = 0

    def withdraw(self, offer: Offer[T]) -> None:
        """An offer that is not meant any more; those behind it may go in."""
        self.offers.pop(offer, None)
        self.admit()

    def admit(self) -> None:
        """Move in what waits, in order, as far as there is room."""
        offers = self.offers
        while offers and self.fits((offer := next(iter(offers))).weight):
            offers.pop(offer)
            if not offer.waiter.wake():
                continue  # about to withdraw
            if offer.keeps:
                self.kept += offer.weight
            else:
                self._insert(offer.item, offer.weight)
        self.settle()

    def refuse(self, offer: Offer[T]) -> None:
        offer.closed = True
        if offer.waiter.wake() and not offer.keeps:
            self.rejected += offer.weight

    def refused(self, item: object, weight: int) -> SendClosed:
        self.rejected += weight
        return SendClosed(self.name, item)

    def late(self, item: object, weight: int, seconds: float) -> SendTimeout:
        self.timed_out += weight
        return SendTimeout(self.name, item, seconds)

    # -- room that is kept -----------------------------------------------------------------------

    def keep(self, weight: int) -> None:
        self.kept += weight
        self.limit = 0

    def free(self, weight: int) -> None:
        """Give up room that was kept."""
        self.kept -= weight
        self.admit()
        self._tell_end()

    # -- coming out ------------------------------------------------------------------------------

    def take(self) -> T:
        """The oldest item. Only when there is one."""
        item = self.items.popleft()
        if self.weigh is not None:
            self.weight -= self.weights.popleft()
        if self.offers:
            self.admit()
        return item

    def take_many(self, limit: int) -> list[T]:
        """The oldest items, `limit` at most; what waits moves in afterwards."""
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
        if self.offers:
            self.admit()
        return taken

    async def wait_for_item(self) -> None:
        """Until there may be something to take, or nothing will come."""
        self.enter_loop()
        waiter = Waiter()
        remove = self.add_taker(waiter.wake)
        start_s = time.perf_counter()
        try:
            await waiter.wait()
        except BaseException:
            remove()
            raise
        finally:
            self.recv_blocked_s += time.perf_counter() - start_s
        self.budget.left = Budget.TURN

    def add_taker(self, wake: Callable[[], object]) -> Callable[[], None]:
        """Call `wake` when an item comes, or the end; the result takes it off.

        A taker that was called and does not take lets the next one know.
        """
        take_off = self.takers.add(wake)
        self.limit = 0

        def remove() -> None:
            if not take_off() and self.items:
                self.takers.call_first()

        return remove

    # -- the end ---------------------------------------------------------------------------------

    def leave(self) -> None:
        """A sender is gone; with the last one, whoever waits for items learns it."""
        self.senders -= 1
        self._tell_end()

    def _tell_end(self) -> None:
        """Once nothing more will come: to all, for what lies there may not do for all."""
        if not (self.senders or self.kept):
            self.takers.call_all()

    async def wait_for_end(self) -> None:
        """Until the receiver has gone."""
        self.enter()
        await checkpoint()
        while self.receiving:
            self.enter_loop()
            waiter = Waiter()
            remove = self.leavers.add(waiter.wake)
            try:
                await waiter.wait()
            finally:
                remove()

    def stop_receiving(self) -> None:
        """No item goes in any more; those who wait to send are told."""
        if not self.receiving:
            return
        self.receiving = False
        offers, self.offers = self.offers, OrderedDict()
        for offer in offers:
            self.refuse(offer)
        self.settle()
        self.leavers.call_all()
        self.takers.call_all()

    def discard(self) -> None:
        """Nobody can receive any more: let go of what is left."""
        self.stop_receiving()
        self.gone += self.used
        self.items.clear()
        self.weights.clear()
        self.weight = 0

    @property
    def over(self) -> bool:
        """Whether nothing will ever be there again."""
        return not self.items and (not self.receiving or not (self.senders or self.kept))

    @property
    def is_awaited(self) -> bool:
        return bool(self.offers or self.takers or self.leavers)

    # -- what others may read --------------------------------------------------------------------

    def statistics(self) -> ChannelStats:
        return ChannelStats(
            sent=self.sent,
            received=self.sent - self.used - self.gone,
            rejected=self.rejected,
            timed_out=self.timed_out,
            send_blocked_s=self.send_blocked_s,
            recv_blocked_s=self.recv_blocked_s,
            max_used=self.max_used,
        )

    @property
    def waiting_senders(self) -> int:
        return len(self.offers)

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        return f"<{self.describe()}>"

    def describe(self) -> str:
        ends = [] if self.senders else ["no sender"]
        ends += [] if self.receiving else ["no receiver"]
        kept = f" and {self.kept} reserved" if self.kept else ""
        state = ", ".join(ends) or "open"
        return f"channel {self.name}: {self.used}{kept} of {self.capacity}, {state}"
