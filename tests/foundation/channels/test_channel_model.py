"""The synchronous surface of a channel against a list: hypothesis looks for a difference."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
)

from meridian.foundation.channels import (
    ChannelClosed,
    Empty,
    Full,
    Permit,
    SendClosed,
    Sender,
    channel,
)
from meridian.foundation.tasks import CLOSED, PENDING, Ready
from meridian.foundation.tasks.parking import Budget, current_budget

WEIGHTS = st.integers(0, 5)


def now(awaitable: Any) -> Any:
    """The result of an operation that need not wait: no loop is needed for it."""
    current_budget().left = Budget.TURN
    try:
        awaitable.send(None)
    except StopIteration as done:
        return done.value
    pytest.fail("it waits, though it need not")


class ChannelModel(RuleBasedStateMachine):
    """Items are (number, weight); the model is the list of those that lie there."""

    senders = Bundle("senders")
    permits = Bundle("permits")

    @initialize(capacity=st.integers(1, 6), weighed=st.booleans(), target=senders)
    def make(self, capacity: int, weighed: bool) -> Sender[Any]:
        weigh = (lambda item: item[1]) if weighed else None
        tx, self.rx = channel(capacity, weigh=weigh)
        self.capacity, self.weighed = capacity, weighed
        self.there: list[tuple[int, int]] = []
        self.number = self.sent = self.received = self.rejected = self.most = 0
        self.open_senders = {tx}
        self.kept: dict[Permit[Any], int] = {}
        self.receiving = True
        return tx

    def weight(self, item: tuple[int, int]) -> int:
        return item[1] if self.weighed else 1

    @property
    def used(self) -> int:
        return sum(map(self.weight, self.there))

    @property
    def room(self) -> int:
        return self.capacity - self.used - sum(self.kept.values())

    def fits(self, weight: int) -> bool:
        return weight <= self.room if weight else len(self.there) < self.capacity

    def next_item(self, weight: int) -> tuple[int, int]:
        self.number += 1
        return self.number, weight

    def went_in(self, item: tuple[int, int]) -> None:
        self.there.append(item)
        self.sent += self.weight(item)
        self.most = max(self.most, self.used)

    # -- sending ---------------------------------------------------------------------------------

    @rule(tx=senders, weight=WEIGHTS, waits=st.booleans())
    def send(self, tx: Sender[Any], weight: int, waits: bool) -> None:
        item = self.next_item(weight)
        weight = self.weight(item)
        if weight > self.capacity:
            with pytest.raises(ValueError, match="never fits"):
                tx.try_send(item)
        elif tx not in self.open_senders or not self.receiving:
            with pytest.raises(SendClosed) as refused:
                tx.try_send(item)
            assert refused.value.item == item
            self.rejected += weight
        elif not self.fits(weight):
            with pytest.raises(Full) as full:
                tx.try_send(item)
            assert full.value.item == item
            assert full.value.used == self.capacity - self.room
            self.rejected += weight
        else:
            if waits:
                now(tx.send(item))
            else:
                tx.try_send(item)
            self.went_in(item)

    @rule(tx=senders)
    def fill(self, tx: Sender[Any]) -> None:
        for _ in range(self.capacity):
            self.send(tx, 1, waits=False)

    @rule(tx=senders, weight=st.integers(1, 3), target=permits)
    def reserve(self, tx: Sender[Any], weight: int) -> Permit[Any] | None:
        if weight > self.capacity:
            return None
        if tx not in self.open_senders or not self.receiving:
            with pytest.raises(SendClosed):
                now(tx.reserve(weight))
            return None
        if weight > self.room:
            return None
        permit: Permit[Any] = now(tx.reserve(weight))
        self.kept[permit] = weight
        return permit

    @rule(permit=permits, weight=WEIGHTS)
    def use(self, permit: Permit[Any] | None, weight: int) -> None:
        if permit is None:
            return
        item = self.next_item(weight)
        weight = self.weight(item)
        if permit not in self.kept:
            with pytest.raises(RuntimeError, match="was used"):
                permit.send(item)
        elif weight > self.kept[permit]:
            with pytest.raises(ValueError, match="does not fit into a permit"):
                permit.send(item)
        elif not self.receiving:
            with pytest.raises(SendClosed):
                permit.send(item)
            self.rejected += weight
            del self.kept[permit]
        else:
            permit.send(item)
            del self.kept[permit]
            self.went_in(item)

    @rule(permit=permits)
    def give_back(self, permit: Permit[Any] | None) -> None:
        if permit is not None:
            permit.close()
            self.kept.pop(permit, None)

    # -- receiving -------------------------------------------------------------------------------

    @property
    def over(self) -> bool:
        return not self.there and not (self.receiving and (self.open_senders or self.kept))

    def came_out(self, item: object) -> None:
        assert item == self.there.pop(0)
        self.received += self.weight(item)  # type: ignore[arg-type]

    @rule(how=st.sampled_from(["try_recv", "try_take", "recv", "anext"]))
    def receive(self, how: str) -> None:
        if self.there:
            match how:
                case "try_recv":
                    self.came_out(self.rx.try_recv())
                case "try_take":
                    taken = self.rx.try_take()
                    assert isinstance(taken, Ready)
                    self.came_out(taken.value)
                case "recv":
                    self.came_out(now(self.rx.recv()))
                case "anext":
                    self.came_out(now(self.rx.__anext__()))
        elif self.over:
            with pytest.raises(ChannelClosed):
                self.rx.try_recv()
            with pytest.raises(ChannelClosed):
                now(self.rx.recv())
            with pytest.raises(StopAsyncIteration):
                now(self.rx.__anext__())
            assert now(self.rx.recv_many()) == []
            assert self.rx.try_take() is CLOSED
        else:
            with pytest.raises(Empty):
                self.rx.try_recv()
            assert self.rx.try_take() is PENDING

    @precondition(lambda self: self.there)
    @rule(limit=st.integers(1, 4))
    def receive_many(self, limit: int) -> None:
        taken = now(self.rx.recv_many(limit))
        assert len(taken) == min(limit, len(self.there))
        for item in taken:
            self.came_out(item)

    @precondition(lambda self: self.there)
    @rule()
    def drain(self) -> None:
        while self.there:
            self.receive("recv")

    # -- ends ------------------------------------------------------------------------------------

    @rule(tx=senders, target=senders)
    def clone(self, tx: Sender[Any]) -> Sender[Any]:
        if tx in self.open_senders and self.receiving:
            other = tx.clone()
            self.open_senders.add(other)
            return other
        with pytest.raises(SendClosed):
            tx.clone()
        return tx

    @rule(tx=consumes(senders))
    def close_sender(self, tx: Sender[Any]) -> None:
        tx.close()
        tx.close()
        self.open_senders.discard(tx)

    @precondition(lambda self: self.number > 40)
    @rule()
    def close_receiver(self) -> None:
        self.rx.close()
        self.receiving = False

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "rx"):
            return
        stats = self.rx.statistics()
        assert (stats.sent, stats.received) == (self.sent, self.received)
        assert (stats.rejected, stats.max_used) == (self.rejected, self.most)
        assert self.sent == self.received + self.used
        assert len(self.rx) == len(self.there)
        assert self.rx.is_closed == self.over
        assert self.used + sum(self.kept.values()) <= self.capacity
        assert "\n" not in repr(self.rx)

    def teardown(self) -> None:
        if hasattr(self, "rx"):
            for tx in self.open_senders:
                tx.close()
            self.rx.close()


TestChannelModel = ChannelModel.TestCase
TestChannelModel.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
