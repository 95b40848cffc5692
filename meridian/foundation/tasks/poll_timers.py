"""Time for the executor of `poll`: what sleeps, and when it is to be woken."""

from __future__ import annotations

import heapq
import itertools
import weakref
from typing import TYPE_CHECKING

from meridian.clock import Clock, SystemClock
from meridian.foundation.tasks.poll_events import PolledAfterCompletion
from meridian.foundation.tasks.readiness import PENDING, Pending, Ready

if TYPE_CHECKING:
    from meridian.foundation.tasks.poll import Context, Waker

__all__ = ["Sleep", "Timers"]


class Timers:
    """Sleeps that are armed, earliest first, and the time they go by: of `clock`, or its own."""

    def __init__(self, clock: Clock | None) -> None:
        self._clock = clock
        self._own_time_s = 0.0
        self._heap: list[tuple[float, int, weakref.ref[Sleep]]] = []
        self._numbers = itertools.count()  # equal times fire in the order they were armed in

    def now(self) -> float:
        return self._own_time_s if self._clock is None else self._clock.monotonic()

    def arm(self, sleep: Sleep) -> None:
        heapq.heappush(self._heap, (sleep.due_s, next(self._numbers), weakref.ref(sleep)))

    def next_due(self) -> float | None:
        """When the earliest is due; ``None`` when nothing sleeps."""
        while self._heap and self._heap[0][2]() is None:  # dropped
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def fire(self, *, idle: bool) -> None:
        """Wake what is due. When nothing else can run, time of its own jumps to the earliest."""
        due = self.next_due()
        if self._clock is None and due is not None and idle:
            self._own_time_s = due
        while due is not None and due <= self.now():
            sleep = heapq.heappop(self._heap)[2]()
            if sleep is not None:
                sleep.fire()
            due = self.next_due()

    def real_wait_s(self) -> float | None:
        """Seconds of real time until the earliest is due; ``None`` when waiting brings none on."""
        due = self.next_due()
        if due is None or not isinstance(self._clock, SystemClock):
            return None
        return due - self.now()


class Sleep:
    """Ready when a time has passed since it was made. Dropping it disarms the timer."""

    def __init__(self, timers: Timers, seconds: float) -> None:
        self.due_s = timers.now() + seconds
        self._timers = timers
        self._waker: Waker | None = None
        self._over = False

    def poll(self, cx: Context) -> Ready[None] | Pending:
        if self._over:
            raise PolledAfterCompletion("Sleep")
        if self._timers.now() >= self.due_s:
            self._over = True
            self._waker = None
            return Ready(None)
        if self._waker is None:
            self._timers.arm(self)
        self._waker = cx.waker.clone()  # the latest: it may have moved to another task
        return PENDING

    def fire(self) -> None:
        if self._waker is not None:
            self._waker.wake()
