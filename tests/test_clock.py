"""The machine's clock keeps the contract that virtual ones imitate."""

from __future__ import annotations

import time

from meridian.clock import Clock, SystemClock


def test_monotonic_seconds_never_go_back() -> None:
    clock: Clock = SystemClock()
    readings = [clock.monotonic() for _ in range(1_000)]
    assert readings == sorted(readings)
    assert all(isinstance(reading, float) for reading in readings)


def test_the_wall_is_the_wall_in_nanoseconds() -> None:
    before = time.time_ns()
    now = SystemClock().now_ns()
    assert before <= now <= time.time_ns()
    assert isinstance(now, int)
