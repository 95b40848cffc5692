"""Many feeds into one: nothing lost, nobody passed over, and the urgent first."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import suppress
from random import Random

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from meridian.foundation.channels import (
    ArchivedReplay,
    ChannelClosed,
    Empty,
    Full,
    Lagged,
    LiveUplink,
    SendClosed,
    TaggedFrame,
    broadcast,
    channel,
    merge,
    priority_channel,
    watch,
)
from meridian.foundation.channels.fanin import PriorityReceiver
from meridian.foundation.tasks import CLOSED, PENDING, Ready, select
from meridian.foundation.tasks.parking import Budget
from meridian.testing.channels import ChannelAdapter, Item, check_channel

pytestmark = pytest.mark.anyio
BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


async def settle() -> None:
    """Let every task that can run come to a stop; more rounds than any of them needs."""
    for _ in range(12):
        await checkpoint()


# -- merge ---------------------------------------------------------------------------------------


async def test_those_that_are_ready_take_turns() -> None:
    senders, receivers = zip(*(channel(8) for _ in range(3)), strict=True)
    for sender, items in zip(senders, ("aaaa", "bb", "cccccc"), strict=True):
        await sender.send_many(items)
    merged = merge(*receivers)
    assert len(merged) == 12
    order = "".join([await merged.recv() for _ in range(12)])
    assert Counter(order) == {"a": 4, "b": 2, "c": 6}
    assert sorted(order[:3]) == sorted(order[3:6]) == ["a", "b", "c"]
    assert sorted(order[6:8]) == sorted(order[8:10]) == ["a", "c"]
    assert merged.try_take() is PENDING
    for sender in senders:
        sender.close()
    assert await merged.recv_many() == []


async def test_a_fast_feed_does_not_hold_up_a_slow_one() -> None:
    (fast, one), (slow, two) = channel(64), channel(64)
    merged = merge(one, two)
    for _ in range(20):
        while True:
            try:
                fast.try_send("fast")
            except Full:
                break
        slow.try_send("slow")
        assert "slow" in [await merged.recv(), await merged.recv()]
    fast.close()
    slow.close()
    assert "slow" not in [item async for item in merged]


async def test_it_ends_when_all_have_ended() -> None:
    (first, one), (second, two) = channel(4), channel(4)
    merged, ended = merge(one, two), []

    async def read() -> None:
        ended.append([item async for item in merged])

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(read)
            await settle()
            first.close()
            await settle()
            assert not ended
            await second.send(1)
            second.close()
    assert ended == [[1]]
    with pytest.raises(ChannelClosed, match="merge"):
        merged.try_recv()
    assert merged.try_take() is CLOSED
    assert await merge().recv_many() == []


async def test_closing_it_closes_all_and_drains_what_is_there() -> None:
    (first, one), (second, two) = channel(4), channel(4)
    async with merge(one, two) as merged:
        await first.send(1)
        await second.send(2)
    merged.close()
    for sender in (first, second):
        with pytest.raises(SendClosed):
            await sender.send(3)
        sender.close()
    assert sorted(await merged.recv_many()) == [1, 2]
    assert await merged.recv_many() == []


async def test_receivers_of_every_kind_and_what_they_raise() -> None:
    numbers, (letters, theirs) = broadcast(2), channel(4)
    merged = merge(theirs, numbers.subscribe("mine"))
    await letters.send_many("abc")
    numbers.send_many(range(5))
    assert await merged.recv_many() == ["a"], "the lag comes after what was taken"
    with pytest.raises(Lagged) as lag:
        await merged.recv()
    assert lag.value.missed == 3
    assert await merged.recv_many() == ["b", 3, "c", 4]
    with pytest.raises(Empty):
        merged.try_recv()
    numbers.close()
    letters.close()
    assert await merged.recv_many() == []


@BACKENDS
@settings(max_examples=50)
@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 4))
def test_nothing_is_lost_whatever_is_cancelled(
    backend: str, seed: int, feeds: int, capacity: int
) -> None:
    anyio.run(_cancel_merges, Random(seed), feeds, capacity, backend=backend)


async def _cancel_merges(random: Random, feeds: int, capacity: int) -> None:
    ends = [channel(capacity) for _ in range(feeds)]
    merged = merge(*(receiver for _, receiver in ends))
    got: list[tuple[int, int]] = []

    async def read(scope: anyio.CancelScope, many: bool) -> None:
        with scope, suppress(ChannelClosed):
            while True:
                if many:
                    batch = await merged.recv_many(3)
                    got.extend(batch)
                    if not batch:
                        break
                else:
                    got.append(await merged.recv())

    async def write(feed: int) -> None:
        async with ends[feed][0] as sender:
            for number in range(20):
                await sender.send((feed, number))
                if random.random() < 0.3:
                    await checkpoint()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for feed in range(feeds):
                group.start_soon(write, feed)
            for _ in range(30):
                scope = anyio.CancelScope()
                group.start_soon(read, scope, random.random() < 0.5)
                for _ in range(random.randrange(4)):
                    await checkpoint()
                scope.cancel()
            await settle()
            got += [item async for item in merged]
    assert Counter(got) == Counter((feed, n) for feed in range(feeds) for n in range(20))


class OfMerge(ChannelAdapter):
    """A feed for each producer."""

    refused, ended = (SendClosed, Full), (ChannelClosed,)

    def __init__(self) -> None:
        self.senders, self.receivers = zip(*(channel(2) for _ in range(3)), strict=True)
        self.merged = merge(*self.receivers)

    async def send(self, item: Item) -> None:
        await self.senders[item.producer].send(item)

    def try_send(self, item: Item) -> None:
        self.senders[item.producer].try_send(item)

    async def recv(self) -> Item:
        return await self.merged.recv()

    def try_recv(self) -> Item:
        return self.merged.try_recv()

    def close(self) -> None:
        for sender in self.senders:
            sender.close()

    def close_receiver(self) -> None:
        self.merged.close()

    def pending(self) -> int:
        return len(self.merged)

    def has_room(self) -> bool:
        return all(len(receiver) < 2 for receiver in self.receivers)


class OfPriority(ChannelAdapter):
    """Every third item of a producer is urgent."""

    capacity, refused, ended = 4, (SendClosed, Full), (ChannelClosed,)

    def __init__(self) -> None:
        self.sender, self.receiver = priority_channel(2, 2)

    async def send(self, item: Item) -> None:
        await self.sender.send(item, high=self.stream(item))

    def try_send(self, item: Item) -> None:
        self.sender.try_send(item, high=self.stream(item))

    async def recv(self) -> Item:
        return await self.receiver.recv()

    def try_recv(self) -> Item:
        return self.receiver.try_recv()

    def close(self) -> None:
        self.sender.close()

    def close_receiver(self) -> None:
        self.receiver.close()

    def pending(self) -> int:
        return len(self.receiver)

    def has_room(self) -> bool:
        return self.receiver.high_pending < 2 and self.receiver.low_pending < 2

    def stream(self, item: Item) -> bool:
        return item.number % 3 == 2


@BACKENDS
@pytest.mark.parametrize("adapter", [OfMerge, OfPriority])
def test_they_keep_the_contract_of_every_channel(
    backend: str, adapter: type[ChannelAdapter]
) -> None:
    check_channel(adapter, backends=backend, rounds=150)


async def test_in_order_from_each_feed_and_all_of_each() -> None:
    ends = [channel(3) for _ in range(48)]
    merged = merge(*(receiver for _, receiver in ends))

    async def write(feed: int) -> None:
        async with ends[feed][0] as sender:
            await sender.send_many((feed, number) for number in range(50))

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for feed in range(48):
                group.start_soon(write, feed)
            got = [item async for item in merged]
    for feed in range(48):
        assert [number for which, number in got if which == feed] == list(range(50))


async def test_it_lets_others_run_and_is_a_branch() -> None:
    sender, receiver = channel(1000)
    await sender.send_many(range(1000))
    merged, ran = merge(receiver), []
    await checkpoint()

    async def other() -> None:
        ran.append(len(merged))

    async with anyio.create_task_group() as group:
        group.start_soon(other)
        for _ in range(999):
            await merged.recv()
    assert 1000 - ran[0] <= 2 * Budget.TURN
    stop, stopped = watch(False)
    stop.send(True)
    assert await select(stopped, merged, biased=True) == (0, True)
    assert await select(stopped, merged, biased=True) == (1, 999)
    sender.close()
    stop.close()
    assert merged.try_take() is CLOSED


async def test_a_reader_that_was_called_and_is_cancelled_passes_the_call_on() -> None:
    """Two wait on the same feeds; the item is there, and one of the two must see it."""
    for round_ in range(200):
        sender, receiver = channel(4)
        merged, got, scopes = merge(receiver), [], []

        async def read(scope: anyio.CancelScope) -> None:
            with scope:
                got.append(await merged.recv())  # noqa: B023

        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                for _ in range(2):
                    scopes.append(anyio.CancelScope())
                    group.start_soon(read, scopes[-1])
                await settle()
                sender.try_send(round_)
                scopes[0].cancel()
                await settle()
                assert got == [round_]
                scopes[1].cancel()
        sender.close()


async def test_a_storm_of_items_does_not_keep_a_cancellation_out() -> None:
    """It is woken with every turn of the loop, and somebody else has been quicker."""
    sender, receiver = channel(4)
    merged, ended = merge(receiver), []

    async def wait(scope: anyio.CancelScope) -> None:
        with scope:
            await merged.recv()
        ended.append(True)

    async with anyio.create_task_group() as group:
        for value in range(100):
            if value == 0:
                scope = anyio.CancelScope()
                scope.cancel()
                group.start_soon(wait, scope)
            sender.try_send(value)
            assert receiver.try_recv() == value
            await checkpoint()
        assert ended
    sender.close()


# -- two lanes -----------------------------------------------------------------------------------


async def test_the_urgent_are_taken_first_each_lane_in_order() -> None:
    sender, receiver = priority_channel()
    for number in range(5):
        await sender.send(("routine", number), high=False)
    for number in range(2):
        await sender.send(("emergency", number), high=True)
    assert len(receiver) == 7
    assert (receiver.high_pending, receiver.low_pending) == (2, 5)
    urgent = [("emergency", number) for number in range(2)]
    routine = [("routine", number) for number in range(5)]
    assert await receiver.recv_many(4) == [*urgent, *routine[:2]]
    assert receiver.try_recv() == ("routine", 2)
    sender.close()
    assert [item async for item in receiver] == routine[3:]
    assert receiver.try_take() is CLOSED


async def test_a_full_low_lane_does_not_delay_the_high_one() -> None:
    sender, receiver = priority_channel(high=2, low=3)
    waiting = []

    async def routine(number: int) -> None:
        await sender.send(number, high=False)
        waiting.append(number)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            for number in range(6):
                group.start_soon(routine, number)
            await settle()
            assert len(waiting) == 3, "the others wait for room"
            with pytest.raises(Full) as full:
                sender.try_send(9, high=False)
            assert full.value.item == 9
            with anyio.CancelScope() as now:  # an await that had to sleep would be cancelled
                now.cancel()
                await sender.send("urgent", high=True)
                sender.try_send("urgent too", high=True)
            assert len(waiting) == 3
            assert await receiver.recv() == "urgent"
            assert await receiver.recv() == "urgent too"
            for _ in range(6):
                assert isinstance(await receiver.recv(), int)
    stats = sender.statistics()
    assert stats == receiver.statistics()
    assert (stats.high.sent, stats.low.sent) == (2, 6)
    sender.close()


async def flood(receiver: PriorityReceiver[str], sender: object, taken: int) -> str:
    """Take so many while a new urgent item comes for each that is taken."""
    order = ""
    for _ in range(taken):
        order += await receiver.recv()
        if order[-1] == "H":
            sender.try_send("H", high=True)
    return order


async def test_routine_starves_under_a_flood_as_is_meant() -> None:
    sender, receiver = priority_channel(high=4, low=8)
    for _ in range(4):
        sender.try_send("H", high=True)
    for _ in range(8):
        sender.try_send("l", high=False)
    assert await flood(receiver, sender, 100) == "H" * 100
    assert receiver.low_pending == 8
    sender.close()


@pytest.mark.parametrize("run", [1, 3])
async def test_unless_the_run_is_bounded(run: int) -> None:
    sender, receiver = priority_channel(high=4, low=8, max_high_run=run)
    for _ in range(4):
        sender.try_send("H", high=True)
    for _ in range(8):
        sender.try_send("l", high=False)
    order = await flood(receiver, sender, (run + 1) * 8)
    assert order == ("H" * run + "l") * 8
    assert await flood(receiver, sender, 20) == "H" * 20, "nobody is kept waiting by it"
    sender.try_send("l", high=False)
    assert await flood(receiver, sender, run + 1) == "H" * run + "l", "counted from when it came"
    sender.close()


@BACKENDS
@settings(max_examples=50)
@given(
    st.lists(st.sampled_from(["high", "low", "take", "reader", "cancel", "run"]), max_size=80),
    st.sampled_from([None, 1, 2]),
)
def test_two_lanes_against_two_lists(backend: str, steps: list[str], run: int | None) -> None:
    anyio.run(_play_lanes, steps, run, backend=backend)


async def _play_lanes(steps: list[str], most: int | None) -> None:
    sender, receiver = priority_channel(3, 3, max_high_run=most)
    lanes: dict[bool, list[int]] = {True: [], False: []}
    scopes: list[anyio.CancelScope] = []
    run = count = 0

    def expect(item: int) -> None:
        nonlocal run
        high, low = lanes[True], lanes[False]
        urgent = bool(high) and not (low and most is not None and run >= most)
        run = run + 1 if urgent and low else 0
        assert item == lanes[urgent].pop(0)

    async def read(scope: anyio.CancelScope) -> None:
        with scope:
            expect(await receiver.recv())

    async with sender, anyio.create_task_group() as group:
        for step in steps:
            match step:
                case "high" | "low":
                    lane = lanes[step == "high"]
                    try:
                        sender.try_send(count, high=step == "high")
                    except Full:
                        assert len(lane) == 3
                    else:
                        lane.append(count)
                        count += 1
                case "take":
                    try:
                        item = receiver.try_recv()
                    except Empty:
                        assert not lanes[True]
                        assert not lanes[False]
                        run = 0
                    else:
                        expect(item)
                case "reader":
                    scopes.append(anyio.CancelScope())
                    group.start_soon(read, scopes[-1])
                case "cancel" if scopes:
                    scopes.pop(0).cancel()
                case "run":
                    await checkpoint()
            assert len(receiver) == len(lanes[True]) + len(lanes[False])
        for scope in scopes:
            scope.cancel()


async def test_every_sender_must_close_and_the_receiver_tells_them() -> None:
    sender, receiver = priority_channel()
    other = sender.clone()
    sender.close()
    sender.close()
    assert sender.is_closed
    with pytest.raises(SendClosed):
        sender.clone()
    with pytest.raises(SendClosed) as refused:
        await sender.send(1, high=True)
    assert refused.value.item == 1
    await other.send(2, high=True)
    assert receiver.try_take() == Ready(2)
    assert receiver.try_take() is PENDING
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(other.closed)
            await settle()
            receiver.close()
    for high in (True, False):
        with pytest.raises(SendClosed):
            other.try_send(3, high=high)
    other.close()
    assert await receiver.recv_many() == []


async def test_it_may_be_closed_in_another_thread() -> None:
    """Two steps in the loop, one for each lane: between them a reader must not spin."""
    sender, receiver = priority_channel()
    ended = []

    async def read() -> None:
        ended.append([item async for item in receiver])

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(read)
            await settle()
            thread = threading.Thread(target=sender.close)
            thread.start()
            await anyio.to_thread.run_sync(thread.join)
    assert ended == [[]]


async def test_one_lane_that_has_ended_does_not_make_a_reader_spin() -> None:
    sender, receiver = priority_channel()
    got = []

    async def read() -> None:
        got.extend([item async for item in receiver])

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(read)
            await settle()
            sender._high.close()
            await settle()
            await sender._low.send(1)
            sender.close()
    assert got == [1]


@pytest.mark.parametrize("bad", [0, -1, True, 1.0, "1"])
def test_lanes_and_runs_are_whole_numbers_from_one(bad: object) -> None:
    for options in ({"high": bad}, {"low": bad}, {"max_high_run": bad}):
        with pytest.raises(ValueError, match=r"Expected (capacity|max_high_run) (>= 1|as an int)"):
            priority_channel(**options)


async def test_what_they_show() -> None:
    sender, receiver = priority_channel(2, 3, name="lanes")
    assert receiver.name == "lanes"
    assert "lanes.high" in repr(sender)
    assert "lanes.low" in repr(receiver)
    (other, one) = channel(1)
    merged = merge(one, name="feeds")
    assert repr(merged) == "<MergedReceiver feeds: 0 of 1 feeds, open>"
    assert merged
    assert receiver
    sender.close()
    other.close()


# -- tagged frames -------------------------------------------------------------------------------


def test_a_frame_says_where_it_comes_from() -> None:
    live = TaggedFrame(LiveUplink(25544), 0, b"x")
    replay = TaggedFrame(ArchivedReplay("ARTEMIS-IV"), 7, b"y")
    assert [frame.origin for frame in (live, replay)] == ["live 25544", "replay ARTEMIS-IV"]
    assert live == TaggedFrame(LiveUplink(25544), 0, b"x")
    assert len({live, replay}) == 2


def test_a_source_of_no_known_kind_is_refused_and_does_not_fall_through() -> None:
    with pytest.raises(AssertionError):
        TaggedFrame("somewhere", 0, b"").origin  # noqa: B018
