"""Boxes in reserve for a process that gets one job after another and is not told which is the last.

They end when no job came for a while and when the process ends; if it is killed, with it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from multiprocessing.util import Finalize

from grader.box.pool import BoxPool

__all__ = ["IDLE_S", "RESERVE", "Reserve"]

IDLE_S = 60.0


class Reserve:
    """Lends one pool to one job at a time, and makes it anew after `close`."""

    def __init__(self, idle_s: float = IDLE_S) -> None:
        self._idle_s = idle_s
        self._one_at_a_time = threading.Lock()
        self._pool: BoxPool | None = None
        self._timer: threading.Timer | None = None

    @contextlib.contextmanager
    def lent(self, *, racing: bool = False) -> Iterator[BoxPool | None]:
        """The pool for a block of one job; another thread's job waits until it ends.

        Nothing for a race, beside which no box may start or wait.
        """
        with self._one_at_a_time:
            self._stop_timer()
            if racing:
                self._end_pool()
            elif self._pool is None:
                self._pool = BoxPool(1)
            try:
                yield self._pool
            finally:
                if self._pool is not None:
                    self._timer = threading.Timer(self._idle_s, self.close)
                    self._timer.daemon = True
                    self._timer.start()

    def close(self) -> None:
        """End the boxes, once no job has them. Closing twice is harmless."""
        with self._one_at_a_time:
            self._stop_timer()
            self._end_pool()

    def abandon(self) -> None:
        """End what waits in reserve, at once: the process ends, and with it a job that runs."""
        pool = self._pool
        if pool is not None:
            pool.close()

    def _end_pool(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


RESERVE = Reserve()
"""This process's own."""

# Not `atexit`: a child of `multiprocessing` leaves without it.
Finalize(None, RESERVE.abandon, exitpriority=1)
