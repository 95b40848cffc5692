"""The clock that stands still."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meridian.clock import Clock
from meridian.testing import VirtualClock


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
    assert clock.monotonic() == 0.0


def test_threads_share_it() -> None:
    clock = VirtualClock(now_ns=0)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: clock.advance(0.001), range(2_000)))
    assert clock.now_ns() == 2_000_000_000
