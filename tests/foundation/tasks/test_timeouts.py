"""Too long is `Elapsed`, after the cleanup; and nothing else is."""

from __future__ import annotations

import asyncio
import contextlib
import math
import pickle
import time
from random import Random

import anyio
import pytest
from anyio.lowlevel import checkpoint

from meridian.errors import MeridianError
from meridian.foundation.tasks import STATION_FETCH_S, Elapsed, with_timeout
from meridian.testing.virtual_time import anyio_backend as anyio_backend
from meridian.testing.virtual_time import virtual_time as virtual_time

pytestmark = pytest.mark.anyio


async def double(number: int) -> int:
    await checkpoint()
    return 2 * number


async def test_in_time_the_value_comes() -> None:
    assert await with_timeout(60, double, 4) == 8
    assert await with_timeout(math.inf, double, 4) == 8
    assert await with_timeout(STATION_FETCH_S, double, 4) == 8


async def test_too_late_is_elapsed_after_the_cleanup() -> None:
    steps = []

    async def slow() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.01)
            steps.append("cleaned")

    with pytest.raises(Elapsed, match=r"Not done within 0\.01 s") as caught:
        await with_timeout(0.01, slow)
    assert steps == ["cleaned"]
    assert caught.value.seconds == 0.01
    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value, MeridianError)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.seconds, str(copy)) == (0.01, str(caught.value))
    await checkpoint()


async def test_a_station_has_its_time_to_the_moment(virtual_time: None) -> None:
    began = anyio.current_time()

    async def fetch(seconds: float) -> float:
        try:
            await anyio.sleep(seconds)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(2)  # to hang up
        return seconds

    assert await with_timeout(STATION_FETCH_S, fetch, 2.9) == 2.9
    assert anyio.current_time() - began == pytest.approx(4.9)
    with pytest.raises(Elapsed, match="within 5 s"):
        await with_timeout(STATION_FETCH_S, fetch, 3600)
    assert anyio.current_time() - began == pytest.approx(4.9 + 5 + 2)


async def test_what_comes_all_the_same_is_not_thrown_away() -> None:
    async def stubborn(end: object) -> object:
        try:
            await anyio.sleep_forever()
        except BaseException:
            if isinstance(end, Exception):
                raise end from None
            return end

    assert await with_timeout(0, stubborn, 5) == 5
    with pytest.raises(KeyError, match="cleanup"):
        await with_timeout(0, stubborn, KeyError("cleanup"))

    async def prompt() -> int:
        return 3

    assert await with_timeout(0, prompt) == 3


async def test_an_own_timeout_of_what_runs_is_not_ours() -> None:
    async def inner() -> None:
        raise TimeoutError("the peer's")

    with pytest.raises(TimeoutError, match="the peer's") as caught:
        await with_timeout(60, inner)
    assert not isinstance(caught.value, Elapsed)
    with pytest.raises(Elapsed) as elapsed:
        await with_timeout(60, with_timeout, 0, anyio.sleep_forever)
    assert elapsed.value.seconds == 0
    with pytest.raises(Elapsed) as elapsed:
        await with_timeout(0, with_timeout, 60, anyio.sleep_forever)
    assert elapsed.value.seconds == 0


async def test_an_outer_cancellation_is_never_elapsed() -> None:
    """Whichever comes first, and in whatever order they strike."""
    random, ends = Random(1), set()
    for _ in range(300):
        told = []

        async def work(limit_s: float, told: list[str] = told) -> None:
            try:
                await with_timeout(limit_s, anyio.sleep_forever)
            except Elapsed:
                told.append("elapsed")
                raise
            except BaseException:
                told.append("cancelled")
                raise

        limit_s, pause_s = (random.choice((0, 0.0002, 0.001)) for _ in range(2))
        with anyio.CancelScope(deadline=anyio.current_time() + pause_s) as scope:
            with contextlib.suppress(Elapsed):
                await work(limit_s)
        assert told == ["cancelled" if scope.cancelled_caught else "elapsed"]
        ends.add(told[0])
    assert ends == {"elapsed", "cancelled"}


@pytest.mark.parametrize("outer_s", [0.095, 0.105])
async def test_cancelled_in_the_same_step_as_the_time_is_over(outer_s: float) -> None:
    async def hog() -> None:
        time.sleep(0.12)

    async with anyio.create_task_group() as group:
        with anyio.CancelScope(deadline=anyio.current_time() + outer_s) as scope:
            group.start_soon(hog)  # while the next line waits: when it is done, both are due
            try:
                await with_timeout(0.1, anyio.sleep_forever)
            except Elapsed:
                pytest.fail("it was cancelled from outside")
        assert scope.cancelled_caught


@pytest.mark.parametrize("native_first", [False, True])
async def test_a_cancellation_of_asyncio_itself_is_not_elapsed(
    native_first: bool, anyio_backend: str
) -> None:
    if anyio_backend != "asyncio":
        pytest.skip("trio has no other")
    started = asyncio.Event()

    async def block() -> None:
        started.set()
        await asyncio.sleep(60)

    task = asyncio.ensure_future(with_timeout(0.005, block))
    await started.wait()
    loop = asyncio.get_running_loop()
    due = loop.time() + 0.005
    if native_first:
        task.cancel()
    else:  # the time is over and the native cancellation comes, before the task takes a step
        while loop.time() < due:
            pass
        loop.call_at(due, task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_is_no_time() -> None:
    for wrong in (-1, -0.001, math.nan, -math.inf):
        with pytest.raises(ValueError, match="time >= 0 s"):
            await with_timeout(wrong, double, 1)
    for wrong in (None, "5", True):
        with pytest.raises(TypeError, match="a time in seconds"):
            await with_timeout(wrong, double, 1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="async function and its arguments, got 5"):
        await with_timeout(1, 5)  # type: ignore[arg-type]
