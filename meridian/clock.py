"""Time as an argument: code that waits or stamps takes a `Clock` instead of calling ``time``.

Two times, never mixed: ``monotonic()`` for durations and deadlines, ``now_ns()`` for the date on
the wall. `meridian.testing` has a clock that stands still until a test moves it.
"""

from __future__ import annotations

import sys
import time
from typing import Final, Protocol

__all__ = ["SYSTEM_CLOCK", "Clock", "SystemClock"]


class Clock(Protocol):
    """What the package asks of a clock."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never goes backwards."""
        ...

    def now_ns(self) -> int:
        """Nanoseconds since 1970-01-01 UTC; may jump when the wall clock is set."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let `seconds` of ``monotonic()`` pass; a checkpoint in any case.

        Raises `ValueError` for a time that is negative or no number.
        """
        ...


class SystemClock:
    """The machine's own clock.

    In an event loop ``monotonic()`` is the loop's time: deadlines of anyio and a test's virtual
    time agree with it. Loops may count from different origins (trio's draws one by chance), so
    what is compared between threads takes ``SystemClock(loop=False)``, everywhere
    `time.monotonic`.
    """

    __slots__ = ("_loop",)

    def __init__(self, loop: bool = True) -> None:
        if not isinstance(loop, bool):
            raise TypeError(f"Expected loop as bool, got {type(loop).__name__}")
        self._loop = loop

    def monotonic(self) -> float:
        if self._loop and "anyio" in sys.modules:  # whoever runs in a loop of ours has imported it
            import anyio

            try:
                return anyio.current_time()
            except RuntimeError:  # no loop in this thread
                pass
        return time.monotonic()

    def now_ns(self) -> int:
        return time.time_ns()

    async def sleep(self, seconds: float) -> None:
        import anyio

        if not seconds >= 0:  # NaN too
            raise ValueError(f"Expected a time >= 0 s, got {seconds}")
        await anyio.sleep(seconds)

    def __repr__(self) -> str:
        return f"SystemClock(loop={self._loop})"


SYSTEM_CLOCK: Final = SystemClock()
"""The default of every ``clock=`` argument."""
