"""The lag of a loop: counted by schedule, in buckets that bound the error and the memory."""

from __future__ import annotations

import math
import sys
import time

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meridian.foundation.tasks import LoopLagMonitor
from meridian.foundation.tasks.lag import LagBucket, LagStats
from meridian.testing.virtual_time import anyio_backend as anyio_backend
from meridian.testing.virtual_time import virtual_time as virtual_time

pytestmark = pytest.mark.anyio


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=300), st.floats(0, 100))
def test_percentiles_are_within_three_percent_of_the_exact_ones(
    lags_ns: list[int], percent: float
) -> None:
    monitor = LoopLagMonitor()
    for lag_ns in lags_ns:
        monitor.record(lag_ns / 1e9)
    exact_s = sorted(lags_ns)[max(1, math.ceil(len(lags_ns) * percent / 100)) - 1] / 1e9
    answer_s = monitor.percentile(percent)
    assert exact_s <= answer_s + 1e-9
    assert answer_s <= exact_s * (1 + 1 / 32) + 1e-9
    assert monitor.max == pytest.approx(max(lags_ns) / 1e9)
    assert monitor.percentile(100) == monitor.max


@given(st.lists(st.integers(0, 10**12), max_size=200))
def test_the_histogram_has_every_tick_in_its_bucket(lags_ns: list[int]) -> None:
    monitor = LoopLagMonitor()
    for lag_ns in lags_ns:
        monitor.record(lag_ns / 1e9)
    below_ns = -1
    for upper_s, ticks in monitor.histogram():
        upper_ns = round(upper_s * 1e9)
        assert ticks == sum(below_ns < lag_ns <= upper_ns for lag_ns in lags_ns) > 0
        below_ns = upper_ns
    assert sum(bucket.ticks for bucket in monitor.histogram()) == len(lags_ns)


def test_of_nothing() -> None:
    monitor = LoopLagMonitor()
    assert monitor.statistics() == LagStats(0, 0, 0, 0)
    assert monitor.histogram() == []
    monitor.record(-1)
    assert monitor.histogram() == [LagBucket(0, 1)], "early is on time"
    monitor.record(1, ticks=9)
    assert monitor.statistics() == LagStats(10, 1, 1, 1)
    monitor.reset()
    assert monitor.statistics() == LagStats(0, 0, 0, 0)
    assert repr(monitor) == "<LoopLagMonitor p50 0.00 ms, p99 0.00 ms, max 0.00 ms of 0 ticks>"


def test_memory_is_bounded_whatever_comes() -> None:
    monitor = LoopLagMonitor()
    for exponent in range(50):
        for part in range(64):
            monitor.record(2.0**exponent * (1 + part / 64) / 1e9)
    monitor.record(1e30)
    assert len(monitor.histogram()) <= 1400
    assert sys.getsizeof(monitor._buckets) < 100_000
    assert monitor.max == pytest.approx(2**45 / 1e9), "cut off"


async def test_a_loop_that_is_never_late(virtual_time: None) -> None:
    async with LoopLagMonitor() as monitor:
        await anyio.sleep(60.005)
    stats = monitor.statistics()
    assert stats.ticks == 6000
    assert stats.max_s < 1e-6


async def test_a_stall_is_seen_at_its_length() -> None:
    start = time.monotonic()
    async with LoopLagMonitor(0.001) as monitor:
        await anyio.sleep(0.01)
        time.sleep(0.1)
        await anyio.sleep(0.005)
    assert 0.098 <= monitor.max <= time.monotonic() - start
    # 100 ticks were due in the stall, late by 0.1 s down to nothing
    over_half = sum(bucket.ticks for bucket in monitor.histogram() if bucket.upper_s > 0.051)
    assert over_half >= 45


async def test_what_one_stall_leaves_is_bounded() -> None:
    monitor = LoopLagMonitor(1e-6)
    with anyio.fail_after(60):
        async with monitor:
            while not monitor.histogram():
                await anyio.sleep(0)
            time.sleep(0.05)  # 50,000 ticks
            while monitor.max < 0.049:
                await anyio.sleep(0)
            stats = monitor.statistics()
    assert stats.ticks >= 49_000, "all are counted"
    assert stats.p50_s >= 0.02


async def test_a_block_leaves_no_task_and_its_own_error_goes_on() -> None:
    monitor = LoopLagMonitor()

    async def fail_within() -> None:
        async with monitor:
            await anyio.sleep(0)
            raise KeyError("mine")

    for _ in range(2):
        with pytest.raises(KeyError, match="mine"):
            await fail_within()
    with anyio.move_on_after(0.01) as scope:
        async with monitor:
            await anyio.sleep_forever()
    assert scope.cancelled_caught


async def test_one_loop_at_a_time() -> None:
    async with LoopLagMonitor() as monitor:
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(RuntimeError, match="watches a loop already"):
            await monitor.run()
        with pytest.raises(RuntimeError, match="in use"):
            await monitor.__aenter__()
    async with monitor:
        await anyio.wait_all_tasks_blocked()


def test_what_is_no_interval_and_no_percentage() -> None:
    for wrong in (0, -1, math.inf, math.nan):
        with pytest.raises(ValueError, match="interval_s"):
            LoopLagMonitor(wrong)
    for wrong in ("1", True, None):
        with pytest.raises(TypeError, match="interval_s in seconds"):
            LoopLagMonitor(wrong)  # type: ignore[arg-type]
    for wrong in (-1, 101, math.nan):
        with pytest.raises(ValueError, match="0 to 100"):
            LoopLagMonitor().percentile(wrong)
