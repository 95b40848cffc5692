"""Hours pass at once, in the order and to the second that real time would keep."""

from __future__ import annotations

import asyncio
import functools
import socket
import threading
import time
from collections.abc import AsyncIterator

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meridian.testing.settling import settle
from meridian.testing.virtual_loop import run_virtual, virtual_options
from meridian.testing.virtual_time import anyio_backend as anyio_backend
from meridian.testing.virtual_time import virtual_time as virtual_time

BOTH = pytest.mark.parametrize("backend", ["asyncio", "trio"])


@pytest.fixture
async def minute(virtual_time: None) -> AsyncIterator[float]:
    began = anyio.current_time()
    await anyio.sleep(60)
    yield began
    await anyio.sleep(60)


@pytest.mark.anyio
async def test_an_hour_passes_at_once(virtual_time: None) -> None:
    real, began = time.monotonic(), anyio.current_time()
    await anyio.sleep(1_000 * 3600)
    assert anyio.current_time() - began == pytest.approx(1_000 * 3600)
    assert time.monotonic() - real < 3600


@pytest.mark.anyio
async def test_fixtures_live_in_the_same_time(minute: float) -> None:
    assert anyio.current_time() - minute == pytest.approx(60)


@pytest.mark.anyio
async def test_who_does_not_ask_has_real_time() -> None:
    before = anyio.current_time()
    assert any(anyio.current_time() > before for _ in range(1_000_000)), "it moves by itself"


@pytest.mark.anyio
async def test_virtual_time_stands_while_a_task_computes(virtual_time: None) -> None:
    before = anyio.current_time()
    assert not any(anyio.current_time() > before for _ in range(10_000))


class TestWithAnotherBackend:
    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    def test_it_is_told_that_time_is_not_virtual(self, request: pytest.FixtureRequest) -> None:
        with pytest.raises(pytest.UsageError, match="import anyio_backend, virtual_time"):
            request.getfixturevalue("virtual_time")


# -- as a function ---------------------------------------------------------------------------------


@BOTH
def test_results_and_errors_come_back(backend: str) -> None:
    async def work(number: int) -> int:
        await anyio.sleep(86_400)
        if number < 0:
            raise KeyError(number)
        return 2 * number

    assert run_virtual(work, 4, backend=backend) == 8
    with pytest.raises(KeyError, match="-1"):
        run_virtual(work, -1, backend=backend)


def test_an_unknown_backend_is_named() -> None:
    with pytest.raises(ValueError, match="asyncio, trio, got 'curio'"):
        run_virtual(anyio.sleep, 1, backend="curio")


@BOTH
@pytest.mark.parametrize("outer", ["asyncio", "trio"])
def test_where_a_loop_runs_it_runs_beside(backend: str, outer: str) -> None:
    threads = []

    async def work() -> float:
        threads.append(threading.current_thread())
        began = anyio.current_time()
        await anyio.sleep(3600)
        return anyio.current_time() - began

    async def cell() -> float:
        return run_virtual(work, backend=backend)

    assert anyio.run(cell, backend=outer) == pytest.approx(3600)
    assert threads[0] is not threading.main_thread()
    threads[0].join(30)
    assert not threads[0].is_alive()


@BOTH
def test_deadlines_and_their_order(backend: str) -> None:
    async def main() -> list[str]:
        seen = []

        async def sleeper(name: str, seconds: float) -> None:
            await anyio.sleep(seconds)
            seen.append(name)

        async with anyio.create_task_group() as group:
            for name, seconds in (("day", 86_400), ("hour", 3600), ("ms", 0.001)):
                group.start_soon(sleeper, name, seconds)
            with anyio.move_on_after(7200) as scope:
                await anyio.sleep_forever()
            assert scope.cancelled_caught
            seen.append("deadline")
            with pytest.raises(TimeoutError):
                with anyio.fail_after(1):
                    await anyio.sleep(2)
        return seen

    assert run_virtual(main, backend=backend) == ["ms", "hour", "deadline", "day"]


@BOTH
def test_work_that_is_ready_goes_before_any_timer(backend: str) -> None:
    async def main() -> bool:
        with anyio.move_on_after(1e-6) as scope:
            for _ in range(10_000):
                await anyio.lowlevel.checkpoint()
        return scope.cancelled_caught

    assert run_virtual(main, backend=backend) is False


@BOTH
def test_data_that_is_there_goes_before_any_timer(backend: str) -> None:
    """Both ends in one process: what was written can be read before time moves."""

    async def main() -> float:
        left, right = socket.socketpair()
        async with (
            await anyio.abc.SocketStream.from_socket(left) as a,
            await anyio.abc.SocketStream.from_socket(right) as b,
        ):
            began = anyio.current_time()
            with anyio.fail_after(1e-3):
                for i in range(100):
                    await a.send(b"%d" % i)
                    assert await b.receive() == b"%d" % i
            return anyio.current_time() - began

    assert run_virtual(main, backend=backend) == pytest.approx(0, abs=1e-6)


@BOTH
def test_threads_do_not_move_time_nor_hold_it(backend: str) -> None:
    async def main() -> None:
        go = threading.Event()
        began = anyio.current_time()
        await anyio.to_thread.run_sync(lambda: None)  # no timer: the loop waits for the thread
        assert anyio.current_time() == began

        async def release() -> None:
            await anyio.sleep(3600)
            go.set()

        async with anyio.create_task_group() as group:
            group.start_soon(release)
            assert await anyio.to_thread.run_sync(go.wait, 30), "the timer did not wait"
        assert anyio.current_time() - began == pytest.approx(3600)

    run_virtual(main, backend=backend)


@given(st.lists(st.integers(0, 10**15).map(lambda us: us / 1e6), min_size=1, max_size=20))
def test_sleeps_end_in_the_order_of_their_times(durations: list[float]) -> None:
    async def main() -> list[float]:
        ends = []

        async def sleeper(seconds: float) -> None:
            await anyio.sleep(seconds)
            ends.append(seconds)

        async with anyio.create_task_group() as group:
            for seconds in durations:
                group.start_soon(sleeper, seconds)
        assert anyio.current_time() == max(durations), "time starts at 0"
        return ends

    assert run_virtual(main) == sorted(durations)


def test_a_clock_arrives_however_late_it_is() -> None:
    """Where a millisecond is less than one step of the float."""

    async def main() -> float:
        await anyio.sleep(2.0**60)
        await anyio.sleep(1e-3)
        return anyio.current_time()

    assert run_virtual(main) == 2.0**60


@BOTH
def test_what_sleeps_for_ever_does_not_move_time(backend: str) -> None:
    async def main() -> float:
        began = anyio.current_time()
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            await anyio.to_thread.run_sync(time.sleep, 0.01)
            group.cancel_scope.cancel()
        return anyio.current_time() - began

    assert run_virtual(main, backend=backend) == pytest.approx(0, abs=1e-6)


def test_each_run_has_a_clock_of_its_own() -> None:
    first, second = virtual_options("trio"), virtual_options("trio")
    assert first["clock"] is not second["clock"]
    began = [run_virtual(functools.partial(_time_then_sleep, 100)) for _ in range(2)]
    assert began == [0.0, 0.0]


async def _time_then_sleep(seconds: float) -> float:
    now = anyio.current_time()
    await anyio.sleep(seconds)
    return now


# -- settle ----------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_settled_is_when_nobody_can_go_on() -> None:
    steps = []

    async def relay(left: int, group: anyio.abc.TaskGroup) -> None:
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        steps.append(left)
        if left:
            group.start_soon(relay, left - 1, group)

    async with anyio.create_task_group() as group:
        group.start_soon(relay, 20, group)
        await settle()
        assert steps == list(range(20, -1, -1))


@pytest.mark.anyio
async def test_settle_sees_timers_that_are_due_and_posts_of_callbacks() -> None:
    seen = anyio.Event()

    async def chained() -> None:
        await anyio.sleep(0)
        await asyncio.gather(asyncio.gather(asyncio.sleep(0)))
        seen.set()

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    async with anyio.create_task_group() as group:
        group.start_soon(chained)
        await settle()
        assert seen.is_set()


@pytest.mark.anyio
async def test_settle_sees_what_is_on_its_way_through_a_socket() -> None:
    seen = []
    left, right = socket.socketpair()
    async with (
        await anyio.abc.SocketStream.from_socket(left) as a,
        await anyio.abc.SocketStream.from_socket(right) as b,
        anyio.create_task_group() as group,
    ):

        async def play(stream: anyio.abc.SocketStream) -> None:
            while len(seen) < 20:
                seen.append(await stream.receive())
                await stream.send(b"ball")

        group.start_soon(play, a)
        group.start_soon(play, b)
        await settle()
        await a.send(b"serve")
        await settle()
        assert len(seen) in (20, 21), "the other may have been waiting"
        group.cancel_scope.cancel()


@pytest.mark.anyio
async def test_several_settle_at_once() -> None:
    done = []

    async def one(number: int) -> None:
        await settle()
        done.append(number)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for number in range(5):
                group.start_soon(one, number)
            await settle()
    assert sorted(done) == list(range(5))


@pytest.mark.anyio
async def test_a_cancelled_settle_leaves_nothing_behind() -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await settle()
    assert scope.cancelled_caught
    with anyio.fail_after(60):
        await settle()


@pytest.mark.anyio
async def test_settle_takes_no_virtual_time(virtual_time: None) -> None:
    began = anyio.current_time()
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep, 10)
        for _ in range(100):
            await settle()
        assert anyio.current_time() == pytest.approx(began, abs=1e-9)
