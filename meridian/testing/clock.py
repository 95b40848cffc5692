"""A clock that stands still until a test moves it."""

from __future__ import annotations

import heapq
import itertools
import math
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import anyio

__all__ = ["VirtualClock"]


class VirtualClock:
    """`meridian.clock.Clock` under the test's hand, so that an hour passes in no time.

    ``monotonic()`` and ``now_ns()`` move together: by :meth:`advance` where nobody sleeps on this
    clock, by ``await elapse()`` where tasks do, which wakes each when it is due.
    :meth:`set_wall` moves the wall clock alone, as an administrator or a leap does. Safe to share
    between threads; but who sleeps and who lets time elapse are tasks of one loop.

    Reference: ``tokio::time::advance``.
    """

    def __init__(self, now_ns: int = 1_767_225_600_000_000_000, monotonic_ns: int = 0) -> None:
        """Start at `now_ns` on the wall (2026-01-01 UTC) and `monotonic_ns` since the start."""
        self._lock = threading.Lock()
        self._monotonic_ns = monotonic_ns
        self._now_ns = now_ns
        self._sleepers: list[_Sleeper] = []  # a heap
        self._numbers = itertools.count()
        self._elapsing = False

    def monotonic(self) -> float:
        """Seconds; the same value until time is moved."""
        return self._monotonic_ns / 1e9

    def now_ns(self) -> int:
        """Nanoseconds since 1970-01-01 UTC."""
        return self._now_ns

    @property
    def sleepers(self) -> int:
        """How many tasks sleep on this clock."""
        return len(self._sleepers)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass, to the nearest nanosecond, where nobody sleeps.

        Raises `ValueError` for a negative or non-finite time: monotonic time never goes back; and
        `RuntimeError` while tasks sleep on this clock: only `elapse` can wake them in order.
        """
        step_ns = _nanoseconds(seconds)
        with self._lock:
            if self._sleepers:
                raise RuntimeError(
                    f"{len(self._sleepers)} tasks sleep on this clock: "
                    f"await elapse({seconds}), which wakes them when they are due"
                )
            self._move(step_ns)

    def set_wall(self, now_ns: int) -> None:
        """Set the wall clock, forward or back; ``monotonic()`` does not notice."""
        with self._lock:
            self._now_ns = now_ns

    async def sleep(self, seconds: float) -> None:
        """Sleep until so much time was let pass. At once for 0; `math.inf` is for ever.

        Raises `ValueError` for a time that is negative or no number.
        """
        import anyio.lowlevel

        duration_ns = math.inf if seconds == math.inf else _nanoseconds(seconds)
        if duration_ns == 0:
            await anyio.lowlevel.checkpoint()
            return
        with self._lock:
            sleeper = _Sleeper(self._monotonic_ns + duration_ns, next(self._numbers))
            heapq.heappush(self._sleepers, sleeper)
        try:
            await sleeper.woken.wait()
        finally:
            with self._lock:
                if not sleeper.woken.is_set():  # cancelled
                    self._sleepers.remove(sleeper)
                    heapq.heapify(self._sleepers)

    async def elapse(self, seconds: float) -> None:
        """Let `seconds` pass: wake each sleeper when it is due, those due together in the order
        they came, and after each let every task run until it waits. What they then sleep counts.

        Time stops where it is when this is cancelled. Raises `ValueError` as `advance` does, and
        `RuntimeError` while another `elapse` runs or when a task of another thread sleeps here.
        """
        from meridian.testing.settling import settle

        step_ns = _nanoseconds(seconds)
        with self._lock:
            if self._elapsing:
                raise RuntimeError("Time elapses already: one task at a time moves this clock")
            self._elapsing = True
            end_ns = self._monotonic_ns + step_ns
        try:
            await settle()
            while (sleeper := self._take_due(end_ns)) is not None:
                sleeper.woken.set()
                await settle()
            with self._lock:
                self._move(max(0, end_ns - self._monotonic_ns))
        finally:
            self._elapsing = False

    def _take_due(self, end_ns: int) -> _Sleeper | None:
        """The next who is due by `end_ns`, taken off; it is that time now."""
        with self._lock:
            if not self._sleepers or self._sleepers[0].due_ns > end_ns:
                return None
            if self._sleepers[0].thread != threading.get_ident():
                raise RuntimeError(
                    "A task of another thread sleeps on this clock: give each loop its own"
                )
            sleeper = heapq.heappop(self._sleepers)
            self._move(max(0, int(sleeper.due_ns) - self._monotonic_ns))
            return sleeper

    def _move(self, step_ns: int) -> None:
        self._monotonic_ns += step_ns
        self._now_ns += step_ns


class _Sleeper:
    """A task that waits for `due_ns`; of those due together, the one with the lower number."""

    __slots__ = ("due_ns", "number", "thread", "woken")

    def __init__(self, due_ns: float, number: int) -> None:
        import anyio

        self.due_ns = due_ns
        self.number = number
        self.thread = threading.get_ident()
        self.woken: anyio.Event = anyio.Event()

    def __lt__(self, other: _Sleeper) -> bool:
        return (self.due_ns, self.number) < (other.due_ns, other.number)


def _nanoseconds(seconds: float) -> int:
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError(f"Expected a finite time >= 0 s, got {seconds}")
    return round(seconds * 1e9)
