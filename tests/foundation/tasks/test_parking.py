"""One task's sleep: a wake that says it woke is never lost, whatever a cancellation does."""

from __future__ import annotations

import asyncio
import threading
from random import Random

import anyio
import pytest
from anyio.lowlevel import checkpoint

from meridian.foundation.tasks.parking import Budget, Waiter, Waiters, current_budget, loop_here

pytestmark = pytest.mark.anyio


async def test_a_wake_that_says_so_wins_and_any_other_loses() -> None:
    random = Random(1)
    seen = set()
    for _ in range(2000):
        waiter, told, scope = Waiter(), [], anyio.CancelScope()

        async def sleep(waiter: Waiter = waiter, told: list[str] = told) -> None:
            try:
                await waiter.wait()
            except BaseException:
                told.append("cancelled")
                raise
            told.append("woken")

        async def scoped(scope: anyio.CancelScope = scope) -> None:
            with scope:
                await sleep()

        woke = None
        async with anyio.create_task_group() as group:
            group.start_soon(scoped)
            for _ in range(random.randrange(3)):
                await checkpoint()
            for act in random.sample(("wake", "cancel"), 2):
                if act == "wake":
                    woke = waiter.wake()
                else:
                    scope.cancel()
                if random.random() < 0.3:
                    await checkpoint()
        assert told == (["woken"] if woke else ["cancelled"])
        assert not waiter.wake(), "once"
        seen.add(woke)
    assert seen == {True, False}


async def test_a_cancellation_that_came_too_late_is_raised_at_the_next_await() -> None:
    waiter, steps = Waiter(), []

    async def sleep() -> None:
        await waiter.wait()
        steps.append("woken")
        await checkpoint()
        steps.append("never")

    async with anyio.create_task_group() as group:
        group.start_soon(sleep)
        await anyio.wait_all_tasks_blocked()
        assert waiter.wake()
        group.cancel_scope.cancel()
    assert steps == ["woken"]


async def test_a_cancellation_of_asyncio_itself_is_not_lost(anyio_backend: str) -> None:
    if anyio_backend != "asyncio":
        pytest.skip("asyncio cancels once, and so must not be swallowed")
    waiter, steps = Waiter(), []

    async def sleep() -> None:
        await waiter.wait()
        steps.append("woken")
        await checkpoint()
        steps.append("never")

    task = asyncio.ensure_future(sleep())
    await checkpoint()
    assert waiter.wake()
    task.cancel("stop")
    with pytest.raises(asyncio.CancelledError, match="stop"):
        await task
    assert steps == ["woken"]
    assert task.cancelling() == 1


async def test_a_cancellation_that_was_taken_back_does_not_strike(anyio_backend: str) -> None:
    if anyio_backend != "asyncio":
        pytest.skip("asyncio's own timeouts take their cancellation back")
    waiter, steps = Waiter(), []

    async def sleep() -> None:
        async with asyncio.timeout(None) as timeout:
            timeouts.append(timeout)
            await waiter.wait()
            steps.append("woken")
        await anyio.sleep(0)
        await anyio.sleep(0)
        steps.append("went on")

    timeouts: list[asyncio.Timeout] = []
    task = asyncio.ensure_future(sleep())
    await checkpoint()
    timeouts[0].reschedule(0)  # expires before the task, which is woken now, takes its step
    assert waiter.wake()
    await task
    assert timeouts[0].expired()
    assert steps == ["woken", "went on"]


async def test_woken_before_it_sleeps() -> None:
    waiter = Waiter()
    assert waiter.wake()
    assert waiter.woken
    with anyio.fail_after(30):
        await waiter.wait()


async def test_other_threads_call_into_the_loop() -> None:
    for _ in range(200):
        waiter = Waiter()
        post = loop_here()
        thread = threading.Thread(target=post, args=(waiter.wake,))
        thread.start()
        with anyio.fail_after(30):
            await waiter.wait()
        thread.join()


def test_what_is_posted_to_a_loop_that_has_ended_is_dropped(anyio_backend: str) -> None:
    async def own_post() -> object:
        return loop_here()

    post = anyio.run(own_post, backend=anyio_backend)
    assert callable(post)
    assert post(print) is False


def test_there_is_no_loop_here() -> None:
    with pytest.raises(RuntimeError):
        loop_here()


async def test_waiters_are_called_in_order_and_once() -> None:
    waiters, called = Waiters(), []
    removes = [waiters.add(lambda i=i: called.append(i)) for i in range(4)]
    assert removes[1]()
    assert not removes[1](), "twice is harmless"
    waiters.call_first()
    assert called == [0]
    waiters.call_all()
    assert called == [0, 2, 3]
    assert len(waiters) == 0
    assert not removes[3](), "it was called"
    waiters.call_first()
    waiters.call_all()


async def test_a_waiter_added_while_all_are_called_waits_for_the_next() -> None:
    waiters, called = Waiters(), []

    def again() -> None:
        called.append(1)
        waiters.add(again)

    waiters.add(again)
    waiters.call_all()
    assert called == [1]
    assert len(waiters) == 1


async def test_what_others_spend_in_between_is_theirs() -> None:
    budget = current_budget()
    await budget.turn()

    async def spend() -> None:
        while not budget.spend():
            pass

    async with anyio.create_task_group() as group:
        group.start_soon(spend)
        await budget.turn()
        await budget.turn()
        assert budget.left == Budget.TURN


async def test_the_budget_is_spent_in_turns() -> None:
    budget = current_budget()
    await budget.turn()
    assert [budget.spend() for _ in range(Budget.TURN)] == [False] * (Budget.TURN - 1) + [True]
    await budget.turn()
    assert not budget.spend()
    assert current_budget() is budget
    with anyio.CancelScope() as scope:
        scope.cancel()
        await budget.turn()
        pytest.fail("a turn meets a cancellation")
