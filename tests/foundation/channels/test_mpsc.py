"""Items of a bounded channel arrive once, in order, and no more of them lie there than may."""

from __future__ import annotations

import gc
import pickle
import weakref
from random import Random

import anyio
import pytest
from anyio.lowlevel import checkpoint

from meridian.foundation.channels import (
    ChannelClosed,
    Empty,
    Full,
    Lagged,
    ReplyDropped,
    SendClosed,
    Sender,
    SendTimeout,
    channel,
)
from meridian.foundation.tasks import CLOSED, PENDING, Ready, SelectExhausted, select
from meridian.foundation.tasks.parking import Budget, current_budget

pytestmark = pytest.mark.anyio


class Thing:
    """What a weak reference can tell of."""


async def test_items_come_out_in_the_order_they_went_in() -> None:
    tx, rx = channel(3)

    async def send() -> None:
        async with tx:
            for i in range(500):
                await tx.send(i)

    async with rx, anyio.create_task_group() as group:
        group.start_soon(send)
        assert [item async for item in rx] == list(range(500))
        with pytest.raises(ChannelClosed):
            await rx.recv()
        with pytest.raises(ChannelClosed):
            rx.try_recv()
        assert await rx.recv_many() == []
        assert rx.is_closed
    stats = rx.statistics()
    assert (stats.sent, stats.received, stats.max_used) == (500, 500, 3)
    assert stats == tx.statistics()
    assert stats.send_blocked_s > 0


async def test_try_send_fills_to_the_capacity_and_gives_the_item_back() -> None:
    tx, rx = channel(8, name="tank")
    async with tx, rx:
        dropped = []
        for i in range(12):
            try:
                tx.try_send(i)
            except Full as full:
                dropped.append(full.item)
        assert dropped == [8, 9, 10, 11]
        assert (len(rx), tx.capacity, rx.capacity) == (8, 8, 8)
        assert rx.statistics().rejected == 4
        with pytest.raises(Full, match="Channel tank is full: 8 of 8 used"):
            tx.try_send(12)
        assert [rx.try_recv() for _ in range(8)] == list(range(8))
        with pytest.raises(Empty, match="Channel tank is empty"):
            rx.try_recv()
        assert rx, "an empty channel is not nothing"


async def test_who_waits_first_is_in_first_and_nobody_overtakes() -> None:
    tx, rx = channel(2)
    order: list[int] = []

    async def send(i: int) -> None:
        await tx.send(i)
        order.append(i)

    async with tx, rx, anyio.create_task_group() as group:
        for i in range(6):
            group.start_soon(send, i)
            await anyio.wait_all_tasks_blocked()
        assert rx.waiting_senders == 4
        assert rx.try_recv() == 0
        with pytest.raises(Full):
            tx.try_send(99)  # the place is the next waiting sender's
        assert rx.waiting_senders == 3
        assert [await rx.recv() for _ in range(5)] == [1, 2, 3, 4, 5]
        await anyio.wait_all_tasks_blocked()
    assert sorted(order) == list(range(6))


async def test_a_receiver_that_drains_need_not_wait_for_those_who_wait_to_send() -> None:
    tx, rx = channel(1)
    async with tx, rx, anyio.create_task_group() as group:
        for i in range(50):
            group.start_soon(tx.send, i)
        await anyio.wait_all_tasks_blocked()
        assert rx.waiting_senders == 49
        assert sorted(rx.try_recv() for _ in range(50)) == list(range(50))


async def test_when_the_receiver_goes_a_hundred_senders_get_their_items_back() -> None:
    for leave in ("close", "drop"):
        tx, rx = channel(4)
        back: list[int] = []

        async def send(i: int, tx: Sender[int] = tx, back: list[int] = back) -> None:
            try:
                await tx.send(i)
            except SendClosed as error:
                back.append(error.item)  # type: ignore[arg-type]

        async with anyio.create_task_group() as group:
            for i in range(104):
                group.start_soon(send, i)
            await anyio.wait_all_tasks_blocked()
            there = list(rx._buffer.items)
            if leave == "close":
                rx.close()
            else:
                with pytest.warns(ResourceWarning, match="A receiver of .* was not closed"):
                    del rx
            await anyio.wait_all_tasks_blocked()
        assert len(there) == 4
        assert sorted(there + back) == list(range(104))
        assert tx.is_closed
        assert tx.statistics().rejected == 100
        if leave == "close":
            assert [item async for item in rx] == there, "what is buffered stays readable"
        tx.close()


async def test_a_receiver_that_is_closed_refuses_at_once() -> None:
    tx, rx = channel(4)
    await tx.send(1)
    rx.close()
    rx.close()
    for send in (tx.send, tx.reserve, tx.send_many):
        with pytest.raises(SendClosed):
            await (send([2]) if send == tx.send_many else send(2))  # type: ignore[operator]
    with pytest.raises(SendClosed) as refused:
        tx.try_send(3)
    assert refused.value.item == 3
    with pytest.raises(SendClosed):
        tx.clone()
    await tx.closed()
    assert await rx.recv() == 1
    with pytest.raises(ChannelClosed):
        await rx.recv()
    tx.close()


async def test_the_channel_ends_with_the_last_sender() -> None:
    tx, rx = channel(4)
    other = tx.clone()
    await tx.send(1)
    tx.close()
    tx.close()
    with pytest.raises(SendClosed) as refused:
        await tx.send(2)
    assert refused.value.item == 2
    with pytest.raises(SendClosed):
        tx.clone()
    assert tx.is_closed
    assert not other.is_closed
    await other.send(3)
    async with anyio.create_task_group() as group:
        ends: list[str] = []

        async def end() -> None:
            with pytest.raises(ChannelClosed):
                await rx.recv()
            ends.append("told")

        assert await rx.recv_many() == [1, 3]
        for _ in range(3):
            group.start_soon(end)
        await anyio.wait_all_tasks_blocked()
        other.close()
    assert ends == ["told"] * 3
    rx.close()


async def test_a_sender_waits_for_the_receiver_to_leave() -> None:
    tx, rx = channel(4)
    async with tx, anyio.create_task_group() as group:
        group.start_soon(tx.closed)
        await anyio.wait_all_tasks_blocked()
        with anyio.move_on_after(0) as scope:
            await tx.closed()
        assert scope.cancelled_caught
        rx.close()


async def test_a_cancelled_send_inserts_nothing_and_the_next_moves_up() -> None:
    tx, rx = channel(1)
    async with tx, rx, anyio.create_task_group() as group:
        await tx.send(0)
        scopes = [anyio.CancelScope() for _ in range(5)]

        async def send(i: int) -> None:
            with scopes[i]:
                await tx.send(i + 1)

        for i in range(5):
            group.start_soon(send, i)
            await anyio.wait_all_tasks_blocked()
        scopes[0].cancel()
        scopes[3].cancel()
        assert await rx.recv() == 0
        await anyio.wait_all_tasks_blocked()
        assert [await rx.recv() for _ in range(3)] == [2, 3, 5]
        assert len(rx) == rx.waiting_senders == 0


async def test_senders_that_gave_up_leave_nothing_behind() -> None:
    tx, rx = channel(1)
    async with tx, rx, anyio.create_task_group() as group:
        await tx.send(0)
        group.start_soon(tx.send, 1)
        await anyio.wait_all_tasks_blocked()
        things = [Thing() for _ in range(20)]
        alive = [weakref.ref(thing) for thing in things]

        async def give_up() -> None:
            with pytest.raises(SendTimeout):
                await tx.send_timeout(things.pop(), 0)

        while things:
            await give_up()
        gc.collect()
        kept = [ref for ref in alive if ref() is not None]
        assert len(kept) <= 1, "the last is the traceback's of its own cancellation"
        assert rx.waiting_senders == 1
        assert [await rx.recv(), await rx.recv()] == [0, 1]


async def test_a_cancelled_recv_races_with_delivery_and_nothing_is_lost(
    anyio_backend: str,
) -> None:
    random = Random(7)
    tx, rx = channel(1)
    got: list[int] = []
    endings = set()

    async def recv(scope: anyio.CancelScope) -> None:
        with scope:
            got.append(await rx.recv())

    async with tx, rx:
        rounds = 5_000  # on each backend
        for i in range(rounds):
            async with anyio.create_task_group() as group:
                scope = anyio.CancelScope()
                group.start_soon(recv, scope)
                for _ in range(random.randrange(3)):
                    await checkpoint()
                for act in random.sample(("send", "cancel"), 2):
                    if act == "send":
                        tx.try_send(i)
                    else:
                        scope.cancel()
                    if random.random() < 0.3:
                        await checkpoint()
            endings.add(scope.cancelled_caught)
            if len(got) == i:  # cancelled, and so it lies there still
                got.append(rx.try_recv())
        assert got == list(range(rounds))
    assert endings == {True, False}, f"both happen on {anyio_backend}"


async def test_send_timeout_gives_the_item_back() -> None:
    tx, rx = channel(1, name="slow")
    async with tx, rx:
        await tx.send_timeout(0, 0)  # there is room: no time is needed
        with pytest.raises(SendTimeout, match=r"Channel slow had no room for 0\.01 s") as late:
            await tx.send_timeout(1, 0.01)
        assert late.value.item == 1
        assert rx.statistics().timed_out == 1
        assert rx.waiting_senders == 0
        async with anyio.create_task_group() as group:
            group.start_soon(tx.send_timeout, 2, 60)
            await anyio.wait_all_tasks_blocked()
            assert await rx.recv() == 0
        assert await rx.recv() == 2
        for wrong in (-1, float("nan")):
            with pytest.raises(ValueError, match="Expected a time >= 0 s"):
                await tx.send_timeout(3, wrong)
        for bad in (True, "1", None):
            with pytest.raises(TypeError, match="Expected a time in seconds"):
                await tx.send_timeout(3, bad)  # type: ignore[arg-type]
        await tx.send_timeout(3, float("inf"))


async def test_a_timeout_of_nothing_is_enough_whenever_there_is_room() -> None:
    tx, rx = channel(1000)
    async with tx, rx:
        for i in range(500):  # a turn of the budget is not the receiver's fault
            await tx.send_timeout(i, 0)
        assert len(rx) == 500


async def test_many_at_a_time() -> None:
    tx, rx = channel(10)
    counts: list[int] = []

    async def send() -> None:
        async with tx:
            counts.append(await tx.send_many(range(95)))
            counts.append(await tx.send_many(i for i in range(95, 100)))
            counts.append(await tx.send_many([]))

    got: list[int] = []
    async with rx, anyio.create_task_group() as group:
        group.start_soon(send)
        while batch := await rx.recv_many(7):
            assert len(batch) <= 7
            got += batch
    assert got == list(range(100))
    assert counts == [95, 5, 0]
    assert rx.statistics().max_used == 10


async def test_many_are_sent_up_to_where_it_ends() -> None:
    tx, rx = channel(4)
    async with anyio.create_task_group() as group:
        refused: list[object] = []

        async def send() -> None:
            with pytest.raises(SendClosed) as error:
                await tx.send_many(range(20))
            refused.append(error.value.item)

        group.start_soon(send)
        await anyio.wait_all_tasks_blocked()
        assert await rx.recv_many(2) == [0, 1]
        await anyio.wait_all_tasks_blocked()
        rx.close()
    assert [item async for item in rx] == [2, 3, 4, 5]
    assert refused == [6], "the first that is not in"
    tx.close()


async def test_an_iterator_that_fails_or_sends_itself_does_no_harm() -> None:
    tx, rx = channel(4)

    def fails() -> list[int]:
        yield 1  # type: ignore[misc]
        yield 2
        raise OSError("no more")

    def sends() -> list[int]:
        yield 3  # type: ignore[misc]
        tx.try_send(100)
        yield 4
        yield 5

    async with tx, rx:
        with pytest.raises(OSError, match="no more"):
            await tx.send_many(fails())
        assert await rx.recv_many() == [1, 2]
        async with anyio.create_task_group() as group:
            group.start_soon(tx.send_many, sends())
            await anyio.wait_all_tasks_blocked()
            assert len(rx) <= 4
            assert sorted(await rx.recv_many()) == [3, 4, 5, 100]


async def test_a_run_of_operations_lets_others_in_every_128th() -> None:
    tx, rx = channel(10_000)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await checkpoint()

    async with tx, rx, anyio.create_task_group() as group:
        group.start_soon(count)
        await current_budget().turn()
        start = turns
        for _ in range(127):
            await tx.send(0)
        assert turns == start
        for run in range(1, 10):
            for i in range(128):
                await (tx.send(0) if i % 2 else rx.recv())
            assert start + run - 1 <= turns <= start + run + 1  # trio draws who runs first
        group.cancel_scope.cancel()
    assert Budget.TURN == 128


async def test_a_cancellation_is_met_after_128_operations_at_the_latest() -> None:
    tx, rx = channel(10_000)
    async with tx, rx:
        await current_budget().turn()
        with anyio.CancelScope() as scope:
            scope.cancel()
            for i in range(1000):
                await tx.send(i)
            pytest.fail("it was cancelled")
        assert len(rx) == 127
        assert await rx.recv_many() == list(range(127))


async def test_select_over_receivers_loses_nothing() -> None:
    random = Random(3)
    ends = [channel(2) for _ in range(4)]
    sent = dict.fromkeys(range(4), 0)
    got: dict[int, list[int]] = {i: [] for i in range(4)}

    async def send(i: int) -> None:
        async with ends[i][0] as tx:
            for n in range(150):
                await tx.send(n)
                sent[i] += 1
                if random.random() < 0.2:
                    await checkpoint()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for i in range(4):
                group.start_soon(send, i)
            while True:
                with anyio.CancelScope() as scope:
                    if random.random() < 0.3:
                        scope.cancel()
                    try:
                        i, n = await select(*(rx for _, rx in ends))
                    except SelectExhausted:
                        break
                    got[i].append(n)
    assert all(got[i] == list(range(150)) for i in range(4))
    assert all(len(rx._buffer.recv_waiters) == 0 for _, rx in ends), "no waiter is left behind"
    for _, rx in ends:
        rx.close()


async def test_as_a_branch_it_is_asked_first() -> None:
    tx, rx = channel(2)
    assert rx.try_take() is PENDING
    woken: list[int] = []
    remove = rx.add_waiter(lambda: woken.append(1))
    tx.try_send(5)
    assert woken == [1]
    remove()
    remove()
    rx.add_waiter(lambda: woken.append(2))()
    assert woken == [1, 2], "at once, for something is there"
    assert rx.try_take() == Ready(5)
    tx.close()
    assert rx.try_take() is CLOSED
    rx.close()


async def test_a_waiter_that_was_called_and_takes_nothing_passes_it_on() -> None:
    tx, rx = channel(2)
    async with tx, rx:
        woken: list[int] = []
        first = rx.add_waiter(lambda: woken.append(1))
        rx.add_waiter(lambda: woken.append(2))
        tx.try_send(5)
        assert woken == [1]
        first()
        assert woken == [1, 2]


async def test_no_reference_is_kept_to_what_was_delivered() -> None:
    tx, rx = channel(2)
    async with tx, rx:
        for receive in (rx.recv, rx.recv_many, rx.__anext__):
            thing = Thing()
            alive = weakref.ref(thing)
            async with anyio.create_task_group() as group:
                group.start_soon(tx.send, thing)
                del thing
                await anyio.wait_all_tasks_blocked()
                assert alive() is not None
                await receive()
            gc.collect()
            assert alive() is None


async def test_a_dropped_receiver_lets_go_of_what_it_did_not_read() -> None:
    tx, rx = channel(2)
    thing = Thing()
    alive = weakref.ref(thing)
    await tx.send(thing)
    del thing
    rx.close()
    assert alive() is not None
    del rx
    gc.collect()
    await checkpoint()
    assert alive() is None
    assert tx.statistics().received == 0
    assert repr(tx).count("\n") == 0
    tx.close()


async def test_what_it_shows() -> None:
    tx, rx = channel(4, name="tank")
    await tx.send(1)
    assert repr(tx) == "<Sender of channel tank: 1 of 4, open>"
    assert repr(rx) == "<Receiver of channel tank: 1 of 4, open>"
    permit = await tx.reserve()
    assert repr(permit) == "<permit for 1 of channel tank: 1 and 1 reserved of 4, open>"
    permit.close()
    tx.close()
    assert repr(tx) == "<Sender, closed here, of channel tank: 1 of 4, no sender>"
    rx.close()
    assert repr(rx) == "<Receiver of channel tank: 1 of 4, no sender, no receiver>"


def test_what_is_no_channel_is_refused() -> None:
    for capacity in (0, -1, True, 1.0, "1", None):
        with pytest.raises(ValueError, match=r"Expected capacity (>= 1, got|as an int, got)"):
            channel(capacity)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Expected weigh to be a function, got 3"):
        channel(1, weigh=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Expected weigh beside split"):
        channel(1, split=lambda item, _: (item, item))
    for name, error in ((3, TypeError), ("", ValueError)):
        with pytest.raises(error, match="Expected the name of a channel"):
            channel(1, name=name)  # type: ignore[arg-type]


async def test_limits_of_a_batch_are_checked() -> None:
    tx, rx = channel(1)
    async with tx, rx:
        for limit in (0, -1, True, 1.0):
            error = ValueError if type(limit) is int else TypeError
            with pytest.raises(error, match="Expected limit"):
                await rx.recv_many(limit)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            await tx.send_many(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "error",
    [
        ChannelClosed("c"),
        SendClosed("c", 1),
        Full("c", 1, 2, 3),
        SendTimeout("c", 1, 0.5),
        Empty("c"),
        Lagged("c", 3),
        ReplyDropped("c"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_travel_to_other_processes(error: Exception) -> None:
    there = pickle.loads(pickle.dumps(error))
    assert type(there) is type(error)
    assert str(there) == str(error)
    assert vars(there) == vars(error)
