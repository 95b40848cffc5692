"""Coroutines and several futures at once as one future of the executor."""

from __future__ import annotations

import asyncio

import pytest

from meridian.foundation.tasks import (
    Context,
    JoinAll,
    MiniExecutor,
    PolledAfterCompletion,
    Ready,
    Sleep,
    Waker,
    from_coroutine,
    polled,
)
from tests.foundation.tasks.poll_rig import Cell, Fails, Turns


def test_a_coroutine_runs_to_its_first_wait_in_one_poll() -> None:
    executor, cells, steps = MiniExecutor(), [Cell(), Cell()], []

    async def work() -> str:
        steps.append("begun")
        steps.append(await polled(cells[0]))
        steps.append(await polled(cells[1]))
        return "end"

    task = executor.spawn(from_coroutine(work()))
    assert steps == []
    executor.step()
    assert steps == ["begun"]
    cells[1].put("second")
    assert executor.step() is None
    cells[0].put("first")
    executor.step()
    assert (steps, task.result()) == (["begun", "first", "second"], "end")
    assert [cell.polls for cell in cells] == [2, 1]


def test_what_a_future_raises_is_raised_at_the_await() -> None:
    async def work() -> str:
        for error in (ValueError("v"), StopIteration("s")):
            try:
                await polled(Fails(error))
            except (ValueError, RuntimeError) as caught:
                seen.append(repr(caught))
        return await polled(Turns(1))

    seen: list[str] = []
    assert MiniExecutor().block_on(from_coroutine(work())) == "done"
    assert seen == ["ValueError('v')", "RuntimeError('generator raised StopIteration')"]


def test_an_await_of_what_is_not_ours_is_refused_where_it_stands() -> None:
    async def work() -> str:
        try:
            await asyncio.sleep(0)
        except TypeError as error:
            return str(error)
        return "not reached"

    answer = MiniExecutor().block_on(from_coroutine(work()))
    assert answer == "Expected `await polled(future)`, got an await of None"


def test_polled_after_completion() -> None:
    cx = Context(Waker(MiniExecutor().spawn(Turns(0))))

    async def four() -> int:
        return 4

    async def fail() -> None:
        raise KeyError

    executor = MiniExecutor()
    nap = Sleep(executor, 0)
    for future, value in ((from_coroutine(four()), 4), (JoinAll(Turns(0)), ("done",)), (nap, None)):
        assert future.poll(cx) == Ready(value)
        for _ in range(2):
            with pytest.raises(PolledAfterCompletion, match="is complete"):
                future.poll(cx)
    for future in (from_coroutine(fail()), JoinAll(Fails(KeyError()))):
        with pytest.raises(KeyError):
            future.poll(cx)
        with pytest.raises(PolledAfterCompletion):
            future.poll(cx)
    again = four()
    assert executor.block_on(from_coroutine(again)) == 4
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        executor.block_on(from_coroutine(again))


def test_join_all_gives_results_in_argument_order() -> None:
    executor = MiniExecutor()
    assert executor.block_on(JoinAll()) == ()
    cells = [Cell() for _ in range(3)]
    task = executor.spawn(JoinAll(*cells))
    executor.run_until_idle()
    for place in (2, 0, 1):
        assert not task.done
        cells[place].put(place)
        executor.run_until_idle()
    assert task.result() == (0, 1, 2)
    assert [cell.polls for cell in cells] == [3, 4, 2], "those that are ready are left alone"


def test_join_all_closes_the_others_when_one_fails() -> None:
    executor, steps, cell = MiniExecutor(), [], Cell()

    async def work() -> None:
        try:
            await polled(Cell())
        finally:
            steps.append("cleaned")

    async def fail() -> None:
        await polled(cell)
        raise OSError("disk")

    executor.spawn(JoinAll(from_coroutine(work()), from_coroutine(fail())))
    executor.run_until_idle()
    cell.put(None)
    with pytest.raises(OSError, match="disk"):
        executor.run_until_idle()
    assert steps == ["cleaned"]
