"""The mutex for tasks: in line, never lost whatever is cancelled, and told when held too long."""

from __future__ import annotations

import asyncio
import copy
import gc
import itertools
import math
import threading
from typing import Any

import anyio
import pytest
import structlog
from anyio.lowlevel import checkpoint

from meridian.foundation.sync import async_mutex
from meridian.foundation.sync.async_mutex import AsyncGuard, AsyncMutex
from meridian.foundation.sync.errors import WrongThread
from meridian.foundation.sync.lock_errors import GuardReleased, LostGuard, ReentrantLockError
from meridian.foundation.tasks.parking import loop_here
from meridian.testing import VirtualClock

pytestmark = pytest.mark.anyio


async def is_free(mutex: AsyncMutex[Any]) -> bool:
    """Whether somebody can take it, and nobody stands in line."""
    assert mutex.statistics().waiting == 0
    guard = mutex.try_lock()
    if guard is None:
        return False
    guard.release()
    return True


async def settle() -> None:
    """Let every task run until it waits: none here needs more than two turns."""
    for _ in range(6):
        await checkpoint()


async def test_one_at_a_time_across_awaits() -> None:
    mutex = AsyncMutex(0)

    async def add() -> None:
        for _ in range(50):
            async with mutex.lock() as guard:
                seen = guard.value
                await checkpoint()
                guard.value = seen + 1

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(add)
    async with mutex.lock() as guard:
        assert guard.value == 250
    assert await is_free(mutex)


async def test_in_the_order_in_which_they_asked() -> None:
    mutex = AsyncMutex(None)
    order: list[int] = []

    async def take(number: int) -> None:
        async with mutex.lock():
            order.append(number)
            await checkpoint()

    async with anyio.create_task_group() as group:
        async with mutex.lock():
            for number in range(10):
                group.start_soon(take, number)
                await settle()
                assert mutex.statistics().waiting == number + 1
        order.append(-1)
        assert mutex.try_lock() is None, "it was handed on: nobody overtakes"
        async with mutex.lock():
            order.append(99)
    assert order == [-1, *range(10), 99]


async def test_every_order_of_cancelling_and_releasing() -> None:
    """Three in line; their cancellations and the release in all orders and with all pauses."""
    for steps in itertools.permutations(("release", 0, 1, 2)):
        for pauses in itertools.product((False, True), repeat=3):
            await cancel_and_release(steps, pauses)


async def cancel_and_release(steps: tuple[object, ...], pauses: tuple[bool, ...]) -> None:
    mutex = AsyncMutex([])
    scopes = [anyio.CancelScope() for _ in range(3)]
    inside: list[int] = []
    had: list[int] = []

    async def take(number: int) -> None:
        with scopes[number]:
            async with mutex.lock():
                assert inside == []
                inside.append(number)
                had.append(number)
                try:
                    await checkpoint()
                finally:
                    inside.remove(number)

    async with anyio.create_task_group() as group:
        holding = mutex.try_lock()
        assert holding is not None
        for number in range(3):
            group.start_soon(take, number)
            await settle()
        for step, pause in itertools.zip_longest(steps, pauses):
            if step == "release":
                holding.release()
            else:
                scopes[step].cancel()  # type: ignore[call-overload]
            if pause:
                await settle()
    assert inside == []
    assert had == sorted(had)
    cancelled_first = steps.index("release")
    assert not set(steps[:cancelled_first]) & set(had), "cancelled before it could have it"
    assert await is_free(mutex), (steps, pauses)


async def test_cancelled_at_every_step_of_a_run() -> None:
    """A scope is cancelled after every possible number of turns of the loop."""
    for turns in range(30):
        mutex = AsyncMutex(0)
        scope = anyio.CancelScope()

        async def work(mutex: AsyncMutex[int] = mutex) -> None:
            for _ in range(3):
                async with mutex.lock() as guard:
                    guard.value += 1
                    await checkpoint()

        async def cancelled(scope: anyio.CancelScope = scope, work: Any = work) -> None:
            with scope:
                await work()

        async with anyio.create_task_group() as group:
            group.start_soon(work)
            group.start_soon(cancelled)
            group.start_soon(work)
            for _ in range(turns):
                await checkpoint()
            scope.cancel()
        assert await is_free(mutex)
        async with mutex.lock() as guard:
            assert 6 <= guard.value <= 9


async def test_cancelled_at_once_it_takes_nothing() -> None:
    mutex = AsyncMutex(0)
    for _ in range(200):  # past the turn that every 128th operation takes
        with anyio.CancelScope() as scope:
            scope.cancel()
            async with mutex.lock():
                await checkpoint()
        assert await is_free(mutex)
    async with mutex.lock():
        with anyio.move_on_after(0.01):
            async with anyio.create_task_group() as group:
                group.start_soon(mutex.lock().__aenter__)
        assert mutex.statistics().waiting == 0
    assert await is_free(mutex)


async def test_a_task_that_is_killed_natively(anyio_backend: str) -> None:
    if anyio_backend != "asyncio":
        pytest.skip("asyncio alone cancels tasks one by one")
    mutex = AsyncMutex(0)

    async def take() -> None:
        async with mutex.lock():
            await checkpoint()

    for late in (False, True):
        holding = mutex.try_lock()
        assert holding is not None
        tasks = [asyncio.ensure_future(take()) for _ in range(3)]
        await settle()
        if late:
            holding.release()  # handed to the first, which has not run since
        tasks[0].cancel()
        holding.release()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert results[1:] == [None, None]
        assert await is_free(mutex)


async def test_a_coroutine_that_is_closed_passes_the_lock_on(anyio_backend: str) -> None:
    if anyio_backend != "asyncio":
        pytest.skip("trio lets nobody drive a coroutine by hand")
    for woken in (False, True):
        mutex = AsyncMutex(0)
        kept: list[AsyncGuard[int]] = []

        async def hold(mutex: AsyncMutex[int] = mutex, kept: Any = kept) -> None:
            kept.append(mutex.try_lock())

        async with anyio.create_task_group() as group:
            group.start_soon(hold)
        coroutine = mutex._take()
        coroutine.send(None)
        assert mutex.statistics().waiting == 1
        if woken:
            kept[0].release()
            assert mutex.statistics().locked, "handed over"
        coroutine.close()
        kept[0].release()
        assert await is_free(mutex)


async def test_an_exception_releases_and_does_not_poison() -> None:
    mutex = AsyncMutex(0)
    with pytest.raises(KeyError):
        async with mutex.lock():
            raise KeyError
    assert await is_free(mutex)


async def test_the_task_that_holds_it_is_refused_and_another_waits() -> None:
    mutex = AsyncMutex(0)
    async with mutex.lock():
        with pytest.raises(ReentrantLockError):
            async with mutex.lock():
                pytest.fail("let in twice")
        with pytest.raises(ReentrantLockError):
            mutex.try_lock()
        async with anyio.create_task_group() as group:

            async def ask() -> None:
                assert mutex.try_lock() is None
                with anyio.move_on_after(0.01) as scope:
                    await mutex.lock().__aenter__()
                assert scope.cancelled_caught

            group.start_soon(ask)
    assert await is_free(mutex)


async def test_a_guard_is_dead_after_its_release() -> None:
    mutex = AsyncMutex(1)
    async with mutex.lock() as guard:
        guard.value = 2
        guard.release()
        guard.release()
        other = mutex.try_lock()
        assert other is not None
        for use in (lambda: guard.value, guard.__enter__):
            with pytest.raises(GuardReleased):
                use()
        with pytest.raises(GuardReleased):
            guard.value = 3
    assert not await is_free_to_others(mutex), "the end of the block released the other's"
    with other:
        assert other.value == 2
    assert await is_free(mutex)
    for thing in (mutex, guard):
        with pytest.raises(TypeError):
            copy.copy(thing)


async def is_free_to_others(mutex: AsyncMutex[Any]) -> bool:
    return not mutex.statistics().locked


async def test_another_thread_is_refused() -> None:
    mutex = AsyncMutex(0)
    errors: list[BaseException] = []

    def use(guard: AsyncGuard[int]) -> None:
        for asking in (mutex.try_lock, guard.release):
            try:
                asking()
            except WrongThread as error:
                errors.append(error)

    async with mutex.lock() as guard:
        thread = threading.Thread(target=use, args=(guard,))
        thread.start()
        thread.join(60)
        assert len(errors) == 2
        assert guard.value == 0
    assert await is_free(mutex)


def drop(kept: list[Any], elsewhere: bool) -> None:
    """Lose what is kept, in this thread or in another."""
    if not elsewhere:
        kept.clear()
        return
    thread = threading.Thread(target=kept.clear)
    thread.start()
    thread.join(60)


async def test_a_lost_guard_lets_the_next_in_from_any_thread() -> None:
    for elsewhere in (False, True):
        mutex = AsyncMutex(0)
        kept: list[AsyncGuard[int] | None] = [mutex.try_lock()]

        async def take(mutex: AsyncMutex[int] = mutex) -> None:
            async with mutex.lock():
                pass

        async with anyio.create_task_group() as group:
            group.start_soon(take)
            await settle()
            with pytest.warns(LostGuard):
                drop(kept, elsewhere)
            with anyio.fail_after(30):
                while mutex.statistics().waiting:
                    await checkpoint()
        assert await is_free(mutex)


async def test_nobody_overtakes_while_a_lost_lock_is_handed_on() -> None:
    mutex = AsyncMutex(0)
    kept: list[AsyncGuard[int] | None] = [mutex.try_lock()]
    order: list[str] = []

    async def take() -> None:
        async with mutex.lock():
            order.append("in line")

    async with anyio.create_task_group() as group:
        group.start_soon(take)
        await settle()
        with pytest.warns(LostGuard):
            kept.clear()
        async with mutex.lock():
            order.append("late")
    assert order == ["in line", "late"]
    assert await is_free(mutex)


async def test_a_guard_that_is_lost_just_before_a_task_lines_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mutex = AsyncMutex(0)
    kept: list[AsyncGuard[int] | None] = []

    async def hold() -> None:
        kept.append(mutex.try_lock())

    def lose_and_go_on() -> Any:
        kept.clear()
        return loop_here()

    async with anyio.create_task_group() as group:
        group.start_soon(hold)
    monkeypatch.setattr(async_mutex, "loop_here", lose_and_go_on)
    with pytest.warns(LostGuard), anyio.fail_after(30):
        async with mutex.lock():
            pass
    assert await is_free(mutex)


def test_a_guard_lost_when_the_loop_has_ended(anyio_backend: str) -> None:
    mutex = AsyncMutex(0)

    async def leave() -> AsyncGuard[int] | None:
        kept = mutex.try_lock()
        with anyio.move_on_after(0.01):
            async with anyio.create_task_group() as group:
                group.start_soon(mutex.lock().__aenter__)
        return kept

    kept: list[Any] = [anyio.run(leave, backend=anyio_backend)]
    gc.collect()
    assert mutex.statistics().locked
    with pytest.warns(LostGuard):
        kept.clear()

    async def use() -> bool:
        return await is_free(mutex)

    assert anyio.run(use, backend=anyio_backend)


async def hold_for(mutex: AsyncMutex[int], clock: VirtualClock, seconds: float) -> None:
    async with mutex.lock():
        clock.advance(seconds)


async def test_what_is_held_too_long_is_logged_with_the_stack() -> None:
    clock = VirtualClock()
    mutex = AsyncMutex(0, max_hold=0.5, clock=clock)
    with structlog.testing.capture_logs() as logs:
        await hold_for(mutex, clock, 0.5)
        assert logs == [], "not longer"
        await hold_for(mutex, clock, 0.75)
    (log,) = logs
    assert log["event"] == "async_mutex_held_long"
    assert log["log_level"] == "warning"
    assert (log["held_s"], log["max_hold_s"]) == (0.75, 0.5)
    assert "hold_for" in log["stack"]
    assert "async with mutex.lock()" in log["stack"]
    assert 'async_mutex.py", line' not in log["stack"].replace("test_async_mutex.py", "")


async def test_the_loop_s_own_clock_is_the_default() -> None:
    mutex = AsyncMutex(0, max_hold=0)
    with structlog.testing.capture_logs() as logs:
        async with mutex.lock():
            await anyio.sleep(0.01)
    assert len(logs) == 1
    with structlog.testing.capture_logs() as logs:
        async with AsyncMutex(0, max_hold=math.inf).lock():
            await anyio.sleep(0.01)
        async with AsyncMutex(0).lock():
            await anyio.sleep(0.01)
    assert logs == []


@pytest.mark.parametrize("max_hold", [-1, math.nan, True, "1"])
def test_a_max_hold_that_is_no_time(max_hold: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        AsyncMutex(0, max_hold=max_hold)


async def test_a_task_that_never_waits_lets_others_run() -> None:
    mutex = AsyncMutex(0)
    turns: list[int] = []

    async def greedy() -> None:
        for _ in range(1000):
            async with mutex.lock() as guard:
                guard.value += 1
        turns.append(-1)

    async def modest() -> None:
        while -1 not in turns:
            turns.append(1)
            await checkpoint()

    async with anyio.create_task_group() as group:
        group.start_soon(greedy)
        group.start_soon(modest)
    assert len(turns) > 5
