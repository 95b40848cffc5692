"""One function, measured: samples kept raw, so that every statistic can be computed again."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt

from meridian.foundation.profiling._wire import decode, encode
from meridian.foundation.profiling.fingerprint import Fingerprint
from meridian.foundation.profiling.stats import (
    Interval,
    bootstrap_median,
    tukey_outliers,
    validated,
)
from meridian.foundation.profiling.timing import (
    MAX_INNER,
    Clock,
    Timer,
    calibrate,
    checked,
    gc_paused,
    nonzero,
    pick_timer,
    sample,
)

__all__ = ["Measurement", "measure"]

MIN_SAMPLES = 10
_PREPARED = 4_096  # arguments made ahead of one sample, at most


@dataclass(frozen=True, eq=False)
class Measurement:
    """Seconds per call of one function, sample by sample.

    Summaries are computed from `per_iter` when asked for: medians, because a neighbour or an
    interrupt makes some samples long and none short.
    """

    per_iter: npt.NDArray[np.float64]  # (samples,) seconds per call
    inner: int  # calls per sample
    name: str = ""
    clock: str = "wall"
    first_call_s: float = 0.0  # apart: it holds imports, JIT compilation, cold caches
    env: Fingerprint = field(default_factory=Fingerprint.current)

    def __post_init__(self) -> None:
        data = validated(self.per_iter)
        if (data < 0).any():
            raise ValueError(f"Expected durations, got {float(data.min())} s per call")
        if self.inner < 1:
            raise ValueError(f"Expected inner >= 1, got {self.inner}")
        data.flags.writeable = False
        object.__setattr__(self, "per_iter", data)

    @property
    def mean(self) -> float:
        """Seconds per call."""
        return float(self.per_iter.mean())

    @property
    def median(self) -> float:
        """Seconds per call."""
        return float(np.median(self.per_iter))

    @property
    def mad(self) -> float:
        """Median absolute deviation from the median, in seconds."""
        return float(np.median(np.abs(self.per_iter - self.median)))

    @cached_property
    def ci95(self) -> Interval:
        """Bootstrap interval of the median (10,000 resamples, fixed seed), in seconds."""
        return bootstrap_median(self.per_iter)

    @property
    def spread(self) -> float:
        """Width of the interval relative to the median; 0 for constant samples."""
        lo, est, hi = self.ci95
        return (hi - lo) / est if hi > lo else 0.0

    @property
    def outliers(self) -> tuple[int, int]:
        """Samples beyond Tukey's inner and outer fences: (mild, severe)."""
        return tukey_outliers(self.per_iter)

    def to_json(self) -> str:
        """The raw samples and where they were taken."""
        return encode(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Measurement:
        """The measurement `to_json` wrote; `ValueError` saying where the text is wrong."""
        return decode(text, cls)


def measure(
    fn: Callable[..., object],
    *args: object,
    name: str | None = None,
    warmup_s: float = 3.0,
    measure_s: float = 5.0,
    samples: int = 100,
    min_sample_us: float = 50,
    gc: bool = False,
    setup: Callable[[], tuple[object, ...]] | None = None,
    timer: Timer = time.perf_counter,
    clock: Clock | None = None,
) -> Measurement:
    """Time ``fn(*args)``: one first call apart, a warm-up, then `samples` samples.

    A sample is as many calls as fill ``measure_s / samples``, and at least `min_sample_us`.
    `setup` runs outside the clock, once for every call, and returns a tuple of arguments that
    follow `args`: for functions that use up their input. The collector is off meanwhile unless
    ``gc=True``. A function so slow that `samples` calls exceed `measure_s` gets fewer samples (at
    least 10) and a `RuntimeWarning`. An exception of `fn` or `setup` propagates, with the
    collector as it was before.

    Raises `ValueError` for fewer than 10 samples, and `BadTiming` (a `ValueError`) for a timer
    that stands still or runs backwards.
    """
    if samples < MIN_SAMPLES:
        raise ValueError(f"Expected at least {MIN_SAMPLES} samples, got {samples}")
    if not (measure_s > 0 and min_sample_us > 0 and warmup_s >= 0):
        raise ValueError("Expected measure_s > 0, min_sample_us > 0 and warmup_s >= 0")
    timer, clock_name = pick_timer(timer, clock)
    call = partial(fn, *args) if args else fn
    take = sample if setup is None else partial(_prepared_sample, setup=setup)
    with gc_paused(not gc):
        first_call_s = take(call, 1, timer)
        limit = MAX_INNER if setup is None else _PREPARED
        inner = calibrate(call, timer, min_sample_us * 1e-6, take, limit)
        once = _warm_up(partial(take, call, inner, timer), warmup_s) / inner
        inner = min(limit, max(inner, math.ceil(measure_s / samples / once)))
        if samples * inner * once > 2 * measure_s:
            samples = _fewer(samples, inner * once, measure_s)
        per_iter = np.array([take(call, inner, timer) for _ in range(samples)]) / inner
    label = name if name is not None else getattr(fn, "__name__", type(fn).__name__)
    return Measurement(per_iter, inner, label, clock_name, first_call_s)


def _warm_up(take: Callable[[], float], warmup_s: float) -> float:
    """Sample until `warmup_s` has been measured, at least once; return the shortest sample."""
    best = total = nonzero(take())
    while total < warmup_s:
        took = nonzero(take())
        total += took
        best = min(best, took)
    return best


def _fewer(samples: int, sample_s: float, measure_s: float) -> int:
    """How many samples of `sample_s` seconds fit into `measure_s`, said aloud when fewer."""
    fewer = max(MIN_SAMPLES, int(measure_s / sample_s))
    if fewer >= samples:
        return samples
    warnings.warn(
        f"One sample lasts {sample_s:.3g} s: taking {fewer} samples instead of {samples}",
        RuntimeWarning,
        stacklevel=3,
    )
    return fewer


def _prepared_sample(
    call: Callable[..., object],
    inner: int,
    timer: Timer,
    *,
    setup: Callable[[], tuple[object, ...]],
) -> float:
    """Like `sample`, with fresh arguments for each call, all made before the clock starts."""
    inputs = [setup() for _ in range(inner)]
    for made in inputs[:1]:
        if not isinstance(made, tuple):
            raise TypeError(f"Expected setup() to return a tuple, got {type(made).__name__}")
    start = timer()
    for made in inputs:
        call(*made)
    return checked(timer() - start)
