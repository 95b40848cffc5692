"""`sweep` and `elimination_check` on work whose cost is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from meridian.foundation.profiling.bench import elimination_check, fit_growth, sweep


@pytest.mark.parametrize("power", [0, 1, 2])
def test_slope_is_the_power(time_: Any, power: int) -> None:
    result = sweep(lambda n: time_.work(1e-6 * n**power), timer=time_)
    assert result.sizes == (100, 500, 1_000, 5_000, 10_000)
    assert result.slope == pytest.approx(power, abs=1e-6)
    assert result.medians == pytest.approx([1e-6 * n**power for n in result.sizes])
    for (lo, hi), median in zip(result.ci, result.medians, strict=True):
        assert lo <= median <= hi


def test_sizes_are_taken_in_turn_so_that_drift_is_no_slope(time_: Any) -> None:
    """The machine slows down by a factor of 8 while constant work is measured."""
    rng = np.random.default_rng(0)
    begun = time_.now

    def make(_size: int) -> Callable[[], None]:
        return time_.work(lambda: 1e-6 * (1 + (time_.now - begun) * 500) * rng.uniform(0.99, 1.01))

    result = sweep(make, (10, 100, 1_000), timer=time_, samples=45)
    assert time_.now - begun > 7e-3
    assert abs(result.slope) < 0.05


def test_making_a_case_is_outside_the_clock(time_: Any) -> None:
    def make(size: int) -> Callable[[], None]:
        time_.now += 10.0
        return time_.work(1e-6 * size)

    assert max(sweep(make, (1, 10), timer=time_).medians) == pytest.approx(1e-5)


@pytest.mark.parametrize("sizes", [(), (5,), (5, 5), (0, 1)])
def test_bad_sizes(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="different positive sizes"):
        sweep(lambda _: lambda: None, sizes)


def test_bad_sample_count() -> None:
    with pytest.raises(ValueError, match="samples >= 2"):
        sweep(lambda _: lambda: None, (1, 2), samples=1)


def test_kept_and_deleted_work(time_: Any) -> None:
    def kept(n: int) -> None:
        time_.now += 1e-8 * n

    def deleted(_n: int) -> None:
        time_.now += 1e-7

    verdict = elimination_check(kept, 1_000, timer=time_)
    assert (verdict.n, verdict.suspect) == (1_000, False)
    assert verdict.ratio == pytest.approx(4)
    verdict = elimination_check(deleted, 1_000, timer=time_)
    assert verdict.suspect
    assert verdict.ratio == pytest.approx(1)
    with pytest.raises(ValueError, match="n >= 1"):
        elimination_check(kept, 0)


@pytest.mark.parametrize("power", [0.0, 1.0, 1.5, 2.0])
def test_the_exponent_lies_in_its_interval(power: float) -> None:
    """In nearly all of 60 noisy runs; log-normal noise, the same drift for all sizes of a round."""
    sizes = (64, 512, 4_096)
    caught, width = 0, 0.0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        drift = rng.lognormal(0, 0.3, (15, 1))
        times = np.asarray(sizes, float) ** power * drift * rng.lognormal(0, 0.05, (15, 3))
        fit = fit_growth(sizes, times, seed=seed)
        assert fit.lo <= fit.est <= fit.hi
        caught += fit.lo <= power <= fit.hi
        width += (fit.hi - fit.lo) / 60
    assert caught >= 52
    assert width < 0.15
    wide = fit_growth(sizes, times, level=0.999)
    assert wide.hi - wide.lo > fit.hi - fit.lo


def test_a_sweep_has_an_interval_around_its_slope(time_: Any) -> None:
    result = sweep(lambda n: time_.work(1e-6 * n), timer=time_)
    assert result.slope_ci95 == pytest.approx((1.0, 1.0), abs=1e-6)


@pytest.mark.parametrize(
    ("sizes", "times", "message"),
    [
        ((5,), [[1.0], [1.0]], "two different positive sizes"),
        ((5, 5), [[1.0, 1.0]] * 2, "two different positive sizes"),
        ((0, 5), [[1.0, 1.0]] * 2, "two different positive sizes"),
        ((1, 2), [[1.0, 1.0]], "two rounds"),
        ((1, 2), [[1.0, 1.0, 1.0]] * 2, "two rounds of 2 times"),
        ((1, 2), [1.0, 1.0], "two rounds"),
        ((1, 2), [[1.0, 0.0]] * 2, "positive finite"),
        ((1, 2), [[1.0, np.nan]] * 2, "positive finite"),
    ],
)
def test_growth_of_what_cannot_be_fitted(sizes: Any, times: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_growth(sizes, times)
