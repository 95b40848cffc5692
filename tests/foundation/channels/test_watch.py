"""Of a value that changes, everybody sees the latest, and nobody misses the last."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Awaitable, Callable
from random import Random

import anyio
import numpy as np
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from meridian.foundation.channels import ChannelClosed, SendClosed, channel_registry, watch
from meridian.foundation.channels.watch import WatchReceiver, WatchStats
from meridian.foundation.sync import WrongThread
from meridian.foundation.tasks import CLOSED, PENDING, Ready, select
from meridian.foundation.tasks.parking import Budget
from meridian.testing.channels import ChannelAdapter, Item, check_channel

pytestmark = pytest.mark.anyio
BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


async def settle() -> None:
    """Let every task that can run come to a stop; more rounds than any of them needs."""
    for _ in range(12):
        await checkpoint()


async def test_the_latest_is_there_and_what_lies_between_is_not() -> None:
    sender, receiver = watch("idle")
    assert receiver.borrow() == sender.borrow() == "idle"
    assert not receiver.has_changed
    for value in ("connecting", "active"):
        sender.send(value)
    assert receiver.version == sender.version == 2
    assert receiver.borrow() == "active"
    assert receiver.has_changed, "borrowed is not seen"
    await receiver.changed()
    assert not receiver.has_changed
    sender.send("lost")
    assert receiver.borrow_and_update() == "lost"
    assert not receiver.has_changed
    sender.close()


async def test_who_subscribes_has_seen_the_current_value() -> None:
    """A task that subscribes after the signal would wait for ever in `changed`."""
    sender, _ = watch(False)
    sender.send(True)
    late = sender.subscribe()
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(late.changed)
            await settle()
            scope.cancel()
    assert scope.cancelled_caught
    assert not late.has_changed
    assert await late.wait_for(bool) is True, "it looks first"
    sender.close()


async def test_a_clone_has_seen_what_its_original_has() -> None:
    sender, receiver = watch(0)
    sender.send(1)
    clone, fresh = receiver.clone(), sender.subscribe()
    assert (clone.has_changed, fresh.has_changed) == (True, False)
    clone.borrow_and_update()
    assert receiver.has_changed, "each its own mark"
    sender.close()


async def test_sending_only_what_differs() -> None:
    sender, receiver = watch((1, 2))
    assert not sender.send_if_changed((1, 2))
    assert not receiver.has_changed
    assert sender.send_if_changed((1, 3))
    assert receiver.borrow_and_update() == (1, 3)
    sender.send((1, 3))
    assert receiver.has_changed, "send does not compare"
    nan = float("nan")
    assert sender.send_if_changed(nan)
    assert not sender.send_if_changed(nan), "itself"
    array = np.zeros(2)
    sender.send(array)
    assert not sender.send_if_changed(array)
    with pytest.raises(ValueError, match="ambiguous"):
        sender.send_if_changed(np.ones(2))
    assert receiver.borrow() is array
    sender.close()


async def test_after_close_the_last_value_is_told_and_then_the_end() -> None:
    sender, receiver = watch(0)
    late = receiver.clone()
    sender.send(7)
    sender.close()
    sender.close()
    with pytest.raises(SendClosed) as refused:
        sender.send(8)
    assert refused.value.item == 8
    with pytest.raises(SendClosed):
        sender.send_if_changed(7)
    await receiver.changed()
    for _ in range(2):
        with pytest.raises(ChannelClosed):
            await receiver.changed()
    assert receiver.borrow() == sender.subscribe().borrow() == 7
    assert await receiver.wait_for(lambda value: value == 7) == 7
    with pytest.raises(ChannelClosed):
        await receiver.wait_for(lambda value: value == 8)
    assert late.try_take() == Ready(7)
    assert late.try_take() is CLOSED
    assert sender.is_closed
    assert receiver.is_closed


async def test_closing_wakes_those_who_wait() -> None:
    sender, receiver = watch(0)
    ended = []

    async def wait(until: Callable[[], Awaitable[object]]) -> None:
        try:
            await until()
        except ChannelClosed:
            ended.append(True)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(wait, receiver.changed)
            group.start_soon(wait, lambda: receiver.wait_for(bool))
            await settle()
            sender.close()
    assert ended == [True, True]


async def test_a_predicate_may_raise_or_send() -> None:
    sender, receiver = watch(4)
    with pytest.raises(ZeroDivisionError):
        await receiver.wait_for(lambda _: 1 // 0)

    def count_down(value: int) -> bool:
        if value:
            sender.send(value - 1)
        return not value

    with anyio.fail_after(30):
        assert await receiver.wait_for(count_down) == 0
    sender.close()


async def test_a_thousand_who_wait_all_see_the_last() -> None:
    sender, _ = watch(0)
    seen = []

    async def follow(receiver: WatchReceiver[int]) -> None:
        seen.append(await receiver.wait_for(lambda value: value == 3))

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for _ in range(1000):
                group.start_soon(follow, sender.subscribe())
            await settle()
            for value in (1, 2, 3):
                sender.send(value)
                await settle()
    assert seen == [3] * 1000
    sender.close()


@BACKENDS
@settings(max_examples=60)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("send"), st.integers(0, 3)),
            st.tuples(st.just("if_changed"), st.integers(0, 3)),
            st.tuples(st.just("clone"), st.integers(0, 9)),
            st.tuples(st.just("subscribe"), st.just(0)),
            st.tuples(st.just("look"), st.integers(0, 9)),
            st.tuples(st.just("update"), st.integers(0, 9)),
            st.tuples(st.just("take"), st.integers(0, 9)),
            st.tuples(st.just("changed"), st.integers(0, 9)),
            st.tuples(st.just("wait_for"), st.integers(0, 9)),
            st.tuples(st.just("cancel"), st.integers(0, 9)),
            st.tuples(st.just("run"), st.integers(1, 3)),
        ),
        max_size=60,
    )
)
def test_against_a_list_with_cancellations(backend: str, steps: list[tuple[str, int]]) -> None:
    anyio.run(_play, steps, backend=backend)


async def _play(steps: list[tuple[str, int]]) -> None:
    """The model: all values sent, and for each receiver how many of them it has seen."""
    sender, first = watch(0)
    sent = [0]
    receivers, seen = [first], [0]
    scopes: list[anyio.CancelScope] = []

    async def changed(which: int, scope: anyio.CancelScope) -> None:
        with scope:
            await receivers[which].changed()
            assert seen[which] < len(sent) - 1
            seen[which] = len(sent) - 1

    async def wait_for(which: int, scope: anyio.CancelScope) -> None:
        with scope:
            assert await receivers[which].wait_for(lambda value: value == which % 4) == which % 4
            assert sent[-1] == which % 4
            seen[which] = len(sent) - 1

    async with sender, anyio.create_task_group() as group:
        for step, number in steps:
            which = number % len(receivers)
            match step:
                case "send":
                    sender.send(number)
                    sent.append(number)
                case "if_changed":
                    assert sender.send_if_changed(number) == (number != sent[-1])
                    sent += [number] * (number != sent[-1])
                case "clone":
                    receivers.append(receivers[which].clone())
                    seen.append(seen[which])
                case "subscribe":
                    receivers.append(sender.subscribe())
                    seen.append(len(sent) - 1)
                case "look":
                    assert receivers[which].borrow() == sent[-1]
                case "update":
                    assert receivers[which].borrow_and_update() == sent[-1]
                    seen[which] = len(sent) - 1
                case "take":
                    fresh = seen[which] < len(sent) - 1
                    assert receivers[which].try_take() == (Ready(sent[-1]) if fresh else PENDING)
                    seen[which] = len(sent) - 1
                case "changed" | "wait_for":
                    scopes.append(anyio.CancelScope())
                    group.start_soon(changed if step == "changed" else wait_for, which, scopes[-1])
                case "cancel" if scopes:
                    scopes.pop(number % len(scopes)).cancel()
                case "run":
                    for _ in range(number):
                        await checkpoint()
            assert sender.version == len(sent) - 1
            for receiver, mark in zip(receivers, seen, strict=True):
                assert receiver.has_changed == (mark < len(sent) - 1)
        for scope in scopes:
            scope.cancel()


class OfWatch(ChannelAdapter):
    """One receiver; what it skipped counts as lost."""

    capacity, refused, ended, keeps_last = 1, (SendClosed,), (ChannelClosed,), True

    def __init__(self) -> None:
        self.sender, self.receiver = watch(None)
        self.received = 0

    async def send(self, item: Item) -> None:
        self.sender.send(item)

    async def recv(self) -> Item | None:
        await self.receiver.changed()
        self.received += 1
        return self.receiver.borrow()

    def close(self) -> None:
        self.sender.close()

    def pending(self) -> int:
        return self.receiver.has_changed

    def lost(self) -> int:
        return self.sender.version - self.received - self.pending()

    def has_room(self) -> bool:
        return True


@BACKENDS
def test_it_keeps_the_contract_of_every_channel(backend: str) -> None:
    check_channel(OfWatch, backends=backend, rounds=150)


async def test_no_change_is_slept_through() -> None:
    """Ten thousand changes, and readers that are cancelled and come again: all see the last."""
    random = Random(5)
    sender, _ = watch(0)
    latest = [0, 0, 0]
    receivers = [sender.subscribe() for _ in latest]

    async def follow(which: int, scope: anyio.CancelScope) -> None:
        with scope:
            while True:
                await receivers[which].changed()
                value = receivers[which].borrow()
                assert value > latest[which]
                latest[which] = value

    async with anyio.create_task_group() as group:
        scopes: list[anyio.CancelScope | None] = [None] * 3
        for value in range(1, 10_001):
            sender.send(value)
            which = random.randrange(3)
            scope = scopes[which]
            if scope is not None and random.random() < 0.1:
                scope.cancel()
                scopes[which] = None
            elif scope is None:
                scopes[which] = scope = anyio.CancelScope()
                group.start_soon(follow, which, scope)
            if random.random() < 0.5:
                await checkpoint()
        await settle()
        for which, scope in enumerate(scopes):
            if scope is not None:
                assert latest[which] == 10_000
                scope.cancel()
    sender.close()


async def test_it_is_a_branch_of_select() -> None:
    (config, changes), (stop, stopped) = watch("a"), watch(False)
    assert changes.try_take() is PENDING
    got = []

    async def take() -> None:
        got.append(await select(changes, stopped))

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(take)
            await settle()
            stop.send(True)
    assert got == [(1, True)]
    config.send("b")
    assert await select(changes, stopped) == (0, "b")
    assert await_nothing(changes)
    config.close()
    stop.close()


def await_nothing(receiver: WatchReceiver[str]) -> bool:
    called: list[bool] = []
    remove = receiver.add_waiter(lambda: called.append(True))
    remove()
    remove()
    return not called


async def test_borrowing_needs_neither_the_loop_nor_its_thread() -> None:
    """Pairs that a reader would find torn if value and version were not replaced as one."""
    sender, receiver = watch((0, 0))
    stop, torn, looks = threading.Event(), [], []

    def look() -> None:
        count = 0
        mine = receiver.clone()
        last = -1
        while not count or not stop.is_set():
            first, second = mine.borrow_and_update()
            if first != second or first < last:
                torn.append((first, second))
            last = first
            count += 1
        looks.append(count)

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for value in range(20_001):  # never an await: the loop is held all the time
        sender.send((value, value))
    stop.set()
    for thread in threads:
        thread.join()
    assert not torn
    assert len(looks) == 2
    assert receiver.borrow() == (20_000, 20_000)
    sender.close()


async def test_all_but_looking_belongs_to_one_thread() -> None:
    sender, receiver = watch(0)
    sender.send(1)
    refused = []

    def elsewhere() -> None:
        assert receiver.borrow() == sender.borrow() == 1
        assert receiver.has_changed
        for act in (
            lambda: sender.send(2),
            lambda: sender.send_if_changed(2),
            lambda: receiver.add_waiter(print),
            lambda: anyio.run(receiver.changed),
            lambda: anyio.run(receiver.wait_for, bool),
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
    assert (receiver.borrow(), sender.version, sender.is_closed) == (1, 1, False)
    sender.close()


async def test_it_may_be_closed_in_any_thread() -> None:
    sender, receiver = watch(0)

    async def wait() -> None:
        with pytest.raises(ChannelClosed):
            await receiver.changed()

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await settle()
            await anyio.to_thread.run_sync(sender.close)
    assert sender.is_closed


async def test_one_that_is_made_here_may_be_used_there() -> None:
    sender, receiver = watch(0)
    result = []

    def elsewhere() -> None:
        sender.send(1)
        anyio.run(receiver.changed)
        result.append(receiver.borrow())
        sender.close()

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert result == [1]
    with pytest.raises(WrongThread):
        await receiver.changed()


FORKED = """
import os, sys
from meridian.foundation.channels import broadcast, watch
from meridian.foundation.sync import WrongThread

(sender, _), events = watch(0), broadcast(4)
sender.send(1)
events.send(1)
child = os.fork()
if child == 0:
    refused = 0
    for act in (lambda: sender.send(2), lambda: events.send(2)):
        try:
            act()
        except WrongThread:
            refused += 1
    os._exit(refused)
_, status = os.waitpid(child, 0)
sender.send(2)
events.send(2)
sender.close()
events.close()
sys.exit(0 if os.waitstatus_to_exitcode(status) == 2 else "the child was let in")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_is_refused() -> None:
    ran = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr


async def test_waiting_need_not_suspend_yet_meets_a_cancellation() -> None:
    sender, receiver = watch(0)
    with anyio.CancelScope() as scope:
        scope.cancel()
        for value in range(2 * Budget.TURN):
            sender.send(value)
            await receiver.changed()
    assert scope.cancelled_caught
    assert sender.version <= Budget.TURN + 1
    with anyio.CancelScope() as scope:
        scope.cancel()
        for _ in range(2 * Budget.TURN):
            await receiver.wait_for(lambda _: True)
    assert scope.cancelled_caught
    sender.close()


async def test_a_storm_of_changes_does_not_keep_a_cancellation_out() -> None:
    """Woken with every turn of the loop, always just before it is cancelled, and in vain."""
    sender, receiver = watch(0)
    ended = []

    async def wait(scope: anyio.CancelScope) -> None:
        with scope:
            await receiver.wait_for(lambda _: False)
        ended.append(True)

    async with anyio.create_task_group() as group:
        for value in range(100):
            if value < 3:
                scope = anyio.CancelScope()
                scope.cancel()
                group.start_soon(wait, scope)
            sender.send(value)
            await checkpoint()
        assert len(ended) == 3
    sender.close()


async def test_old_values_are_not_kept() -> None:
    class Config:
        pass

    sender, receiver = watch(Config())
    ref = weakref.ref(receiver.borrow())
    sender.send(Config())
    assert ref() is None
    sender.close()


async def test_arrays_are_given_away() -> None:
    first, second = np.zeros(2), np.ones(2)
    sender, _ = watch(first)
    sender.send(second)
    for gone in (first, second):
        with pytest.raises(ValueError, match="read-only"):
            gone[0] = 5
    sender.close()
    sender, _ = watch(np.zeros(2), freeze=False)
    sender.borrow()[0] = 5
    sender.close()


async def test_a_sender_that_is_dropped_ends_it_with_a_warning() -> None:
    sender, receiver = watch(0)
    ended = []

    async def wait() -> None:
        with pytest.raises(ChannelClosed):
            await receiver.changed()
        ended.append(True)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await settle()
            with pytest.warns(ResourceWarning, match="was not closed"):
                del sender
    assert ended == [True]
    with pytest.raises(ChannelClosed):
        await receiver.changed()


async def test_what_they_show() -> None:
    sender, receiver = watch(0, name="stats.test")
    sender.send(1)
    assert sender.name == receiver.name == "stats.test"
    assert sender.statistics() == WatchStats(sent=1, waiting=0)
    assert channel_registry()["stats.test"].statistics() == sender.statistics()
    assert repr(sender) == "<WatchSender <watch stats.test: version 1, open>>"
    assert repr(receiver) == "<WatchReceiver <watch stats.test: version 1, open>, version 0 seen>"
    sender.close()
    assert "closed" in repr(receiver)
