"""A clock that stands still until a test moves it."""

from __future__ import annotations

import math
import threading

__all__ = ["VirtualClock"]


class VirtualClock:
    """`meridian.clock.Clock` under the test's hand, so that an hour passes in no time.

    ``monotonic()`` and ``now_ns()`` move together with :meth:`advance`; :meth:`set_wall` moves the
    wall clock alone, as an administrator or a leap does. Safe to share between threads.
    """

    def __init__(self, now_ns: int = 1_767_225_600_000_000_000, monotonic_ns: int = 0) -> None:
        """Start at `now_ns` on the wall (2026-01-01 UTC) and `monotonic_ns` since the start."""
        self._lock = threading.Lock()
        self._monotonic_ns = monotonic_ns
        self._now_ns = now_ns

    def monotonic(self) -> float:
        """Seconds; the same value until the next `advance`."""
        return self._monotonic_ns / 1e9

    def now_ns(self) -> int:
        """Nanoseconds since 1970-01-01 UTC."""
        return self._now_ns

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass, to the nearest nanosecond.

        Raises `ValueError` for a negative or non-finite time: monotonic time never goes back.
        """
        if not (math.isfinite(seconds) and seconds >= 0):
            raise ValueError(f"Expected a finite time >= 0 s, got {seconds}")
        step_ns = round(seconds * 1e9)
        with self._lock:
            self._monotonic_ns += step_ns
            self._now_ns += step_ns

    def set_wall(self, now_ns: int) -> None:
        """Set the wall clock, forward or back; ``monotonic()`` does not notice."""
        with self._lock:
            self._now_ns = now_ns
