"""Time as an argument: code that waits or stamps takes a `Clock` instead of calling ``time``.

Two times, never mixed: ``monotonic()`` for durations and deadlines, ``now_ns()`` for the date on
the wall. `meridian.testing` has a clock that stands still until a test moves it.
"""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """What the package asks of a clock."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never goes backwards."""
        ...

    def now_ns(self) -> int:
        """Nanoseconds since 1970-01-01 UTC; may jump when the wall clock is set."""
        ...


class SystemClock:
    """The machine's own clock."""

    __slots__ = ()

    def monotonic(self) -> float:
        return time.monotonic()

    def now_ns(self) -> int:
        return time.time_ns()
