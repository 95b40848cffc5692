"""Every subscriber reads every item in order, or is told exactly how many it missed."""

from __future__ import annotations

import gc
import threading
import weakref

import anyio
import numpy as np
import pytest
from anyio.lowlevel import checkpoint
from structlog.testing import capture_logs

from meridian.foundation.channels import (
    ChannelClosed,
    Lagged,
    SendClosed,
    broadcast,
    channel_registry,
)
from meridian.foundation.channels.broadcast import (
    BroadcastStats,
)
from meridian.foundation.sync import WrongThread
from meridian.foundation.tasks import CLOSED, PENDING, Ready, select
from meridian.foundation.tasks.parking import Budget
from meridian.testing.clock import VirtualClock
from meridian.testing.settling import settle

pytestmark = pytest.mark.anyio


async def test_a_receiver_of_capacity_two_sees_lag_then_the_last_two() -> None:
    sender = broadcast(2)
    receiver = sender.subscribe("archive")
    for item in range(1, 6):
        sender.send(item)
    with pytest.raises(Lagged, match="3 items") as lag:
        await receiver.recv()
    assert lag.value.missed == 3
    assert lag.value.name == "archive"
    assert [await receiver.recv(), receiver.try_recv()] == [4, 5]
    assert (receiver.received, receiver.missed, receiver.pending) == (2, 3, 0)
    sender.close()


async def test_the_capacity_is_exact() -> None:
    """Three are three: rounded up to a power of two, the fourth would still be held."""
    sender = broadcast(3)
    receiver = sender.subscribe()
    sender.send_many(range(3))
    assert await receiver.recv() == 0
    sender.send_many((3, 4))
    with pytest.raises(Lagged) as lag:
        receiver.try_recv()
    assert lag.value.missed == 1
    assert await receiver.recv_many() == [2, 3, 4]
    sender.close()


async def test_nobody_is_fine_and_what_was_sent_before_is_not_seen() -> None:
    sender = broadcast(4)
    assert sender.send(1) == sender.send_many([2, 3]) == 0
    receiver = sender.subscribe()
    assert sender.send(4) == 1
    assert await receiver.recv_many() == [4]
    assert sender.sent == 4
    receiver.close()
    assert sender.send(5) == 0
    sender.close()
    late = sender.subscribe()
    with pytest.raises(ChannelClosed):
        await late.recv()


async def test_after_close_what_is_pending_is_delivered_and_then_it_ends() -> None:
    sender = broadcast(4)
    receiver, other = sender.subscribe(), sender.subscribe()
    sender.send_many("abc")
    sender.close()
    sender.close()
    assert not receiver.is_closed, "something is pending"
    with pytest.raises(SendClosed) as refused:
        sender.send("d")
    assert refused.value.item == "d"
    with pytest.raises(SendClosed) as refused:
        sender.send_many(["d", "e"])
    assert refused.value.item == ["d", "e"]
    assert [item async for item in receiver] == ["a", "b", "c"]
    assert await receiver.recv_many() == []
    assert receiver.try_take() is CLOSED
    assert await other.recv_many(2) == ["a", "b"]
    other.close()
    other.close()
    with pytest.raises(ChannelClosed):
        other.try_recv()
    assert (other.received, other.missed, other.pending) == (2, 0, 1)
    assert sender.is_closed
    assert other.is_closed
    assert receiver.is_closed


@pytest.mark.parametrize("which", ["sender", "receiver"])
async def test_closing_wakes_those_who_wait(which: str) -> None:
    sender = broadcast(4)
    receiver, ended = sender.subscribe(), []

    async def read() -> None:
        ended.append([item async for item in receiver])

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(read)
            group.start_soon(read)
            await settle()
            (sender if which == "sender" else receiver).close()
    assert ended == [[], []]
    sender.close()


async def test_they_are_woken_in_the_order_they_came() -> None:
    sender, woken = broadcast(4), []
    receivers = [sender.subscribe() for _ in range(5)]
    for i in (3, 1, 4, 0, 2):
        receivers[i].add_waiter(lambda i=i: woken.append(i))
    sender.send("x")
    assert woken == [3, 1, 4, 0, 2]
    sender.close()


async def test_a_subscriber_that_never_reads_holds_up_nobody_and_no_memory() -> None:
    class Item:
        pass

    sender = broadcast(16)
    lazy, eager = sender.subscribe(), sender.subscribe()
    alive = []
    for _ in range(50):
        batch = [Item() for _ in range(8)]
        alive += [weakref.ref(item) for item in batch]
        sender.send_many(batch)
        batch = await eager.recv_many()
        assert len(batch) == 8
    del batch
    assert sum(ref() is not None for ref in alive) == 16
    assert (lazy.missed, lazy.pending) == (400 - 16, 16)
    lazy.close()
    assert sum(ref() is not None for ref in alive) == 0, "forgotten with what it left"
    sender.close()


async def test_no_reference_is_kept_to_what_all_have_passed() -> None:
    class Item:
        pass

    sender = broadcast(8)
    first, second = sender.subscribe(), sender.subscribe()
    item = Item()
    ref = weakref.ref(item)
    sender.send(item)
    sender.send(None)
    del item
    assert await first.recv() is not None
    assert ref() is not None, "the second has not read it"
    assert second.try_recv() is not None
    assert ref() is None
    sender.close()


async def test_a_subscriber_that_is_dropped_is_forgotten() -> None:
    class Item:
        pass

    sender = broadcast(4, clock=VirtualClock())
    receiver = sender.subscribe("dropped")
    item = Item()
    ref = weakref.ref(item)
    sender.send(item)
    sender.send_many([None] * 4)
    del receiver, item
    gc.collect()
    assert sender.subscribers == 0
    with capture_logs() as logs:
        assert sender.send(1) == 0
    assert [(line["event"], line["name"], line["missed"]) for line in logs] == [
        ("handler_lagged", "dropped", 1)
    ]
    assert ref() is None
    assert sender.statistics().held == 0
    last = sender.subscribe()
    sender.send(2)
    del last
    sender.close()
    assert sender.statistics().held == 0


async def test_a_sender_that_is_dropped_ends_it_with_a_warning() -> None:
    sender = broadcast(4)
    receiver, ended = sender.subscribe(), []

    async def read() -> None:
        ended.append([item async for item in receiver])

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(read)
            await settle()
            sender.send(1)
            await settle()
            with pytest.warns(ResourceWarning, match="was not closed"):
                del sender
    assert ended == [[1]]


async def test_the_log_of_lag_is_rare_and_exact() -> None:
    clock = VirtualClock()
    sender = broadcast(10, clock=clock)
    receiver = sender.subscribe("archive")
    with capture_logs() as logs:
        for _ in range(250):
            sender.send_many(range(20))
            with pytest.raises(Lagged):
                await receiver.recv()
            assert len(await receiver.recv_many()) == 10
            clock.advance(0.01)
        told = [line["missed"] for line in logs]
        assert len(told) == 3
        sender.send_many(range(15))
        receiver.close()
        assert receiver.missed == 250 * 10 + 5
    lines = [line for line in logs if line["event"] == "handler_lagged"]
    assert len(lines) == 4
    assert {line["name"] for line in lines} == {"archive"}
    assert sum(line["missed"] for line in lines) == receiver.missed
    sender.close()


async def test_the_rest_is_told_at_the_end() -> None:
    sender = broadcast(1, clock=VirtualClock())
    receiver = sender.subscribe()
    with capture_logs() as logs:
        for _ in range(3):
            sender.send_many("ab")
            with pytest.raises(Lagged):
                receiver.try_recv()
            assert receiver.try_recv() == "b"
        sender.close()
        assert await receiver.recv_many() == []
    assert [line["missed"] for line in logs] == [1, 2]


async def test_who_falls_off_may_subscribe_again_and_knows_the_gap() -> None:
    sender = broadcast(2)
    receiver = sender.subscribe()
    sender.send_many(range(5))
    seen = sender.sent - receiver.pending - receiver.missed
    receiver.close()
    sender.send(5)
    again, gap = sender.subscribe(), sender.sent - seen
    sender.send(6)
    assert await again.recv_many() == [6]
    assert gap == 6
    sender.close()


async def test_it_is_a_branch_of_select_that_loses_nothing() -> None:
    sender, other = broadcast(4), broadcast(4)
    mine, theirs = sender.subscribe(), other.subscribe()
    assert mine.try_take() is PENDING
    sender.send(1)
    other.send(2)
    index, value = await select(mine, theirs)
    assert (index, value) in ((0, 1), (1, 2))
    assert (theirs if index == 0 else mine).try_take() == Ready(2 if index == 0 else 1)
    got = []

    async def take() -> None:
        got.append(await select(mine, theirs))

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(take)
            await settle()
            other.send(3)
    assert got == [(1, 3)]
    sender.send_many(range(6))
    with pytest.raises(Lagged):
        await select(mine)
    called = []
    mine.add_waiter(lambda: called.append(True))()
    assert called, "there is something: at once"
    sender.close()
    other.close()


async def test_reading_need_not_wait_yet_lets_others_run() -> None:
    sender = broadcast(1000)
    receiver, ran = sender.subscribe(), []
    sender.send_many(range(1000))
    await checkpoint()

    async def other() -> None:
        ran.append(len(receiver))

    async with anyio.create_task_group() as group:
        group.start_soon(other)
        for _ in range(1000):
            await receiver.recv()
    assert ran
    assert 1000 - ran[0] <= 2 * Budget.TURN
    with anyio.CancelScope() as scope:
        scope.cancel()
        for _ in range(2 * Budget.TURN):
            sender.send(1)
            await receiver.recv()
    assert scope.cancelled_caught
    assert receiver.received + receiver.pending == sender.sent
    sender.close()


async def test_a_storm_of_events_does_not_keep_a_cancellation_out() -> None:
    """A subscriber is shared: some are woken with every turn of the loop, and in vain."""
    sender = broadcast(4)
    receiver, ended = sender.subscribe(), []

    async def read(scope: anyio.CancelScope) -> None:
        with scope:
            while True:
                await receiver.recv()
        ended.append(True)

    async with anyio.create_task_group() as group:
        first = anyio.CancelScope()
        group.start_soon(read, first)
        await settle()
        for value in range(5 * Budget.TURN):  # some read in earnest, and meet it then
            if value < 3:
                scope = anyio.CancelScope()
                scope.cancel()
                group.start_soon(read, scope)
            sender.send(value)
            await checkpoint()
        assert len(ended) == 3
        first.cancel()
    sender.close()


async def test_another_thread_is_refused_and_changes_nothing() -> None:
    sender = broadcast(4)
    receiver = sender.subscribe()
    sender.send(1)
    refused = []

    def elsewhere() -> None:
        for act in (
            lambda: sender.send(2),
            lambda: sender.send_many([2]),
            lambda: sender.subscribe(),
            lambda: receiver.try_recv(),
            lambda: receiver.add_waiter(print),
        ):
            try:
                act()
            except WrongThread as error:
                refused.append(str(error))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert len(refused) == 5
    assert sender.name in refused[0]
    assert (sender.sent, sender.subscribers, sender.is_closed) == (1, 1, False)
    assert receiver.try_recv() == 1
    sender.close()


@pytest.mark.parametrize("which", ["sender", "receiver"])
async def test_ends_may_be_closed_in_any_thread(which: str) -> None:
    sender, ended = broadcast(4), []
    receiver = sender.subscribe()

    async def read() -> None:
        ended.append([item async for item in receiver])

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(read)
            await settle()
            await anyio.to_thread.run_sync((sender if which == "sender" else receiver).close)
    assert ended == [[]]
    assert (sender if which == "sender" else receiver).is_closed
    sender.close()


async def test_arrays_are_given_away() -> None:
    async with broadcast(4) as sender:
        receiver = sender.subscribe()
        array, more = np.zeros(3), np.ones(2)
        sender.send("text")
        sender.send(array)
        sender.send_many(["text", more])
        for gone in (array, more):
            with pytest.raises(ValueError, match="read-only"):
                gone[0] = 1
        received = await receiver.recv_many()
        assert received[1] is array
    async with broadcast(4, freeze=False) as sender:
        sender.subscribe()
        array = np.zeros(3)
        sender.send(array)
        array[0] = 1


@pytest.mark.parametrize("capacity", [0, -1, True, 1.0, "8", None])
def test_a_capacity_is_a_whole_number_from_one(capacity: object) -> None:
    with pytest.raises(ValueError, match=r"Expected capacity (>= 1|as an int)"):
        broadcast(capacity)


@pytest.mark.parametrize("limit", [0, -1, True, 1.5, None])
async def test_so_is_a_limit(limit: object) -> None:
    async with broadcast(1) as sender, sender.subscribe() as receiver:
        with pytest.raises(ValueError if type(limit) is int else TypeError, match="Expected limit"):
            await receiver.recv_many(limit)


async def test_a_huge_ring_costs_what_is_in_it() -> None:
    async with broadcast(10**15) as sender, sender.subscribe() as receiver:
        sender.send(1)
        sender.send_many([2, 3])
        assert await receiver.recv_many() == [1, 2, 3]


async def test_an_operator_finds_it_by_name() -> None:
    async with broadcast(4, name="frames.test") as sender, sender.subscribe():
        sender.send_many(range(6))
        found = channel_registry()["frames.test"]
        assert found.statistics() == BroadcastStats(sent=6, held=4, subscribers=1)
        assert sender.statistics() == found.statistics()
    del found, sender
    gc.collect()
    assert "frames.test" not in channel_registry()


async def test_what_they_show() -> None:
    async with broadcast(4, name="frames") as sender, sender.subscribe() as receiver:
        sender.send(1)
        assert repr(sender) == (
            "<BroadcastSender <broadcast frames: 1 of 4 held, open>, 1 subscribers>"
        )
        assert repr(receiver) == "<BroadcastReceiver frames.1: 1 of 4, open>"
        assert sender.capacity == receiver.capacity == 4
    assert "closed" in repr(sender)
    assert "closed" in repr(receiver)
