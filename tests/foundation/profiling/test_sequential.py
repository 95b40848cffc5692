"""The rule by which a measurement ends: how often it errs, and how soon it ends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meridian.foundation.profiling.sequential import LOOK_LEVEL, Asked, looks
from meridian.foundation.profiling.stats import Interval, bootstrap_median

ASKED = Asked(1.0, 0.95)
TRIALS = 300
NOISE = 0.06  # of one pair, as on a machine that is not quite quiet


def outcome(truth: float, seed: int, noise: float = NOISE, most: int = 40) -> tuple[bool, int]:
    """Whether a submission of this true ratio passes, and after how many rounds."""
    ratios = np.random.default_rng(seed).lognormal(np.log(truth), noise, most)
    for count in looks(most):
        interval = bootstrap_median(ratios[:count], resamples=1_000, level=LOOK_LEVEL)
        settled = ASKED.reached(interval)
        if settled is not None:
            return settled, count
    return ASKED.reached_at_last(interval), most


def passes(truth: float, noise: float = NOISE) -> float:
    return float(np.mean([outcome(truth, seed, noise)[0] for seed in range(TRIALS)]))


def test_what_is_asked_passes_and_what_falls_short_does_not() -> None:
    """Exactly at the edges, where chance has most to say; 5 % and what 300 trials scatter."""
    assert passes(1.0) > 0.92
    assert passes(0.95) < 0.14  # the bootstrap of few pairs is a little too sure of itself
    assert passes(0.90) < 0.02
    assert passes(1.10) == 1.0


def test_a_noisy_machine_costs_rounds_and_not_points() -> None:
    assert passes(1.0, noise=0.25) > 0.85
    assert passes(0.75, noise=0.25) < 0.05
    calm = np.mean([outcome(1.0, seed, 0.02)[1] for seed in range(50)])
    noisy = np.mean([outcome(1.0, seed, 0.25)[1] for seed in range(50)])
    assert calm < noisy


def test_a_plain_case_is_over_at_the_first_look() -> None:
    for truth in (0.5, 1.5):
        assert {outcome(truth, seed)[1] for seed in range(50)} == {8}


@given(st.integers(2, 500))
def test_looks_rise_to_the_last_round(most: int) -> None:
    found = looks(most)
    assert found[-1] == most
    assert found == sorted(set(found))
    assert found[0] == min(8, most)
    assert len(found) <= 13
    assert all(count % 2 == 0 for count in found[:-1])


def test_looks_of_nothing() -> None:
    with pytest.raises(ValueError, match="at least 2 rounds"):
        looks(1)


@pytest.mark.parametrize(
    ("interval", "now", "at_last"),
    [
        (Interval(0.96, 0.97, 0.99), True, True),  # within the zone: close enough
        (Interval(0.95, 1.00, 1.30), True, True),
        (Interval(0.80, 0.90, 0.99), False, False),
        (Interval(0.80, 0.96, 1.10), None, True),
        (Interval(0.80, 0.94, 1.10), None, False),
    ],
)
def test_reached(interval: Interval, now: bool | None, at_last: bool) -> None:
    assert ASKED.reached(interval) is now
    assert ASKED.reached_at_last(interval) is at_last
