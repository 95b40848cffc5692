"""The machine's clock keeps the contract that virtual ones imitate."""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
import threading
import time

import anyio
import pytest

from meridian.clock import SYSTEM_CLOCK, Clock, SystemClock
from meridian.testing.virtual_time import anyio_backend as anyio_backend
from meridian.testing.virtual_time import virtual_time as virtual_time


@pytest.mark.parametrize("clock", [SYSTEM_CLOCK, SystemClock(loop=False)])
def test_monotonic_seconds_never_go_back(clock: Clock) -> None:
    readings = [time.monotonic(), *(clock.monotonic() for _ in range(1_000)), time.monotonic()]
    assert readings == sorted(readings)
    assert all(isinstance(reading, float) for reading in readings)


def test_the_wall_is_the_wall_in_nanoseconds() -> None:
    before = time.time_ns()
    now = SystemClock().now_ns()
    assert before <= now <= time.time_ns()
    assert isinstance(now, int)


@pytest.mark.anyio
async def test_in_a_loop_it_is_the_loops_time() -> None:
    before = anyio.current_time()
    now = SYSTEM_CLOCK.monotonic()
    assert before <= now <= anyio.current_time()


@pytest.mark.anyio
async def test_or_the_threads_that_all_share() -> None:
    clock = SystemClock(loop=False)
    before = time.monotonic()
    readings = [clock.monotonic()]
    thread = threading.Thread(target=lambda: readings.append(clock.monotonic()))
    thread.start()
    await anyio.to_thread.run_sync(thread.join)
    readings.append(clock.monotonic())
    assert [before, *readings] == sorted([before, *readings])
    assert readings[-1] <= time.monotonic()


def test_a_thread_of_a_loop_has_no_loop_though_it_has_its_context() -> None:
    async def main() -> float:
        return await asyncio.to_thread(SYSTEM_CLOCK.monotonic)

    before = time.monotonic()
    assert before <= anyio.run(main) <= time.monotonic()


@pytest.mark.anyio
@pytest.mark.usefixtures("virtual_time")
async def test_sleep_lets_the_loops_time_pass() -> None:
    began, real = SYSTEM_CLOCK.monotonic(), SystemClock(loop=False)
    before = real.monotonic()
    await SYSTEM_CLOCK.sleep(36_000)
    assert SYSTEM_CLOCK.monotonic() - began == pytest.approx(36_000)
    await real.sleep(36_000)
    assert real.monotonic() - before < 36_000, "its monotonic() is no loop's"
    assert SYSTEM_CLOCK.monotonic() - began == pytest.approx(72_000)


@pytest.mark.anyio
@pytest.mark.parametrize("bad", [-1, -1e-9, -math.inf, math.nan])
async def test_a_time_that_cannot_be_slept(bad: float) -> None:
    with pytest.raises(ValueError, match="time >= 0 s, got"):
        await SYSTEM_CLOCK.sleep(bad)


def test_a_loop_is_no_yes() -> None:
    with pytest.raises(TypeError, match="Expected loop as bool, got object"):
        SystemClock(loop=object())  # type: ignore[arg-type]


def test_it_costs_no_third_party_import() -> None:
    program = """
import sys
from meridian.clock import SYSTEM_CLOCK
SYSTEM_CLOCK.monotonic()
print([name for name in ("anyio", "trio", "asyncio") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
