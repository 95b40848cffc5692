"""Every subscriber against a model of it, in random histories and in races with cancellation."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from random import Random

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from meridian.foundation.channels import (
    ChannelClosed,
    Empty,
    Lagged,
    SendClosed,
    broadcast,
)
from meridian.foundation.channels.broadcast import (
    BroadcastReceiver,
    BroadcastSender,
    BroadcastStats,
)
from meridian.testing.channels import ChannelAdapter, Item, check_channel
from meridian.testing.clock import VirtualClock
from meridian.testing.settling import settle

pytestmark = pytest.mark.anyio
BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


class Watched:
    """A subscriber beside a model of it: the position it has come to among all that was sent."""

    def __init__(self, receiver: BroadcastReceiver[int], sent: list[int], capacity: int) -> None:
        self.receiver = receiver
        self.sent = sent
        self.capacity = capacity
        self.start = self.position = len(sent)
        self.read = self.lost = 0
        self.stopped_at: int | None = None

    def expect(self, outcome: list[int] | Lagged | Exception, limit: int = 1) -> None:
        behind = len(self.sent) - self.position
        if self.stopped_at is not None:
            assert isinstance(outcome, ChannelClosed) or outcome == []
        elif behind > self.capacity:
            assert isinstance(outcome, Lagged)
            assert outcome.missed == behind - self.capacity
            self.position += outcome.missed
            self.lost += outcome.missed
        elif behind == 0:
            assert isinstance(outcome, Empty | ChannelClosed) or outcome == []
        else:
            count = min(limit, behind)
            assert outcome == self.sent[self.position : self.position + count]
            self.position += count
            self.read += count

    def account(self) -> None:
        receiver = self.receiver
        end = len(self.sent) if self.stopped_at is None else self.stopped_at
        assert receiver.received == self.read
        assert receiver.missed >= self.lost
        assert receiver.pending == len(receiver) <= self.capacity
        assert receiver.received + receiver.missed + receiver.pending == end - self.start

    def close(self) -> None:
        self.receiver.close()
        if self.stopped_at is None:
            self.stopped_at = len(self.sent)
            self.lost = max(0, self.stopped_at - self.position - self.capacity) + self.lost

    async def one(self) -> None:
        try:
            outcome = [await self.receiver.recv()]
        except (Lagged, ChannelClosed) as error:
            outcome = error.with_traceback(None)  # which would keep the receiver
        self.expect(outcome)

    async def many(self, limit: int) -> None:
        try:
            outcome = await self.receiver.recv_many(limit)
        except Lagged as error:
            outcome = error.with_traceback(None)
        self.expect(outcome, limit)


def account_for(subscribers: list[Watched]) -> None:
    for one in subscribers:
        one.account()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.just(1)),
        st.tuples(st.just("send_many"), st.integers(0, 12)),
        st.tuples(st.just("subscribe"), st.just(0)),
        st.tuples(st.just("close"), st.integers(0, 9)),
        st.tuples(st.just("drop"), st.integers(0, 9)),
        st.tuples(st.just("try"), st.integers(0, 9)),
        st.tuples(st.just("recv"), st.integers(0, 9)),
        st.tuples(st.just("recv_many"), st.integers(0, 9)),
        st.tuples(st.just("cancel"), st.integers(0, 9)),
        st.tuples(st.just("run"), st.integers(1, 3)),
    ),
    max_size=60,
)


@BACKENDS
@settings(max_examples=60)
@given(steps=STEPS, capacity=st.integers(1, 5))
def test_against_a_list_with_cancellations(
    backend: str, steps: list[tuple[str, int]], capacity: int
) -> None:
    anyio.run(_play, steps, capacity, backend=backend)


async def _play(steps: list[tuple[str, int]], capacity: int) -> None:
    async with broadcast(capacity, clock=VirtualClock()) as sender:
        await _play_with(sender, steps, capacity)


async def _play_with(
    sender: BroadcastSender[int], steps: list[tuple[str, int]], capacity: int
) -> None:
    sent: list[int] = []
    subscribers: list[Watched] = []
    scopes: list[anyio.CancelScope] = []

    async def within(scope: anyio.CancelScope, read: Callable[[], object]) -> None:
        with scope:
            await read()

    async with anyio.create_task_group() as group:

        def start(read: Callable[[], object]) -> None:
            scopes.append(anyio.CancelScope())
            group.start_soon(within, scopes[-1], read)

        for step, number in steps:
            each = subscribers[number % len(subscribers)] if subscribers else None
            open_ones = sum(one.stopped_at is None for one in subscribers)
            match step:
                case "send":
                    sent.append(len(sent))
                    assert sender.send(sent[-1]) == open_ones
                case "send_many":
                    batch = list(range(len(sent), len(sent) + number))
                    sent.extend(batch)
                    assert sender.send_many(iter(batch)) == open_ones
                case "subscribe":
                    subscribers.append(Watched(sender.subscribe(), sent, capacity))
                case "run":
                    for _ in range(number):
                        await checkpoint()
                case "cancel" if scopes:
                    scopes.pop(number % len(scopes)).cancel()
                case "close" if each:
                    each.close()
                case "drop" if each:
                    while scopes:  # a task that reads from it keeps it
                        scopes.pop().cancel()
                    await settle()
                    subscribers.remove(each)
                    each = None
                case "try" if each:
                    try:
                        outcome = [each.receiver.try_recv()]
                    except (Lagged, Empty, ChannelClosed) as error:
                        outcome = error.with_traceback(None)
                    each.expect(outcome)
                case "recv" if each:
                    start(each.one)
                case "recv_many" if each:
                    start(lambda each=each, limit=number + 1: each.many(limit))
            account_for(subscribers)
            assert sender.sent == len(sent)
            assert sender.subscribers == sum(one.stopped_at is None for one in subscribers)
            assert sender.statistics().held <= capacity
        await settle()
        sender.close()
        with anyio.fail_after(30):
            while scopes:  # whoever waited is at the end now
                await settle()
                scopes.pop().cancel()
    for one in subscribers:
        while one.stopped_at is None:
            await one.many(3)
            if one.position == len(sent):
                break
        with pytest.raises(ChannelClosed):
            await one.receiver.recv()
        one.account()
        if one.stopped_at is None:
            assert one.read + one.lost == len(sent) - one.start
    assert sender.statistics() == BroadcastStats(
        sent=len(sent), held=0, subscribers=sender.subscribers
    )


class OfBroadcast(ChannelAdapter):
    """One subscriber that reads on where it lagged."""

    capacity, refused, ended = 3, (SendClosed,), (ChannelClosed,)

    def __init__(self) -> None:
        self.sender = broadcast(self.capacity, clock=VirtualClock())
        self.receiver = self.sender.subscribe()

    async def send(self, item: Item) -> None:
        self.sender.send(item)

    def try_send(self, item: Item) -> None:
        self.sender.send_many([item])

    async def recv(self) -> Item:
        while True:
            with suppress(Lagged):
                return await self.receiver.recv()

    def try_recv(self) -> Item:
        while True:
            with suppress(Lagged):
                return self.receiver.try_recv()

    def close(self) -> None:
        self.sender.close()

    def pending(self) -> int:
        return self.receiver.pending

    def lost(self) -> int:
        return self.receiver.missed

    def has_room(self) -> bool:
        return True

    def ends(self) -> tuple[object, ...]:
        return self.sender, self.receiver


@BACKENDS
def test_it_keeps_the_contract_of_every_channel(backend: str) -> None:
    check_channel(OfBroadcast, backends=backend, rounds=150)


async def test_ten_thousand_sends_race_with_cancelled_reads() -> None:
    random = Random(11)
    sender = broadcast(10_000)
    receivers = [sender.subscribe() for _ in range(3)]
    got: list[list[int]] = [[], [], []]

    async def read(which: int, scope: anyio.CancelScope) -> None:
        with scope:
            while True:
                got[which].append(await receivers[which].recv())

    async with anyio.create_task_group() as group:
        scopes: list[anyio.CancelScope] = []
        for item in range(10_000):
            if item % 10 == 0:
                scopes.append(anyio.CancelScope())
                group.start_soon(read, item // 10 % 3, scopes[-1])
            sender.send(item)
            if len(scopes) > 3 or (scopes and random.random() < 0.2):
                scopes.pop(random.randrange(len(scopes))).cancel()
            if random.random() < 0.5:
                await checkpoint()
        await settle()
        for scope in scopes:
            scope.cancel()
    for receiver, items in zip(receivers, got, strict=True):
        left = await receiver.recv_many(10_000) if len(receiver) else []
        assert items + left == list(range(10_000)), "nothing lost, nothing twice, in order"
    sender.close()
