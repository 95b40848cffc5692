"""The executor's time: its own, a clock moved by hand, or the real one."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meridian.clock import SystemClock
from meridian.foundation.tasks import (
    JoinAll,
    MiniExecutor,
    Stalled,
    StalledTask,
    StepEvent,
    from_coroutine,
    polled,
)
from meridian.testing import VirtualClock
from meridian.testing.virtual_loop import run_virtual
from tests.foundation.tasks.poll_rig import Turns


def test_without_a_clock_time_jumps_to_the_next_timer() -> None:
    executor, order = MiniExecutor(), []

    async def sleeper(name: str, *naps: float) -> None:
        for nap in naps:
            await polled(executor.sleep(nap))
            order.append((name, executor.now()))

    executor.spawn(from_coroutine(sleeper("a", 2, 2, 3600)))
    executor.spawn(from_coroutine(sleeper("b", 1, 2)))
    executor.spawn(from_coroutine(sleeper("c", 0)))
    assert executor.run_until_idle() == []
    assert order == [("c", 0), ("b", 1), ("a", 2), ("b", 3), ("a", 4), ("a", 3604)]
    assert executor.trace[-1].at_s == 3604


def test_a_step_jumps_only_when_nothing_else_can_run() -> None:
    executor = MiniExecutor()
    executor.spawn(executor.sleep(10), "sleeper")
    executor.spawn(Turns(2), "busy")
    times = []
    while executor.step() is not None:
        times.append(executor.now())
    assert times == [0, 0, 0, 0, 10]


def test_two_fetches_take_their_sum_in_turn_and_their_maximum_together() -> None:
    async def fetch(executor: MiniExecutor, seconds: float) -> float:
        await polled(executor.sleep(seconds))
        return seconds

    async def in_turn(executor: MiniExecutor) -> tuple[float, ...]:
        return (await fetch(executor, 3), await fetch(executor, 2))

    async def together(executor: MiniExecutor) -> tuple[float, ...]:
        fetches = (from_coroutine(fetch(executor, s)) for s in (3, 2))
        return await polled(JoinAll(*fetches))

    for how, expected_s in ((in_turn, 5), (together, 3)):
        executor = MiniExecutor()
        assert executor.block_on(from_coroutine(how(executor))) == (3, 2)
        assert executor.now() == expected_s
        assert len({event.task for event in executor.trace}) == 1, "in one task"


def test_a_clock_moved_by_hand_is_never_waited_for() -> None:
    clock = VirtualClock(monotonic_ns=50 * 10**9)
    executor = MiniExecutor(clock)
    task = executor.spawn(executor.sleep(1.5), "sleeper")
    assert executor.run_until_idle() == [StalledTask("sleeper", 1, "waiting")]
    clock.advance(1.4)
    assert executor.step() is None
    clock.advance(0.1)
    assert executor.run_until_idle() == []
    assert task.done
    with pytest.raises(Stalled, match="waiting"):
        executor.block_on(executor.sleep(1))


def test_with_the_system_clock_the_waiting_is_real() -> None:
    executor = MiniExecutor(SystemClock())
    start = time.monotonic()
    executor.block_on(executor.sleep(0.02))
    executor.spawn(executor.sleep(0.02))
    assert executor.run_until_idle() == []
    assert time.monotonic() - start >= 0.04


def test_in_a_loop_of_virtual_time_it_does_not_wait_for_ever() -> None:
    async def main() -> list[StalledTask]:
        executor = MiniExecutor(SystemClock())
        executor.spawn(executor.sleep(0.01), "sleeper")
        return executor.run_until_idle()

    assert run_virtual(main) == [StalledTask("sleeper", 1, "waiting")]


def test_a_dropped_sleep_disarms_its_timer() -> None:
    executor = MiniExecutor()
    task = executor.spawn(executor.sleep(100))
    executor.spawn(executor.sleep(1))
    executor.step()
    executor.step()
    executor.drop(task)
    assert (task.state, executor.run_until_idle(), executor.now()) == ("dropped", [], 1)


def test_a_sleep_wakes_the_task_that_polled_it_last() -> None:
    executor = MiniExecutor()
    sleep = executor.sleep(1)
    first = executor.spawn(sleep, "first")
    second = executor.spawn(sleep, "second")
    executor.run_until_idle()
    assert (first.done, second.done) == (False, True)


@pytest.mark.parametrize("wrong", [-1, float("nan")])
def test_what_is_no_time(wrong: float) -> None:
    with pytest.raises(ValueError, match="time >= 0 s"):
        MiniExecutor().sleep(wrong)
    with pytest.raises(TypeError, match="a time in seconds"):
        MiniExecutor().sleep("1")  # type: ignore[arg-type]


@given(st.lists(st.lists(st.integers(0, 5), max_size=5), max_size=6))
@settings(max_examples=200)
def test_it_runs_like_the_model_and_twice_the_same(naps: list[list[int]]) -> None:
    """Tasks that sleep: each wakes at the sum of its naps, and all in the order of time."""

    def run() -> tuple[list[tuple[float, int, int]], list[StepEvent]]:
        executor, log = MiniExecutor(), []

        async def work(number: int) -> None:
            for step, nap in enumerate(naps[number]):
                await polled(executor.sleep(nap))
                log.append((executor.now(), number, step))

        for number in range(len(naps)):
            executor.spawn(from_coroutine(work(number)))
        assert executor.run_until_idle() == []
        return log, executor.trace

    log, trace = run()
    due = {
        (number, step): sum(naps[number][: step + 1])
        for number in range(len(naps))
        for step in range(len(naps[number]))
    }
    assert [time_s for time_s, _, _ in log] == sorted(due.values())
    assert all(due[number, step] == time_s for time_s, number, step in log)
    assert run() == (log, trace)
