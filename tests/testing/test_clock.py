"""The clock that stands still."""

from __future__ import annotations

import functools
import math
import threading
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meridian.clock import Clock
from meridian.testing import VirtualClock
from meridian.testing.settling import settle
from meridian.testing.virtual_time import anyio_backend as anyio_backend
from meridian.testing.virtual_time import virtual_time as virtual_time


def test_it_is_a_clock_and_stands_still() -> None:
    clock: Clock = VirtualClock(now_ns=1_000)
    assert [clock.monotonic() for _ in range(3)] == [0.0] * 3
    assert [clock.now_ns() for _ in range(3)] == [1_000] * 3


def test_both_times_advance_together_and_the_wall_can_jump_alone() -> None:
    clock = VirtualClock(now_ns=0, monotonic_ns=5_000_000_000)
    clock.advance(1.5)
    assert (clock.monotonic(), clock.now_ns()) == (6.5, 1_500_000_000)
    clock.set_wall(10)
    assert (clock.monotonic(), clock.now_ns()) == (6.5, 10)
    clock.advance(0)
    assert (clock.monotonic(), clock.now_ns()) == (6.5, 10)


@given(st.lists(st.floats(0, 1e6), max_size=50))
def test_many_small_steps_lose_nothing(steps: list[float]) -> None:
    clock = VirtualClock(now_ns=0)
    for step in steps:
        before = clock.monotonic()
        clock.advance(step)
        assert clock.monotonic() >= before
    assert clock.now_ns() == sum(round(step * 1e9) for step in steps)


@pytest.mark.parametrize("bad", [-1e-9, -1.0, math.nan, math.inf])
def test_time_never_goes_back(bad: float) -> None:
    clock = VirtualClock()
    with pytest.raises(ValueError, match="finite time >= 0"):
        clock.advance(bad)
    with pytest.raises(ValueError, match="finite time >= 0"):
        anyio.run(clock.elapse, bad)
    assert clock.monotonic() == 0.0


def test_threads_share_it() -> None:
    clock = VirtualClock(now_ns=0)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: clock.advance(0.001), range(2_000)))
    assert clock.now_ns() == 2_000_000_000


# -- tasks that sleep on it ----------------------------------------------------------------------


@pytest.mark.anyio
async def test_sleepers_wake_in_due_order_at_their_time() -> None:
    clock = VirtualClock()
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, clock.monotonic()))

    async with anyio.create_task_group() as group:
        for name, seconds in (("late", 30), ("early", 10), ("later", 31), ("twin", 10)):
            group.start_soon(sleeper, name, seconds)
            await settle()
        assert clock.sleepers == 4
        await clock.elapse(9.999)
        assert woken == []
        await clock.elapse(20.001)
        assert woken == [("early", 10), ("twin", 10), ("late", 30)]
        assert clock.monotonic() == 30
        await clock.elapse(100)
    assert woken[3:] == [("later", 31)]
    assert (clock.monotonic(), clock.sleepers) == (130, 0)


@pytest.mark.anyio
async def test_what_a_woken_task_does_is_done_before_the_next_wakes() -> None:
    clock = VirtualClock()
    seen: list[tuple[str, float]] = []
    send, receive = anyio.create_memory_object_stream[str](10)

    async def ticker() -> None:
        with send:
            for i in range(3):
                await clock.sleep(10)
                await send.send(f"tick {i}")

    async def reader() -> None:
        with receive:
            async for item in receive:
                for _ in range(5):
                    await anyio.lowlevel.checkpoint()
                seen.append((item, clock.monotonic()))

    async with anyio.create_task_group() as group:
        group.start_soon(ticker)
        group.start_soon(reader)
        await clock.elapse(60)
    assert seen == [("tick 0", 10), ("tick 1", 20), ("tick 2", 30)]
    assert clock.monotonic() == 60


@given(st.lists(st.lists(st.integers(0, 20), max_size=5), max_size=6), st.integers(0, 60))
def test_any_sleepers_against_a_model(plans: list[list[int]], horizon: int) -> None:
    """The model: task i wakes at the running sums of its plan."""
    wakes = [(sum(plan[: k + 1]), i) for i, plan in enumerate(plans) for k in range(len(plan))]

    async def main() -> None:
        clock = VirtualClock(now_ns=0)
        woken: list[tuple[int, int]] = []

        async def task(number: int, plan: list[int]) -> None:
            for seconds in plan:
                await clock.sleep(seconds)
                woken.append((clock.now_ns() // 10**9, number))

        async with anyio.create_task_group() as group:
            for number, plan in enumerate(plans):
                group.start_soon(task, number, plan)
            await clock.elapse(horizon)
            assert sorted(woken) == sorted(wake for wake in wakes if wake[0] <= horizon)
            assert [at for at, _ in woken] == sorted(at for at, _ in woken)
            assert clock.monotonic() == horizon
            await clock.elapse(1000)
        assert sorted(woken) == sorted(wakes)

    for backend in ("asyncio", "trio"):
        anyio.run(main, backend=backend)


@pytest.mark.anyio
async def test_advance_leaves_sleepers_to_elapse() -> None:
    clock = VirtualClock()
    async with anyio.create_task_group() as group:
        group.start_soon(clock.sleep, 5)
        await settle()
        with pytest.raises(RuntimeError, match=r"1 tasks sleep on this clock: await elapse\(7\)"):
            clock.advance(7)
        assert clock.monotonic() == 0
        await clock.elapse(7)
    clock.advance(7)
    assert clock.monotonic() == 14


@pytest.mark.anyio
async def test_a_cancelled_sleeper_is_forgotten() -> None:
    clock = VirtualClock()
    async with anyio.create_task_group() as group:
        for seconds in (3, 1, 2, math.inf):
            group.start_soon(clock.sleep, seconds)
        await settle()
        assert clock.sleepers == 4
        group.cancel_scope.cancel()
    assert clock.sleepers == 0
    clock.advance(1)


@pytest.mark.anyio
async def test_time_stops_where_elapse_was_cancelled() -> None:
    clock = VirtualClock()

    async def stop(scope: anyio.CancelScope) -> None:
        await clock.sleep(4)
        scope.cancel()

    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            group.start_soon(stop, scope)
            group.start_soon(clock.sleep, 6)
            await clock.elapse(10)
        assert clock.monotonic() == 4
        await clock.elapse(2)
    assert clock.monotonic() == 6


@pytest.mark.anyio
async def test_a_sleep_is_a_checkpoint_and_for_ever_is_never_due() -> None:
    clock = VirtualClock()
    for seconds in (0, 1e-10, 1, math.inf):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await clock.sleep(seconds)
        assert scope.cancelled_caught, seconds
    await clock.sleep(0)
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(clock.sleep, math.inf)
            await clock.elapse(1e12)
            assert clock.sleepers == 1
            scope.cancel()
    for bad in (-1, math.nan, -math.inf):
        with pytest.raises(ValueError, match="time >= 0"):
            await clock.sleep(bad)


@pytest.mark.anyio
async def test_one_moves_the_time_at_a_time() -> None:
    clock = VirtualClock()
    errors = []

    async def again() -> None:
        await clock.sleep(1)
        try:
            await clock.elapse(1)
        except RuntimeError as error:
            errors.append(str(error))

    async with anyio.create_task_group() as group:
        group.start_soon(again)
        await clock.elapse(5)
    assert errors == ["Time elapses already: one task at a time moves this clock"]
    assert clock.monotonic() == 5
    await clock.elapse(1)


def test_another_threads_sleeper_is_not_woken_from_here() -> None:
    clock, asleep, over = VirtualClock(), threading.Event(), threading.Event()

    async def there() -> None:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(clock.sleep, 1)
                await settle()
                asleep.set()
                await anyio.to_thread.run_sync(over.wait)
                scope.cancel()

    thread = threading.Thread(target=functools.partial(anyio.run, there))
    thread.start()
    assert asleep.wait(30)
    try:
        with pytest.raises(RuntimeError, match="give each loop its own"):
            anyio.run(clock.elapse, 2)
    finally:
        over.set()
        thread.join(30)
    anyio.run(clock.elapse, 2)


@pytest.mark.anyio
@pytest.mark.usefixtures("virtual_time")
async def test_it_stands_while_the_loops_own_time_jumps() -> None:
    clock = VirtualClock()
    async with anyio.create_task_group() as group:
        group.start_soon(clock.sleep, 10)
        before = anyio.current_time()
        await anyio.sleep(3600)
        assert clock.monotonic() == 0
        await clock.elapse(10)
        assert anyio.current_time() - before == pytest.approx(3600), "elapse takes no loop time"
