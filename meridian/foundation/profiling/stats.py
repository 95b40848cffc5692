"""The statistics behind a verdict, in the open because a learner should be able to read them.

Sources: Wilcoxon (1945), "Individual comparisons by ranking methods"; Welch (1947), "The
generalization of Student's problem"; Efron and Tibshirani (1993), "An Introduction to the
Bootstrap", ch. 13; Holm (1979), "A simple sequentially rejective multiple test procedure";
NIST DLMF 8.17 for the incomplete beta function.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "Interval",
    "WelchResult",
    "WilcoxonResult",
    "bootstrap_median",
    "bootstrap_median_ratio",
    "holm",
    "incomplete_beta",
    "student_t_p",
    "tails",
    "tukey_outliers",
    "validated",
    "welch_t",
    "wilcoxon_signed_rank",
]

Floats = npt.NDArray[np.float64]

EXACT_LIMIT = 50  # up to here the signed-rank distribution is enumerated, ties included
_RESAMPLES = 10_000
_CHUNK = 2_000_000  # resampled values held at once: 16 MB


class Interval(NamedTuple):
    """A confidence interval, of 95 % unless said otherwise, with its point estimate."""

    lo: float
    est: float
    hi: float


class WilcoxonResult(NamedTuple):
    """`statistic` is the smaller rank sum, `n` the number of pairs that differ."""

    statistic: float
    p_value: float
    n: int


class WelchResult(NamedTuple):
    t: float
    df: float
    p_value: float


def validated(values: npt.ArrayLike, *, minimum: int = 1, positive: bool = False) -> Floats:
    """`values` as a one-dimensional float64 array, or `ValueError` saying what is wrong with it."""
    array = np.array(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"Expected a flat list of samples, got {array.ndim} dimensions")
    if array.size < minimum:
        raise ValueError(f"Expected at least {minimum} samples, got {array.size}")
    bad = ~np.isfinite(array) | (array <= 0 if positive else False)
    if bad.any():
        kind = "positive finite" if positive else "finite"
        at = int(np.argmax(bad))
        raise ValueError(f"Expected {kind} samples, got {array[at]} at index {at}")
    return array


def wilcoxon_signed_rank(differences: npt.ArrayLike) -> WilcoxonResult:
    """Two-sided signed-rank test of "`differences` are symmetric about zero".

    Zeros carry no sign and are dropped, as Wilcoxon did; tied magnitudes share their mean rank.
    Up to `EXACT_LIMIT` differences the p-value is exact given the ranks, above it is the normal
    approximation with tie and continuity corrections. Only zeros, or nothing: p = 1.
    """
    nonzero = validated(differences, minimum=0)
    nonzero = nonzero[nonzero != 0]
    n = nonzero.size
    if n == 0:
        return WilcoxonResult(0.0, 1.0, 0)
    _, inverse, counts = np.unique(np.abs(nonzero), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    # Twice the mean rank of a tie group is an integer, which keeps the enumeration exact.
    doubled = (2 * last - counts + 1)[inverse]
    total = int(doubled.sum())
    positive = int(doubled[nonzero > 0].sum())
    smaller = min(positive, total - positive)
    if n <= EXACT_LIMIT:
        p_value = min(1.0, 2 * _lower_tail(doubled, smaller))
    else:
        variance = n * (n + 1) * (2 * n + 1) / 24 - float((counts**3 - counts).sum()) / 48
        distance = max(0.0, n * (n + 1) / 4 - smaller / 2 - 0.5)
        p_value = math.erfc(distance / math.sqrt(2 * variance))
    return WilcoxonResult(smaller / 2, p_value, n)


def _lower_tail(doubled_ranks: npt.NDArray[np.int64], limit: int) -> float:
    """P(rank sum <= `limit`) when every rank counts with probability one half."""
    chance = np.zeros(limit + 1)
    chance[0] = 1.0
    for rank in doubled_ranks.tolist():
        shifted = np.zeros_like(chance)
        if rank <= limit:
            shifted[rank:] = chance[: limit + 1 - rank]
        chance = (chance + shifted) / 2
    return float(chance.sum())


def welch_t(a: npt.ArrayLike, b: npt.ArrayLike) -> WelchResult:
    """Two-sided test of equal means without assuming equal variances.

    Needs two samples on each side. Where neither side varies the p-value is 1 for equal means
    and 0 otherwise.
    """
    x, y = validated(a, minimum=2), validated(b, minimum=2)
    vx, vy = float(x.var(ddof=1)) / x.size, float(y.var(ddof=1)) / y.size
    difference = float(x.mean() - y.mean())
    scale = max(abs(float(x.mean())), abs(float(y.mean())))
    if math.sqrt(vx + vy) <= 1e-15 * scale:  # constant up to the rounding of the mean
        equal = abs(difference) <= 1e-12 * scale
        return WelchResult(
            0.0 if equal else math.copysign(math.inf, difference),
            float(x.size + y.size - 2),
            1.0 if equal else 0.0,
        )
    t = difference / math.sqrt(vx + vy)
    share = vx / (vx + vy)  # of the variance; dividing first keeps tiny variances from underflow
    df = 1 / (share**2 / (x.size - 1) + (1 - share) ** 2 / (y.size - 1))
    return WelchResult(t, df, student_t_p(t, df))


def student_t_p(t: float, df: float) -> float:
    """P(|T| >= |t|) for Student's t with `df` degrees of freedom (DLMF 8.17 via the beta)."""
    if not df > 0:
        raise ValueError(f"Expected df > 0, got {df}")
    if math.isinf(t):
        return 0.0
    if t * t < df:  # from the other side, because 1 - x loses the digits of a small t
        return 1 - incomplete_beta(0.5, df / 2, t * t / (df + t * t))
    return incomplete_beta(df / 2, 0.5, df / (df + t * t))


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by continued fraction (DLMF 8.17.22)."""
    if not (a > 0 and b > 0 and 0 <= x <= 1):
        raise ValueError(f"Expected a, b > 0 and 0 <= x <= 1, got a={a}, b={b}, x={x}")
    if x in (0.0, 1.0):
        return float(x)
    if x > (a + 1) / (a + b + 2):  # the fraction converges quickly only on the left of the bulk
        return 1 - incomplete_beta(b, a, 1 - x)
    log_front = (
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    return math.exp(log_front) / (a * _beta_fraction(a, b, x))


def _beta_fraction(a: float, b: float, x: float) -> float:
    """1 + d1/(1 + d2/(1 + ...)) by the modified Lentz method."""
    tiny = 1e-300
    value = c = 1.0
    d = 0.0
    for step in range(1, 1_000):
        m = step // 2
        if step % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / ((1 + term * d) or tiny)
        c = (1 + term / c) or tiny
        value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return value


def bootstrap_median(
    samples: npt.ArrayLike, *, resamples: int = _RESAMPLES, seed: int = 0, level: float = 0.95
) -> Interval:
    """Median of `samples` with its percentile bootstrap interval; same seed, same answer."""
    data = validated(samples)
    medians = _resampled_medians(data, resamples, np.random.default_rng(seed))
    lo, hi = np.percentile(medians, tails(level))
    return Interval(float(lo), float(np.median(data)), float(hi))


def tails(level: float) -> tuple[float, float]:
    """The percentiles between which `level` of a distribution lies, equal tails cut off."""
    if not 0 < level < 1:
        raise ValueError(f"Expected a level within 0..1, got {level}")
    return 50 * (1 - level), 50 * (1 + level)


def bootstrap_median_ratio(
    old: npt.ArrayLike, new: npt.ArrayLike, *, resamples: int = _RESAMPLES, seed: int = 0
) -> Interval:
    """median(new) / median(old) of two independent samples, with its bootstrap interval."""
    x, y = validated(old, positive=True), validated(new, positive=True)
    rng = np.random.default_rng(seed)
    ratios = _resampled_medians(y, resamples, rng) / _resampled_medians(x, resamples, rng)
    lo, hi = np.percentile(ratios, (2.5, 97.5))
    return Interval(float(lo), float(np.median(y) / np.median(x)), float(hi))


def _resampled_medians(data: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    if resamples < 1:
        raise ValueError(f"Expected resamples >= 1, got {resamples}")
    rows = max(1, _CHUNK // data.size)
    parts = [
        np.median(data[rng.integers(0, data.size, (min(rows, resamples - at), data.size))], axis=1)
        for at in range(0, resamples, rows)
    ]
    return np.concatenate(parts)


def tukey_outliers(samples: npt.ArrayLike) -> tuple[int, int]:
    """How many samples lie beyond 1.5 and beyond 3 interquartile ranges: (mild, severe)."""
    data = validated(samples)
    q1, q3 = np.percentile(data, (25, 75))
    beyond = np.maximum(q1 - data, data - q3)
    severe = int((beyond > 3 * (q3 - q1)).sum())
    return int((beyond > 1.5 * (q3 - q1)).sum()) - severe, severe


def holm(p_values: Sequence[float]) -> list[float]:
    """`p_values` adjusted for their number, in the order given (family-wise error rate)."""
    for p in p_values:
        if not 0 <= p <= 1:
            raise ValueError(f"Expected p-values within 0..1, got {p}")
    adjusted = [0.0] * len(p_values)
    worst = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = worst
    return adjusted
