"""Screening by altitude, against all pairs compared one by one, and against SciPy's tree."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import meridian
from meridian.orbital import _kernels, screening
from meridian.orbital.catalog import synthetic_catalog
from meridian.orbital.elements import EARTH_RADIUS_KM, semi_major_axis_km
from meridian.orbital.screening import ConjunctionAlerts, TooManyPairs, screen_altitude

# Few values, so that many are equal or exactly a threshold apart; and any others.
altitudes = st.lists(
    st.integers(-6, 6).map(lambda n: n / 2) | st.floats(-1e6, 1e6, allow_nan=False), max_size=24
)
thresholds = st.sampled_from([0.0, 0.5, 1.0, 2.5]) | st.floats(0, 1e7)


def rows(alerts: ConjunctionAlerts) -> list[tuple[int, int, float]]:
    columns = alerts.object_a, alerts.object_b, alerts.closest_approach_km
    return list(zip(*(column.tolist() for column in columns), strict=True))


def brute_force(ids: list[int], heights: list[float], threshold: float) -> list[Any]:
    """Every pair, compared; lower first, equal ones as they were given."""
    order = sorted(range(len(ids)), key=lambda i: (heights[i], i))
    return [
        (ids[i], ids[j], heights[j] - heights[i])
        for at, i in enumerate(order)
        for j in order[at + 1 :]
        if abs(heights[i] - heights[j]) < threshold
    ]


@settings(max_examples=200)
@given(heights=altitudes, threshold=thresholds, seed=st.integers(0, 99))
def test_all_pairs_and_no_others(heights: list[float], threshold: float, seed: int) -> None:
    ids = np.random.default_rng(seed).permutation(1_000)[: len(heights)].tolist()
    expected = brute_force(ids, heights, threshold)
    for workers in (None, 1, 2, 5):
        assert rows(screen_altitude(ids, heights, threshold, workers=workers)) == expected
    limit = len(expected)
    assert len(screen_altitude(ids, heights, threshold, max_pairs=limit)) == limit
    if limit:
        with pytest.raises(TooManyPairs, match=f"Found {limit} pairs, limit {limit - 1}"):
            screen_altitude(ids, heights, threshold, max_pairs=limit - 1)


@given(heights=altitudes, threshold=thresholds, cut=st.integers(0, 24))
def test_kernels_do_what_their_twins_do(heights: list[float], threshold: float, cut: int) -> None:
    results = []
    for twins in (False, True):
        ties, find, fill = _kernels.order_ties, _kernels.find_ends, _kernels.fill_pairs
        if twins:
            ties, find, fill = ties.py_func, find.py_func, fill.py_func
        low = np.sort(np.array(heights, np.float64))
        order = np.random.default_rng(cut).permutation(len(low))
        ties(low, order)
        ends = np.zeros(len(low), np.int64)
        pairs = int(find(low, threshold, ends))
        a, b, gaps = np.zeros(pairs, np.int64), np.zeros(pairs, np.int64), np.zeros(pairs)
        middle = min(cut, len(low))
        at = int(fill(low, order, ends, 0, middle, 0, a, b, gaps))
        assert int(fill(low, order, ends, middle, len(low), at, a, b, gaps)) == pairs
        results.append((order.tolist(), ends.tolist(), a.tolist(), b.tolist(), gaps.tolist()))
    assert results[0] == results[1]


def test_the_catalogue_of_the_lesson() -> None:
    """1,000 objects 0.3 km apart: each has 16 neighbours above it within 5 km."""
    ids, heights = np.arange(1_000), 400.0 + 0.3 * np.arange(1_000)
    expected = sum(1_000 - k for k in range(1, 17))
    assert expected == 15_864
    for workers in (1, 2, 4, 8, 1_500):
        alerts = screen_altitude(ids, heights, 5.0, workers=workers)
        assert len(alerts) == 15_864
        assert rows(alerts) == rows(screen_altitude(ids, heights, 5.0))


def test_a_pair_exactly_at_the_threshold_is_not_within_it() -> None:
    assert len(screen_altitude([1, 2], [500.0, 505.0], 5.0)) == 0
    assert rows(screen_altitude([1, 2], [505.0, 500.0], np.nextafter(5.0, 6))) == [(2, 1, 5.0)]
    assert len(screen_altitude([1, 2], [500.0, 500.0], 0.0)) == 0


def test_against_a_tree_on_a_real_distribution() -> None:
    spatial = pytest.importorskip("scipy.spatial", reason="the peer is in the group bench")
    catalog = synthetic_catalog(6_000, seed=3)
    heights = np.unique(semi_major_axis_km(catalog["mean_motion"]) - EARTH_RADIUS_KM)
    assert not (np.diff(heights) == 2.0).any()
    ids = np.random.default_rng(0).permutation(len(heights))
    peer = spatial.cKDTree(heights[:, None]).query_pairs(2.0, output_type="ndarray")
    ours = screen_altitude(ids, heights, 2.0, workers=3)
    assert len(ours) > 50_000
    theirs = {(int(i), int(j)) for i, j in ids[np.sort(peer, axis=1)]}
    assert set(zip(ours.object_a.tolist(), ours.object_b.tolist(), strict=True)) == theirs


@pytest.mark.parametrize("kind", ["u4", "i4", "i8", "u1", "u8", ">i4"])
def test_ids_keep_their_type(kind: str) -> None:
    ids = np.array([7, 3, 9], kind)
    alerts = screen_altitude(ids, [3.0, 1.0, 2.0], 1.5)
    assert alerts.object_a.dtype == alerts.object_b.dtype == ids.dtype.newbyteorder("=")
    assert rows(alerts) == [(3, 9, 1.0), (9, 7, 1.0)]


@pytest.mark.parametrize("ids", [[], np.zeros(0, np.uint32)])
def test_an_empty_catalogue_has_no_pairs(ids: Any) -> None:
    for workers in (None, 1, 4):
        assert len(screen_altitude(ids, [], 5.0, workers=workers, max_pairs=0)) == 0


def test_pairs_are_counted_before_there_is_memory_for_them(monkeypatch: Any) -> None:
    n = 3_000_000  # all at one altitude: 4.5e12 pairs, 100 terabytes
    with pytest.raises(TooManyPairs, match=f"Found {n * (n - 1) // 2} pairs, limit 10") as caught:
        screen_altitude(np.arange(n), np.zeros(n), 1.0, max_pairs=10)
    for twin in (pickle.loads(pickle.dumps(caught.value)), copy.copy(caught.value)):
        assert (str(twin), vars(twin)) == (str(caught.value), vars(caught.value))
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_altitudes_that_are_no_number(bad: float) -> None:
    with pytest.raises(ValueError, match=f"Expected finite altitudes, got {bad} at index 1"):
        screen_altitude([1, 2, 3], [5.0, bad, 4.0], 1.0)


def test_no_more_threads_than_this_process_has_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(screening, "available_cores", lambda: 2)
    monkeypatch.setattr(screening, "_PAIRS_PER_WORKER", 1)
    monkeypatch.setattr(screening, "_fill", lambda *arguments: asked.append(arguments[-1]))
    screen_altitude(range(50), np.zeros(50), 1.0)
    assert asked == [2]


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="one id and one altitude an object"):
        screen_altitude([1, 2], [1.0], 1.0)
    with pytest.raises(ValueError, match="one id and one altitude an object"):
        screen_altitude([[1, 2]], [[1.0, 2.0]], 1.0)
    with pytest.raises(ValueError, match="one id and one altitude an object"):
        screen_altitude(1, 1.0, 1.0)
    for ids in ([1.0, 2.0], [True, False], ["a", "b"]):
        with pytest.raises(TypeError, match="integers as ids"):
            screen_altitude(ids, [1.0, 2.0], 1.0)
    for threshold in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="threshold of at least 0"):
            screen_altitude([1], [1.0], threshold)
    for workers in (0, -1):
        with pytest.raises(ValueError, match="workers >= 1"):
            screen_altitude([1], [1.0], 1.0, workers=workers)
    for odd in (True, 1.5):
        with pytest.raises(TypeError, match="workers as an int"):
            screen_altitude([1], [1.0], 1.0, workers=odd)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_pairs >= 0"):
        screen_altitude([1], [1.0], 1.0, max_pairs=-1)
    for odd in (True, 1.5):
        with pytest.raises(TypeError, match="max_pairs as an int"):
            screen_altitude([1], [1.0], 1.0, max_pairs=odd)  # type: ignore[arg-type]


def test_what_is_given_stays_as_it_was() -> None:
    ids, heights = np.array([5, 6, 7]), np.array([3.0, 1.0, 2.0])
    for array in (ids, heights):
        array.flags.writeable = False
    assert rows(screen_altitude(ids, heights, 1.5)) == [(6, 7, 1.0), (7, 5, 1.0)]
    strided = np.zeros((3, 2))
    strided[:, 0] = heights
    assert rows(screen_altitude(ids[::-1], strided[::-1, 0], 1.5)) == [(6, 7, 1.0), (7, 5, 1.0)]


def test_an_error_in_a_worker_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise MemoryError("a page is missing")

    monkeypatch.setattr(screening._kernels, "fill_pairs", fail)
    for workers in (1, 3):
        with pytest.raises(MemoryError, match="a page is missing"):
            screen_altitude([1, 2], [1.0, 2.0], 5.0, workers=workers)


def test_warmup_compiled_what_a_catalogue_needs() -> None:
    meridian.warmup("orbital")
    before = len(_kernels.fill_pairs.signatures)
    catalog = synthetic_catalog(100)
    heights = semi_major_axis_km(catalog["mean_motion"])
    screen_altitude(catalog["norad_id"], heights, 5.0)
    screen_altitude(np.arange(100), heights, 5.0)
    assert len(_kernels.fill_pairs.signatures) == before
