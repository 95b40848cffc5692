"""What every benchmark of the lab shares: sides, races, and the report they end in."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from meridian.foundation.profiling.bench import (
    BenchmarkResult,
    Comparison,
    compare,
    compare_pairs,
)
from meridian.foundation.profiling.comparison import WIDE
from meridian.foundation.profiling.timing import Clock

__all__ = ["Disagreement", "Progress", "Race", "Side", "race"]

Progress = Callable[[int, int, str], None]  # done, total, what comes next


class Disagreement(AssertionError):
    """Two sides of a race gave different results: one of them did not do the work."""

    def __init__(self, workload: str, mine: str, peer: str, difference: str) -> None:
        self.workload = workload
        self.mine = mine
        self.peer = peer
        super().__init__(f"{workload}: {mine} and {peer} disagree: {difference}")


@dataclass(frozen=True)
class Side:
    """One contender on one workload; only `work` is inside the clock.

    `prepare` makes what `work` is given, `answer` turns the outcome into what both sides must
    agree on, `finish` cleans up.
    """

    name: str
    work: Callable[[Any], Any]
    prepare: Callable[[], Any] = lambda: None
    answer: Callable[[Any, Any], Any] = lambda _subject, outcome: outcome
    finish: Callable[[Any], None] = lambda _subject: None


class Race(NamedTuple):
    """A result with the samples behind it, by the clock that judges and by the other one."""

    result: BenchmarkResult
    judged: Comparison
    other: Comparison


class _Stopwatch:
    """Runs a side and reads both clocks around its work."""

    def __init__(self, side: Side, clock: Clock) -> None:
        self.side = side
        self.clock = clock
        self.cpu_s: list[float] = []
        self.wall_s: list[float] = []

    def __call__(self) -> float:
        subject = self.side.prepare()
        try:
            cpu, wall = time.process_time(), time.perf_counter()
            self.side.work(subject)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        finally:
            self.side.finish(subject)
        self.cpu_s.append(cpu)
        self.wall_s.append(wall)
        return cpu if self.clock == "cpu" else wall


def race(
    name: str,
    mine: Side,
    peer: Side,
    *,
    unit: str,
    per: int,
    clock: Clock,
    rounds: int = 30,
    retry: bool = True,
    seed: int = 0,
    target: float | None = None,
    note: str = "",
) -> Race:
    """Compare the answers of both sides, then measure them in interleaved pairs.

    `per` is the operations of one run of `work`, `clock` the one that judges: ``"cpu"`` for work
    without I/O, ``"wall"`` for work that writes. With `retry`, a wide interval is measured again.
    Raises `Disagreement`.
    """
    _agree(name, mine, peer)
    watch_mine, watch_peer = _Stopwatch(mine, clock), _Stopwatch(peer, clock)
    judged = compare(
        watch_mine,
        watch_peer,
        rounds=rounds,
        seed=seed,
        clock=clock,
        own_timer=True,
        max_spread=WIDE if retry else None,
        names=(mine.name, peer.name),
    )
    pairs = judged.a.size  # of the run that counts; a warm-up, and a first try, came before it
    other_clock = "wall" if clock == "cpu" else "cpu"
    other = compare_pairs(
        getattr(watch_mine, f"{other_clock}_s")[-pairs:],
        getattr(watch_peer, f"{other_clock}_s")[-pairs:],
        names=(mine.name, peer.name),
        seed=seed,
        clock=other_clock,
    )
    result = BenchmarkResult.of(
        name, judged, unit=unit, per=per, target=target, note=note, other=other
    )
    return Race(result, judged, other)


def _agree(name: str, mine: Side, peer: Side) -> None:
    got, want = _answer(mine), _answer(peer)
    difference = _difference(got, want)
    if difference:
        raise Disagreement(name, mine.name, peer.name, difference)


def _answer(side: Side) -> Any:
    subject = side.prepare()
    try:
        return side.answer(subject, side.work(subject))
    finally:
        side.finish(subject)


def _difference(got: Any, want: Any) -> str:
    """Where two answers differ, or nothing."""
    if isinstance(got, np.ndarray) and isinstance(want, np.ndarray):
        if (got.shape, got.dtype) != (want.shape, want.dtype):
            return f"{got.dtype}{got.shape} against {want.dtype}{want.shape}"
        unequal = np.argwhere(got != want)
        return f"first at {unequal[0].tolist()}" if unequal.size else ""
    if isinstance(got, Sequence) and isinstance(want, Sequence) and len(got) != len(want):
        return f"{len(got)} results against {len(want)}"
    return "" if got == want else "different values"
