"""How late a loop is: what its tasks wait for beside what they asked for."""

from __future__ import annotations

import math
from types import TracebackType
from typing import NamedTuple

import anyio
from anyio.abc import TaskGroup

from meridian.checks import checked_seconds

__all__ = ["LagBucket", "LagStats", "LoopLagMonitor"]

_SUB_BITS = 5  # 32 buckets for each doubling: 3 % apart
_LARGEST_NS = (1 << 45) - 1  # 9.7 hours
_MOST_RECORDS = 1024  # made at once of the ticks of one stall


class LagStats(NamedTuple):
    """Lags in seconds, each within 3 % above the true one, the longest exact; 0 without ticks."""

    ticks: int
    p50_s: float
    p99_s: float
    max_s: float


class LagBucket(NamedTuple):
    """`ticks` that were late by no more than `upper_s`, and more than the bucket before."""

    upper_s: float
    ticks: int


class LoopLagMonitor:
    """A task that asks to be woken on a fixed schedule, and counts by how much it was late.

    ``async with LoopLagMonitor() as lag:`` watches while the block runs. The schedule does not wait
    for the loop: a stall of 200 ms is 20 ticks that were late by 200, 190, 180 ms and so on, not
    one, so that a percentile says what any task would have seen, whenever it was due (Tene,
    "How NOT to measure latency"). Counts are kept in buckets 3 % apart (as in HdrHistogram): at
    most about 1,300, for any time. May be read from any thread.
    """

    def __init__(self, interval_s: float = 0.01) -> None:
        """Raises `ValueError` for an interval that is not above 0 and finite, `TypeError`."""
        self.interval_s = checked_seconds("interval_s", interval_s, positive=True, finite=True)
        self._runs = False
        self._group: TaskGroup | None = None
        self.reset()

    def reset(self) -> None:
        """Forget what was counted: a new window begins."""
        self._buckets: dict[int, int] = {}
        self._ticks = 0
        self._max_ns = 0

    def record(self, lag_s: float, ticks: int = 1) -> None:
        """Count `ticks` that were late by `lag_s`; below 0 is on time."""
        lag_ns = min(max(round(lag_s * 1e9), 0), _LARGEST_NS)
        bucket = _bucket_of(lag_ns)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + ticks
        self._ticks += ticks
        self._max_ns = max(self._max_ns, lag_ns)

    async def run(self) -> None:
        """Watch the loop of this task until cancelled. Raises `RuntimeError` when it does so."""
        if self._runs:
            raise RuntimeError("This LoopLagMonitor watches a loop already: make one for each")
        self._runs = True
        try:
            due_s = anyio.current_time() + self.interval_s
            while True:
                await anyio.sleep_until(due_s)
                late_s = anyio.current_time() - due_s
                missed = 1 + max(0, int(late_s / self.interval_s))
                stride = 1 + missed // _MOST_RECORDS
                for tick in range(0, missed, stride):
                    self.record(late_s - tick * self.interval_s, min(stride, missed - tick))
                due_s += missed * self.interval_s
        finally:
            self._runs = False

    async def __aenter__(self) -> LoopLagMonitor:
        if self._group is not None:
            raise RuntimeError("This LoopLagMonitor is in use: make one for each block")
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        self._group.start_soon(self.run)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._group is not None
        group, self._group = self._group, None
        group.cancel_scope.cancel()
        group.cancel_scope.shield = True  # the block's own error is the one that goes on
        await group.__aexit__(None, None, None)

    @property
    def p50(self) -> float:
        """Seconds by which half of the ticks were late at most."""
        return self.percentile(50)

    @property
    def p99(self) -> float:
        """Seconds by which 99 % of the ticks were late at most."""
        return self.percentile(99)

    @property
    def max(self) -> float:
        """The longest lag in seconds, exactly."""
        return self._max_ns / 1e9

    def percentile(self, percent: float) -> float:
        """Seconds by which `percent` of the ticks, 0 to 100, were late at most; 0 without ticks."""
        if not 0 <= percent <= 100:
            raise ValueError(f"Expected a percentage from 0 to 100, got {percent}")
        buckets = sorted(self._buckets.copy().items())
        rank = max(1, math.ceil(sum(ticks for _, ticks in buckets) * percent / 100))
        for bucket, ticks in buckets:
            rank -= ticks
            if rank <= 0:
                return min(_upper_ns(bucket), self._max_ns) / 1e9
        return 0.0

    def histogram(self) -> list[LagBucket]:
        """The buckets that are not empty, in the order of lag."""
        buckets = sorted(self._buckets.copy().items())
        return [LagBucket(_upper_ns(bucket) / 1e9, ticks) for bucket, ticks in buckets]

    def statistics(self) -> LagStats:
        return LagStats(self._ticks, self.p50, self.p99, self.max)

    def __repr__(self) -> str:
        stats = self.statistics()
        return (
            f"<LoopLagMonitor p50 {stats.p50_s * 1e3:.2f} ms, p99 {stats.p99_s * 1e3:.2f} ms, "
            f"max {stats.max_s * 1e3:.2f} ms of {stats.ticks} ticks>"
        )


def _bucket_of(lag_ns: int) -> int:
    """Small lags have a bucket each, then every doubling is cut into 32."""
    shift = max(0, lag_ns.bit_length() - _SUB_BITS - 1)
    return (shift << _SUB_BITS) + (lag_ns >> shift)


def _upper_ns(bucket: int) -> int:
    """The largest lag of the bucket."""
    shift = max(0, (bucket >> _SUB_BITS) - 1)
    return ((bucket - (shift << _SUB_BITS) + 1) << shift) - 1
