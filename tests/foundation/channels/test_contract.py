"""Our channels pass the check that every channel has to pass."""

from __future__ import annotations

import pytest

from meridian.foundation.channels import (
    AlreadySent,
    ChannelClosed,
    Empty,
    Full,
    ReplyDropped,
    SendClosed,
    channel,
    oneshot,
    unbounded_channel,
)
from meridian.foundation.tasks import SelectExhausted, select
from meridian.testing import ChannelAdapter, Item, check_channel


class OfMpsc(ChannelAdapter):
    capacity = 2
    refused = (SendClosed, Full)
    ended = (ChannelClosed,)
    empty = (Empty,)

    def __init__(self) -> None:
        self.tx, self.rx = channel(self.capacity or 1, name="tank")

    async def send(self, item: Item) -> None:
        await self.tx.send(item)

    def try_send(self, item: Item) -> None:
        self.tx.try_send(item)

    async def recv(self) -> Item:
        return await self.rx.recv()

    def try_recv(self) -> Item:
        return self.rx.try_recv()

    def close(self) -> None:
        self.tx.close()

    def close_receiver(self) -> None:
        self.rx.close()

    def pending(self) -> int:
        return len(self.rx)

    def ends(self) -> tuple[object, ...]:
        return self.tx, self.rx

    def name(self) -> str:
        return self.tx.name


class OfUnbounded(OfMpsc):
    capacity = None

    def __init__(self) -> None:
        self.tx, self.rx = unbounded_channel(name="control", bound="as long as this test")


class OfBatches(OfMpsc):
    """Sends and receives by the call for many."""

    async def send(self, item: Item) -> None:
        assert await self.tx.send_many([item]) == 1

    async def recv(self) -> Item:
        items = await self.rx.recv_many(1)
        if not items:
            raise ChannelClosed(self.rx.name)
        return items.pop()


class OfPermits(OfMpsc):
    async def send(self, item: Item) -> None:
        with await self.tx.reserve() as permit:
            permit.send(item)


class OfWeights(OfMpsc):
    """Every item weighs 2, of a capacity of 4."""

    def __init__(self) -> None:
        self.tx, self.rx = channel(4, name="2 of 4", weigh=lambda _: 2)


class OfSelect(OfMpsc):
    async def recv(self) -> Item:
        try:
            return (await select(self.rx))[1]
        except SelectExhausted:
            raise ChannelClosed(self.rx.name) from None


class OfOneshot(ChannelAdapter):
    capacity = 1
    producers = 1
    most_items = 1
    refused = (SendClosed, AlreadySent)
    ended = (ChannelClosed, ReplyDropped)
    empty = (Empty,)

    def __init__(self) -> None:
        self.tx, self.rx = oneshot(name="reply")
        self.there = False

    async def send(self, item: Item) -> None:
        self.try_send(item)

    def try_send(self, item: Item) -> None:
        self.tx.send(item)
        self.there = True

    async def recv(self) -> Item:
        item: Item = await self.rx.recv()
        self.there = False
        return item

    def try_recv(self) -> Item:
        item: Item = self.rx.try_recv()
        self.there = False
        return item

    def close(self) -> None:
        self.tx.close()

    def pending(self) -> int:
        return int(self.there)

    def ends(self) -> tuple[object, ...]:
        return self.tx, self.rx

    def name(self) -> str:
        return "reply"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_bounded_channel_loses_nothing_whatever_the_schedule(backend: str) -> None:
    check_channel(OfMpsc, backends=backend, rounds=1500)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(
    "factory", [OfUnbounded, OfBatches, OfPermits, OfWeights, OfSelect, OfOneshot]
)
def test_each_way_of_using_it_passes(factory: type[ChannelAdapter], backend: str) -> None:
    check_channel(factory, backends=backend, rounds=150)
