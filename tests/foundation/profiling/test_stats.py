"""The statistics against published vectors, closed forms and brute force."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meridian.foundation.profiling import stats
from meridian.foundation.profiling.stats import (
    bootstrap_median,
    bootstrap_median_ratio,
    holm,
    incomplete_beta,
    student_t_p,
    tukey_outliers,
    validated,
    welch_t,
    wilcoxon_signed_rank,
)

# Hollander and Wolfe (1973), p. 29: depression scores before and after treatment.
BEFORE = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
AFTER = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]
# Darwin's maize, cross- minus self-fertilised, in eighths of an inch (Fisher 1935, ch. 3).
MAIZE = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]


def brute_force_p(differences: list[int]) -> float:
    """Two-sided p by trying every assignment of signs to the mean ranks."""
    sizes = sorted(abs(d) for d in differences if d)
    if not sizes:
        return 1.0
    rank = {s: sizes.index(s) + (sizes.count(s) + 1) / 2 for s in sizes}
    ranks = [rank[abs(d)] for d in differences if d]
    observed = sum(rank[abs(d)] for d in differences if d > 0)
    sums = [
        sum(r for r, sign in zip(ranks, signs, strict=True) if sign)
        for signs in itertools.product((0, 1), repeat=len(ranks))
    ]
    low = sum(s <= observed for s in sums) / len(sums)
    high = sum(s >= observed for s in sums) / len(sums)
    return min(1.0, 2 * min(low, high))


def test_wilcoxon_hollander_and_wolfe() -> None:
    result = wilcoxon_signed_rank(np.array(BEFORE) - np.array(AFTER))
    assert (result.statistic, result.n) == (5.0, 9)  # W+ = 40 of 45
    assert result.p_value == pytest.approx(0.0390625, abs=1e-12)  # 20 of 512 sign patterns


def test_wilcoxon_darwin() -> None:
    result = wilcoxon_signed_rank(MAIZE)
    assert result.statistic == 24.0
    assert result.p_value == pytest.approx(0.041259765625, abs=1e-12)


@pytest.mark.parametrize(
    ("n", "critical"),
    [(6, 0), (7, 2), (8, 3), (9, 5), (10, 8), (15, 25), (20, 52), (25, 89), (30, 137)],
)
def test_wilcoxon_critical_values(n: int, critical: int) -> None:
    """The usual table at 5 %, two-sided: the listed rank sum rejects, the next one does not."""

    def p_at(rank_sum: int) -> float:
        signs, left = np.ones(n), rank_sum
        for rank in range(n, 0, -1):
            if rank <= left:
                signs[rank - 1], left = -1, left - rank
        result = wilcoxon_signed_rank(signs * np.arange(1, n + 1))
        assert result.statistic == rank_sum
        return result.p_value

    assert p_at(critical) <= 0.05 < p_at(critical + 1)


@given(st.lists(st.integers(-6, 6), max_size=11))
def test_wilcoxon_is_exact_with_ties_and_zeros(differences: list[int]) -> None:
    assert wilcoxon_signed_rank(differences).p_value == pytest.approx(
        brute_force_p(differences), abs=1e-12
    )


@given(st.lists(st.integers(-9, 9), min_size=30, max_size=stats.EXACT_LIMIT))
def test_wilcoxon_normal_approximation_agrees_with_the_exact(differences: list[int]) -> None:
    if sum(d != 0 for d in differences) < 25:
        return
    exact = wilcoxon_signed_rank(differences).p_value
    limit, stats.EXACT_LIMIT = stats.EXACT_LIMIT, 0
    try:
        approximate = wilcoxon_signed_rank(differences).p_value
    finally:
        stats.EXACT_LIMIT = limit
    assert approximate == pytest.approx(exact, abs=0.02)


def test_wilcoxon_above_the_exact_limit() -> None:
    """60 untied differences, W- = 600: z = (915 - 600 - 0.5) / sqrt(60 * 61 * 121 / 24)."""
    signs, left = np.ones(60), 600
    for rank in range(60, 0, -1):
        if rank <= left:
            signs[rank - 1], left = -1, left - rank
    z = 314.5 / math.sqrt(60 * 61 * 121 / 24)
    result = wilcoxon_signed_rank(signs * np.arange(1, 61))
    assert result.statistic == 600
    assert result.p_value == pytest.approx(math.erfc(z / math.sqrt(2)), rel=1e-12)


@given(st.lists(st.floats(-1e6, 1e6), max_size=80))
def test_wilcoxon_does_not_care_which_side_is_which(differences: list[float]) -> None:
    result = wilcoxon_signed_rank(differences)
    mirrored = wilcoxon_signed_rank([-d for d in differences])
    assert 0 <= result.p_value <= 1
    assert mirrored == pytest.approx(result)


@pytest.mark.parametrize("differences", [[], [0.0], [0.0] * 40])
def test_wilcoxon_without_a_difference(differences: list[float]) -> None:
    assert wilcoxon_signed_rank(differences) == (0.0, 1.0, 0)


# Welch's test: the three published examples (as R's t.test prints them) and Student's sleep data.
WELCH_VECTORS = [
    (
        [27.5, 21.0, 19.0, 23.6, 17.0, 17.9, 16.9, 20.1, 21.9, 22.6, 23.1, 19.6, 19.0, 21.7, 21.4],
        [27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8, 20.2, 21.9, 22.1, 22.9, 20.5, 24.4],
        (-2.46, 25.0, 0.021),
    ),
    (
        [17.2, 20.9, 22.6, 18.1, 21.7, 21.4, 23.5, 24.2, 14.7, 21.8],
        [
            *(21.5, 22.8, 21.0, 23.0, 21.6, 23.6, 22.5, 20.7, 23.4, 21.8),
            *(20.7, 21.7, 21.5, 22.5, 23.6, 21.5, 22.5, 23.5, 21.5, 21.8),
        ],
        (-1.57, 9.9, 0.149),
    ),
    (
        [19.8, 20.4, 19.6, 17.8, 18.5, 18.9, 18.3, 18.9, 19.5, 22.0],
        [
            *(28.2, 26.6, 20.1, 23.3, 25.2, 22.1, 17.7, 27.6, 20.6, 13.7),
            *(23.2, 17.5, 20.6, 18.0, 23.9, 21.6, 24.3, 20.4, 24.0, 13.2),
        ],
        (-2.22, 24.5, 0.036),
    ),
    (
        [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0],
        [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4],
        (-1.8608, 17.776, 0.07939),
    ),
]


@pytest.mark.parametrize(("a", "b", "expected"), WELCH_VECTORS)
def test_welch_published(a: list[float], b: list[float], expected: tuple[float, ...]) -> None:
    t, df, p = welch_t(a, b)
    assert t == pytest.approx(expected[0], abs=0.006)
    assert df == pytest.approx(expected[1], abs=0.06)
    assert p == pytest.approx(expected[2], abs=0.0006)
    assert welch_t(b, a) == pytest.approx((-t, df, p))


def test_welch_without_variance() -> None:
    assert welch_t([2.0, 2.0], [2.0, 2.0, 2.0]) == (0.0, 3.0, 1.0)
    assert welch_t([1.0, 1.0], [2.0, 2.0]) == (-math.inf, 2.0, 0.0)
    assert welch_t([0.1] * 7, [0.1] * 9).p_value == 1.0  # 0.1 * 7 / 7 is not 0.1


@pytest.mark.parametrize(
    ("t", "df", "p"),
    [(12.706, 1, 0.05), (4.303, 2, 0.05), (2.228, 10, 0.05), (2.042, 30, 0.05), (2.750, 30, 0.01)],
)
def test_student_t_table(t: float, df: float, p: float) -> None:
    assert student_t_p(t, df) == pytest.approx(p, rel=2e-3)


@given(st.floats(-1e3, 1e3))
def test_student_t_closed_forms(t: float) -> None:
    assert student_t_p(t, 1) == pytest.approx(1 - 2 / math.pi * math.atan(abs(t)), abs=1e-10)
    assert student_t_p(t, 2) == pytest.approx(1 - abs(t) / math.sqrt(2 + t * t), abs=1e-10)


@given(st.floats(0.5, 60), st.floats(0.5, 60), st.floats(0, 1))
def test_incomplete_beta_reflects(a: float, b: float, x: float) -> None:
    value = incomplete_beta(a, b, x)
    assert 0 <= value <= 1
    assert value + incomplete_beta(b, a, 1 - x) == pytest.approx(1, abs=1e-9)


@given(st.integers(1, 20), st.integers(1, 20), st.floats(0.01, 0.99))
def test_incomplete_beta_is_a_binomial_tail(a: int, b: int, x: float) -> None:
    n = a + b - 1
    tail = sum(math.comb(n, k) * x**k * (1 - x) ** (n - k) for k in range(a, n + 1))
    assert incomplete_beta(a, b, x) == pytest.approx(tail, abs=1e-10)


def test_bad_distribution_arguments() -> None:
    for a, b, x in [(0, 1, 0.5), (1, -1, 0.5), (1, 1, 1.5), (1, 1, math.nan)]:
        with pytest.raises(ValueError, match="Expected a, b > 0"):
            incomplete_beta(a, b, x)
    with pytest.raises(ValueError, match="df > 0"):
        student_t_p(1.0, 0)
    assert student_t_p(math.inf, 3) == 0.0


def test_bootstrap_is_repeatable_and_covers() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for trial in range(150):
        data = rng.normal(10.0, 1.0, 40)
        interval = bootstrap_median(data, resamples=500, seed=trial)
        assert interval.lo <= interval.est <= interval.hi
        assert interval == bootstrap_median(data, resamples=500, seed=trial)
        hits += interval.lo <= 10.0 <= interval.hi
    assert 0.88 <= hits / 150 <= 1.0
    few = [bootstrap_median(data, resamples=20, seed=seed) for seed in range(5)]
    assert len(set(few)) > 1


def test_bootstrap_in_chunks_is_the_bootstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.arange(50.0)
    monkeypatch.setattr(stats, "_CHUNK", 50 * 7)
    interval = bootstrap_median(data, resamples=1_000)
    assert 15 < interval.lo < interval.est == 24.5 < interval.hi < 35


def test_bootstrap_of_one_and_of_constants() -> None:
    assert bootstrap_median([3.0]) == (3.0, 3.0, 3.0)
    assert bootstrap_median([2.0] * 20) == (2.0, 2.0, 2.0)
    assert bootstrap_median_ratio([2.0] * 5, [3.0] * 5) == (1.5, 1.5, 1.5)
    with pytest.raises(ValueError, match="resamples"):
        bootstrap_median([1.0], resamples=0)


def test_bootstrap_ratio_finds_the_ratio() -> None:
    rng = np.random.default_rng(5)
    interval = bootstrap_median_ratio(rng.lognormal(0, 0.1, 80), 2 * rng.lognormal(0, 0.1, 80))
    assert interval.lo < 2 < interval.hi
    assert interval.hi - interval.lo < 0.3


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([1.0] * 10, (0, 0)),
        ([*range(1, 11), 15], (0, 0)),
        ([*range(1, 12), 18], (1, 0)),  # quartiles 3.75 and 9.25: fences 17.5 and 25.75
        ([*range(1, 12), 30], (0, 1)),
        ([1.0] * 9 + [1.1], (0, 1)),
    ],
)
def test_tukey(samples: list[float], expected: tuple[int, int]) -> None:
    assert tukey_outliers(samples) == expected


def test_holm_published() -> None:
    """Holm (1979): p-values 0.01, 0.04, 0.03, 0.005 become 0.03, 0.06, 0.06, 0.02."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.7]) == [0.7]
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    with pytest.raises(ValueError, match=r"0\.\.1"):
        holm([math.nan])


@given(st.lists(st.floats(0, 1), max_size=8), st.floats(0.001, 0.5))
def test_holm_rejects_what_the_procedure_rejects(p_values: list[float], alpha: float) -> None:
    """Step down from the smallest p: stop at the first above alpha / (hypotheses left)."""
    rejected: set[int] = set()
    for step, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[index] * (len(p_values) - step) > alpha:
            break
        rejected.add(index)
    assert {i for i, p in enumerate(holm(p_values)) if p <= alpha} == rejected


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, math.nan], "got nan at index 1"),
        ([math.inf], "got inf at index 0"),
        ([[1.0]], "2 dimensions"),
        ([], "at least 1"),
        (["fast"], "could not convert"),
    ],
)
def test_samples_are_checked(values: list[object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        validated(values)
    if values:
        with pytest.raises(ValueError, match=message):
            bootstrap_median(values)
