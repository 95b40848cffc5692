"""`sweep` and `elimination_check` on work whose cost is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from meridian.foundation.profiling.bench import elimination_check, sweep


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
