"""Items of a bounded channel arrive once, in order, and no more of them lie there than may."""

from __future__ import annotations

import gc
import os
import pickle
import threading
import weakref

import anyio
import anyio.lowlevel
import pytest

from meridian.foundation.channels import (
    ChannelClosed,
    Empty,
    Full,
    Receiver,
    SendClosed,
    Sender,
    SendTimeout,
    channel,
)
from meridian.foundation.sync import WrongThread
from meridian.foundation.tasks import CLOSED, PENDING, Ready, select
from meridian.foundation.tasks.parking import Budget, current_budget

pytestmark = pytest.mark.anyio


async def drain(rx: Receiver[int]) -> list[int]:
    return [item async for item in rx]


async def test_items_come_out_in_the_order_they_went_in() -> None:
    tx, rx = channel(3)

    async def send() -> None:
        async with tx:
            for i in range(500):
                await tx.send(i)

    async with rx, anyio.create_task_group() as group:
        group.start_soon(send)
        assert await drain(rx) == list(range(500))
        with pytest.raises(ChannelClosed):
            await rx.recv()
        with pytest.raises(ChannelClosed):
            rx.try_recv()
        assert await rx.recv_many() == []
    stats = rx.statistics()
    assert (stats.sent, stats.received, stats.max_used) == (500, 500, 3)
    assert stats == tx.statistics()
    assert stats.send_blocked_s > 0


async def test_try_send_fills_to_the_capacity_and_gives_the_item_back() -> None:
    tx, rx = channel(8, name="tank")
    dropped = []
    for i in range(12):
        try:
            tx.try_send(i)
        except Full as full:
            dropped.append(full.item)
    assert dropped == [8, 9, 10, 11]
    assert len(rx) == 8
    assert rx.statistics().rejected == 4
    with pytest.raises(Full, match="Channel tank is full: 8 of 8 used"):
        tx.try_send(12)
    assert [rx.try_recv() for _ in range(8)] == list(range(8))
    with pytest.raises(Empty, match="Channel tank is empty"):
        rx.try_recv()
    tx.close()
    rx.close()
