"""How time grows with the input, and whether a kernel did the work at all."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from meridian.foundation.profiling.interleaved import compare
from meridian.foundation.profiling.stats import Interval, bootstrap_median
from meridian.foundation.profiling.timing import (
    Clock,
    Timer,
    calibrate,
    gc_paused,
    nonzero,
    pick_timer,
    sample,
)

__all__ = ["EliminationVerdict", "SweepResult", "elimination_check", "fit_growth", "sweep"]


@dataclass(frozen=True)
class SweepResult:
    """Time per call against size. `slope` is that of the log-log fit: 1 linear, 0 constant."""

    sizes: tuple[int, ...]
    medians: tuple[float, ...]  # seconds per call
    ci: tuple[tuple[float, float], ...]  # 95 %, seconds per call
    slope: float
    clock: str = "wall"
    slope_ci95: tuple[float, float] | None = None

    @classmethod
    def of(
        cls, times_s: Mapping[int, Sequence[float]], *, seed: int = 0, clock: str = "wall"
    ) -> SweepResult:
        """The result of seconds per call by size, as many for each, taken in rounds."""
        intervals = [bootstrap_median(times, seed=seed) for times in times_s.values()]
        rounds = list(zip(*times_s.values(), strict=True))
        slope = fit_growth(list(times_s), rounds, seed=seed)
        return cls(
            sizes=tuple(times_s),
            medians=tuple(interval.est for interval in intervals),
            ci=tuple((interval.lo, interval.hi) for interval in intervals),
            slope=slope.est,
            clock=clock,
            slope_ci95=(slope.lo, slope.hi),
        )


def sweep(
    make_case: Callable[[int], Callable[[], object]],
    sizes: Sequence[int] = (100, 500, 1_000, 5_000, 10_000),
    *,
    samples: int = 15,
    min_sample_us: float = 50,
    seed: int = 0,
    timer: Timer = time.perf_counter,
    clock: Clock | None = None,
) -> SweepResult:
    """Time ``make_case(size)`` for every size, all sizes in turn and in a new order each round.

    Taking the sizes in turn keeps a drift of the machine out of the slope. `make_case` runs
    outside the clock. Raises `ValueError` for fewer than two different positive sizes.
    """
    if len(set(sizes)) < 2 or min(sizes) < 1:
        raise ValueError(f"Expected at least two different positive sizes, got {list(sizes)}")
    if samples < 2:
        raise ValueError(f"Expected samples >= 2, got {samples}")
    timer, clock_name = pick_timer(timer, clock)
    cases = {size: make_case(size) for size in dict.fromkeys(sizes)}
    times: dict[int, list[float]] = {size: [] for size in cases}
    order = list(cases)
    rng = random.Random(seed)
    with gc_paused():
        inner = {size: calibrate(cases[size], timer, min_sample_us * 1e-6) for size in order}
        for _ in range(samples):
            rng.shuffle(order)
            for size in order:
                times[size].append(nonzero(sample(cases[size], inner[size], timer)) / inner[size])
    return SweepResult.of(times, seed=seed, clock=clock_name)


def fit_growth(
    sizes: Sequence[int], times_s: npt.ArrayLike, *, seed: int = 0, level: float = 0.95
) -> Interval:
    """The exponent p of time ~ size ** p, with its bootstrap interval.

    `times_s` has one row a round and one column a size. Every round gives one slope, by least
    squares on the logarithms; the exponent is their median, so what slowed all sizes of a round
    alike moves nothing, and a round that was disturbed counts as one. Raises `ValueError` for
    fewer than two different positive sizes or two rounds, for another number of columns, and for
    times that are not positive and finite.
    """
    times = np.asarray(times_s, dtype=np.float64)
    if len(set(sizes)) != len(sizes) or len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(f"Expected at least two different positive sizes, got {list(sizes)}")
    if times.ndim != 2 or times.shape[0] < 2 or times.shape[1] != len(sizes):
        raise ValueError(
            f"Expected at least two rounds of {len(sizes)} times, got the shape {times.shape}"
        )
    if not (np.isfinite(times).all() and (times > 0).all()):
        raise ValueError("Expected positive finite times")
    x = np.log(np.asarray(sizes, dtype=np.float64))
    x -= x.mean()
    weights = x / float(x @ x)
    return bootstrap_median(np.log(times) @ weights, seed=seed, level=level)


@dataclass(frozen=True)
class EliminationVerdict:
    """`ratio` is time(4n) / time(n): about 4 for real work, about 1 for deleted work."""

    n: int
    ratio: float
    ci95: tuple[float, float]
    suspect: bool


def elimination_check(
    fn_n: Callable[[int], object],
    n: int,
    *,
    rounds: int = 10,
    seed: int = 0,
    timer: Timer = time.perf_counter,
) -> EliminationVerdict:
    """Run `fn_n` with n and with 4n iterations; a ratio under 2 means the compiler removed them.

    Choose `n` large enough that the iterations outweigh the call. See `black_box` for the cure.
    """
    if n < 1:
        raise ValueError(f"Expected n >= 1, got {n}")
    result = compare(
        lambda: fn_n(n), lambda: fn_n(4 * n), rounds=rounds, seed=seed, timer=timer, max_spread=None
    )
    return EliminationVerdict(n, result.ratio, result.ci95, suspect=result.ratio < 2)
