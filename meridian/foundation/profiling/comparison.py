"""The verdict on two functions, with the raw samples it rests on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from meridian.foundation.profiling._wire import decode, encode
from meridian.foundation.profiling.fingerprint import Fingerprint, FingerprintMismatch
from meridian.foundation.profiling.measurement import Measurement
from meridian.foundation.profiling.stats import (
    bootstrap_median,
    bootstrap_median_ratio,
    holm,
    validated,
    welch_t,
    wilcoxon_signed_rank,
)

__all__ = ["Comparison", "Verdict", "adjust", "compare_pairs", "compare_samples"]

Verdict = Literal["faster", "slower", "equivalent", "inconclusive"]
Floats = npt.NDArray[np.float64]

WIDE = 0.20  # an interval wider than this share of the ratio calls for another run


@dataclass(frozen=True, eq=False)
class Comparison:
    """How long b takes relative to a.

    `ratio` is time(b) / time(a) and the verdict speaks of b: ``"faster"`` or ``"slower"`` only
    when p < alpha and the whole interval lies outside ``1 -+ min_effect``; ``"equivalent"`` when
    it lies inside; otherwise ``"inconclusive"``. A difference can be certain and still too small
    to act on, which is what `min_effect` is for.
    """

    ratio: float
    ci95: tuple[float, float]
    p_value: float  # adjusted when the comparison is one of a family
    verdict: Verdict
    a: Floats  # seconds per call, in the order taken
    b: Floats  # pairs with a when design is "paired"
    name_a: str = "a"
    name_b: str = "b"
    inner: tuple[int, int] = (1, 1)
    alpha: float = 0.05
    min_effect: float = 0.01
    seed: int = 0
    design: Literal["paired", "block"] = "paired"
    clock: str = "wall"
    family: int = 1  # comparisons that share alpha
    retried: bool = False
    load_1m: float | None = None  # load average when it began
    env: Fingerprint = field(default_factory=Fingerprint.current)

    def __post_init__(self) -> None:
        for side in ("a", "b"):
            data = validated(getattr(self, side), positive=True)
            data.flags.writeable = False
            object.__setattr__(self, side, data)
        if self.design == "paired" and self.a.size != self.b.size:
            raise ValueError(
                f"Expected pairs, got {self.a.size} samples of a and {self.b.size} of b"
            )

    @property
    def spread(self) -> float:
        """Width of the interval relative to the ratio."""
        return (self.ci95[1] - self.ci95[0]) / self.ratio

    @property
    def median_a(self) -> float:
        """Seconds per call."""
        return float(np.median(self.a))

    @property
    def median_b(self) -> float:
        """Seconds per call."""
        return float(np.median(self.b))

    @property
    def caveats(self) -> tuple[str, ...]:
        """What a reader must know before quoting the ratio; empty when nothing is wrong."""
        found = []
        if self.load_1m is not None and self.load_1m > self.env.cores:
            found.append(
                f"load average {self.load_1m:.1f} on {self.env.cores} cores: others were computing"
            )
        if self.spread > WIDE:
            again = " after a second run" if self.retried else ""
            found.append(f"the interval is {self.spread:.0%} wide{again}")
        if self.design == "block":
            found.append("measured one after the other: drift between the runs counts as a change")
        return tuple(found)

    def __str__(self) -> str:
        lo, hi = self.ci95
        text = (
            f"{self.name_b} takes {self.ratio:.4g} times as long as {self.name_a} "
            f"(95 % CI {lo:.4g} to {hi:.4g}, p = {self.p_value:.2g}, "
            f"{min(self.a.size, self.b.size)} {'pairs' if self.design == 'paired' else 'samples'}, "
            f"{self.clock} time): {self.verdict}"
        )
        return "; ".join((text, *self.caveats))

    def to_json(self) -> str:
        """The verdict, the raw samples behind it and where they were taken."""
        return encode(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Comparison:
        """The comparison `to_json` wrote; `ValueError` saying where the text is wrong."""
        return decode(text, cls)


def judge(ci95: tuple[float, float], p_value: float, alpha: float, min_effect: float) -> Verdict:
    """The rule of `Comparison.verdict`."""
    lo, hi = ci95
    if p_value < alpha and hi < 1 - min_effect:
        return "faster"
    if p_value < alpha and lo > 1 + min_effect:
        return "slower"
    if 1 - min_effect <= lo and hi <= 1 + min_effect:
        return "equivalent"
    return "inconclusive"


def compare_pairs(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    names: tuple[str, str] = ("a", "b"),
    inner: tuple[int, int] = (1, 1),
    alpha: float = 0.05,
    min_effect: float = 0.01,
    seed: int = 0,
    clock: str = "wall",
    retried: bool = False,
    load_1m: float | None = None,
) -> Comparison:
    """The verdict on samples that were taken in pairs: ``a[i]`` and ``b[i]`` in the same moment.

    Two-sided signed-rank test on the log ratios, bootstrap interval of their median. Raises
    `ValueError` for unequal lengths, fewer than two pairs, and samples that are not positive.
    """
    check_levels(alpha, min_effect)
    x, y = validated(a, minimum=2, positive=True), validated(b, minimum=2, positive=True)
    if x.size != y.size:
        raise ValueError(f"Expected pairs, got {x.size} samples of a and {y.size} of b")
    log_ratios = np.log(y) - np.log(x)
    interval = np.exp(bootstrap_median(log_ratios, seed=seed))
    lo, ratio, hi = (float(value) for value in interval)
    p_value = wilcoxon_signed_rank(log_ratios).p_value
    return Comparison(
        ratio=ratio,
        ci95=(lo, hi),
        p_value=p_value,
        verdict=judge((lo, hi), p_value, alpha, min_effect),
        a=x,
        b=y,
        name_a=names[0],
        name_b=names[1],
        inner=inner,
        alpha=alpha,
        min_effect=min_effect,
        seed=seed,
        clock=clock,
        retried=retried,
        load_1m=load_1m,
    )


def compare_samples(
    old: Measurement,
    new: Measurement,
    *,
    alpha: float = 0.05,
    min_effect: float = 0.01,
    seed: int = 0,
) -> Comparison:
    """The verdict on two stored runs; ``ratio`` is time(new) / time(old).

    Welch's t on log times, bootstrap interval of the ratio of medians. The result is flagged
    ``design="block"``: drift between the two runs looks like a change, so false alarms are far
    more frequent than `alpha` says. Use `compare` where both can run now. Raises
    `FingerprintMismatch` when machine or versions differ, `ValueError` for different clocks.
    """
    check_levels(alpha, min_effect)
    if old.env != new.env:
        raise FingerprintMismatch(old.env, new.env)
    if old.clock != new.clock:
        raise ValueError(f"Expected one clock, got {old.clock} time and {new.clock} time")
    x = validated(old.per_iter, minimum=2, positive=True)
    y = validated(new.per_iter, minimum=2, positive=True)
    lo, ratio, hi = bootstrap_median_ratio(x, y, seed=seed)
    p_value = welch_t(np.log(x), np.log(y)).p_value
    return Comparison(
        ratio=ratio,
        ci95=(lo, hi),
        p_value=p_value,
        verdict=judge((lo, hi), p_value, alpha, min_effect),
        a=x,
        b=y,
        name_a=old.name or "a",
        name_b=new.name or "b",
        inner=(old.inner, new.inner),
        alpha=alpha,
        min_effect=min_effect,
        seed=seed,
        design="block",
        clock=old.clock,
        env=new.env,
    )


def adjust(comparisons: list[Comparison]) -> list[Comparison]:
    """The same comparisons judged as one family: Holm's p-values, verdicts drawn again."""
    adjusted = holm([comparison.p_value for comparison in comparisons])
    return [
        replace(
            comparison,
            p_value=p_value,
            verdict=judge(comparison.ci95, p_value, comparison.alpha, comparison.min_effect),
            family=len(comparisons),
        )
        for comparison, p_value in zip(comparisons, adjusted, strict=True)
    ]


def check_levels(alpha: float, min_effect: float) -> None:
    if not (0 < alpha < 1 and 0 <= min_effect < 1):
        raise ValueError(
            f"Expected 0 < alpha < 1 and 0 <= min_effect < 1, got {alpha} and {min_effect}"
        )
