"""Which objects fly at nearly the same altitude: the first, coarse filter of conjunction screening.

Sorted by altitude, the neighbours of each object are the next ones, so a sweep finds all pairs in
O(n log n + pairs) where comparing all takes O(n^2). A difference of altitudes is no distance: what
passes here goes on to SGP4.
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from meridian.checks import available_cores, checked_int
from meridian.errors import MeridianError
from meridian.orbital import _kernels

__all__ = ["ConjunctionAlerts", "TooManyPairs", "screen_altitude"]

_PAIRS_PER_WORKER = 250_000  # below, starting a thread takes longer than its share


class TooManyPairs(MeridianError, ValueError):
    """More pairs than the caller has room for. Nothing was allocated for them."""

    def __init__(self, limit: int, found: int) -> None:
        self.limit = limit
        self.found = found
        super().__init__(
            f"Found {found} pairs, limit {limit}: take a smaller threshold or fewer objects"
        )


@dataclass(slots=True, frozen=True, eq=False)
class ConjunctionAlerts:
    """Pairs of objects, one a row, in order of altitude of the lower and then of the upper one.

    `object_a` (the lower) and `object_b` have the type of the ids that were given;
    `closest_approach_km`, f8, is the difference of their altitudes.
    """

    object_a: npt.NDArray[Any]
    object_b: npt.NDArray[Any]
    closest_approach_km: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.object_a)


def screen_altitude(
    ids: npt.ArrayLike,
    altitude_km: npt.ArrayLike,
    threshold_km: float,
    *,
    workers: int | None = None,
    max_pairs: int | None = None,
) -> ConjunctionAlerts:
    """All pairs of objects whose altitudes differ by less than `threshold_km`.

    `ids`, integers, and `altitude_km`, f8, have one value an object; of two at one altitude the one
    given first is the lower. `workers` threads (by default what the work is worth, at most one a
    CPU) each take a part of the pairs: the result is the same for any number.

    Raises `ValueError` for altitudes that are not finite, arrays that do not fit together, a
    threshold that is negative or not finite; `TypeError` for ids, `workers` and
    `max_pairs` that are no integers; `TooManyPairs` for more than `max_pairs`, before there is any
    memory for them.
    """
    names, heights = np.asarray(ids), np.asarray(altitude_km, np.float64)
    if names.ndim != 1 or names.shape != heights.shape:
        raise ValueError(
            f"Expected one id and one altitude an object, got {names.shape} and {heights.shape}"
        )
    if names.size and not np.issubdtype(names.dtype, np.integer):
        raise TypeError(f"Expected integers as ids, got {names.dtype}")
    threshold = float(threshold_km)
    if not (np.isfinite(threshold) and threshold >= 0):
        raise ValueError(f"Expected a threshold of at least 0 km, got {threshold_km!r}")
    if workers is not None:
        workers = checked_int("workers", workers, least=1)
    if max_pairs is not None:
        max_pairs = checked_int("max_pairs", max_pairs)

    order = np.argsort(heights)
    rising = heights[order]
    if len(rising) and not np.isfinite(rising[[0, -1]]).all():  # NaN is sorted to the end
        bad = int(np.flatnonzero(~np.isfinite(heights))[0])
        raise ValueError(f"Expected finite altitudes, got {heights[bad]} at index {bad}")
    _kernels.order_ties(rising, order)
    names = names[order].astype(names.dtype.newbyteorder("="), copy=False)
    ends = np.empty(len(rising), np.int64)
    pairs = int(_kernels.find_ends(rising, threshold, ends))
    if max_pairs is not None and pairs > max_pairs:
        raise TooManyPairs(max_pairs, pairs)
    alerts = ConjunctionAlerts(
        np.empty(pairs, names.dtype), np.empty(pairs, names.dtype), np.empty(pairs)
    )
    if workers is None:
        workers = min(available_cores(), 1 + pairs // _PAIRS_PER_WORKER)
    _fill(rising, names, ends, alerts, workers)
    return alerts


def _fill(
    altitudes: npt.NDArray[np.float64],
    ids: npt.NDArray[Any],
    ends: npt.NDArray[np.int64],
    alerts: ConjunctionAlerts,
    workers: int,
) -> None:
    """Each worker writes rows of its own: objects are dealt out so that each has as many pairs."""
    n = len(ids)
    rows = np.zeros(n + 1, np.int64)  # where each object's pairs begin
    np.cumsum(ends - np.arange(1, n + 1), out=rows[1:])
    shares = len(alerts) * np.arange(1, workers) // workers
    cuts = [0, *np.searchsorted(rows[:n], shares).tolist(), n]

    def fill(first: int, last: int) -> None:
        at = int(rows[first])
        columns = alerts.object_a, alerts.object_b, alerts.closest_approach_km
        _kernels.fill_pairs(altitudes, ids, ends, first, last, at, *columns)

    if workers == 1:
        return fill(0, n)
    with ThreadPoolExecutor(workers, "screening") as pool:
        parts = [part for part in itertools.pairwise(cuts) if part[0] < part[1]]
        for done in [pool.submit(fill, *part) for part in parts]:
            done.result()
    return None
