"""Counters that many threads add to and somebody reads now and then.

An addition is three steps, load, add, store, so two threads that share a number lose some, unless
a lock keeps them apart. Here each thread has numbers of its own that it alone writes, and a reader
adds them up: the idea of Java's ``LongAdder`` and of the kernel's per-CPU counters ("Is Parallel
Programming Hard", McKenney, chapter 5). What is given up is a reading that is exact while threads
add: it is between what was true when it began and when it ended.
"""

from __future__ import annotations

import threading
from collections import deque

__all__ = ["PipelineMetrics", "ShardedCounter"]

_ONE = 1


class _Ledger:
    """The numbers of all threads: of those that run apart, of those that have ended as one sum."""

    def __init__(self, start: list[int]) -> None:
        self.ended: deque[list[int]] = deque()
        self._sums = start
        self._running: dict[int, list[int]] = {}
        self._lock = threading.RLock()  # a finalizer may count within a reading

    def enter(self) -> list[int]:
        """Numbers for a thread that has none."""
        counts = [0] * len(self._sums)
        with self._lock:
            self._fold()
            self._running[id(counts)] = counts
        return counts

    def totals(self) -> list[int]:
        with self._lock:
            self._fold()
            return [sum(column) for column in zip(self._sums, *list(self._running.values()))]  # noqa: B905

    def __len__(self) -> int:
        """For how many threads numbers are kept apart."""
        return len(self._running)

    def _fold(self) -> None:
        while self.ended:
            counts = self.ended.popleft()
            for k in range(len(counts)):
                self._sums[k] += counts[k]
                counts[k] = 0
            del self._running[id(counts)]


class _End:
    """Lies among a thread's own things and goes with them, when the thread ends."""

    def __init__(self, ledger: _Ledger, counts: list[int]) -> None:
        self._ended = ledger.ended
        self._counts = counts

    def __del__(self) -> None:
        self._ended.append(self._counts)


class _Own(threading.local):
    """One thread's numbers. `__init__` runs in every thread that comes here first."""

    def __init__(self, ledger: _Ledger) -> None:
        self.counts = ledger.enter()
        self._end = _End(ledger, self.counts)


class ShardedCounter:
    """A sum to which adding costs no lock, for what is counted often and read seldom.

    `value` is exact when nobody adds, and never falls. What threads that have ended added is kept.
    """

    def __init__(self) -> None:
        self._ledger = _Ledger([0])
        self._own = _Own(self._ledger)

    def add(self, n: int = 1) -> None:
        """Count `n` more. Raises `TypeError` for what is no int, `ValueError` below 0."""
        if n is not _ONE and (type(n) is not int or n < 0):  # a quarter of the time, for most
            raise _refusal(n)
        self._own.counts[0] += n

    @property
    def value(self) -> int:
        """All that was added. Costs a lock and a look at each thread that adds."""
        return self._ledger.totals()[0]

    def __repr__(self) -> str:
        return f"<ShardedCounter {self.value} from {len(self._ledger)} threads>"


class PipelineMetrics:
    """What a telemetry pipeline counts, and the flag that stops it.

    The three arguments are what to count on from. Each frame is counted by the thread that has it;
    a snapshot is taken by a dashboard, once a second.
    """

    def __init__(
        self, frames_received: int = 0, frames_dropped: int = 0, bytes_processed: int = 0
    ) -> None:
        start = [frames_received, frames_dropped, bytes_processed]
        for n in start:
            if type(n) is not int or n < 0:
                raise _refusal(n)
        self._ledger = _Ledger(start)
        self._own = _Own(self._ledger)
        self._stop = threading.Event()

    def record_frame(self, nbytes: int) -> None:
        """One frame of `nbytes` came. Raises `TypeError` for no int, `ValueError` below 0."""
        if type(nbytes) is not int or nbytes < 0:
            raise _refusal(nbytes)
        counts = self._own.counts
        counts[0] += 1
        counts[2] += nbytes

    def record_drop(self) -> None:
        """One frame was dropped."""
        self._own.counts[1] += 1

    def snapshot(self) -> tuple[int, int, int]:
        """(frames received, frames dropped, bytes processed), exact when nobody records."""
        received, dropped, nbytes = self._ledger.totals()
        return received, dropped, nbytes

    @property
    def frames_received(self) -> int:
        return self.snapshot()[0]

    @property
    def frames_dropped(self) -> int:
        return self.snapshot()[1]

    @property
    def bytes_processed(self) -> int:
        return self.snapshot()[2]

    def signal_shutdown(self) -> None:
        """Let `should_stop` be true from now on. Twice is harmless.

        What this thread did before is seen by whoever sees the flag; of what other workers count
        meanwhile it promises nothing: join them before the last snapshot.
        """
        self._stop.set()

    def should_stop(self) -> bool:
        return self._stop.is_set()


def _refusal(n: object) -> Exception:
    if isinstance(n, int) and not isinstance(n, bool):
        return ValueError(f"Expected a count of at least 0, got {n}")
    return TypeError(f"Expected an int, got {n!r}")
