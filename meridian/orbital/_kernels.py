"""The compiled sweep of `screening`. The plain-Python twins are the kernels' ``py_func``."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["fill_pairs", "find_ends", "order_ties", "warmup"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Ids = npt.NDArray[Any]
Int = Any  # int in Python, int64 when compiled


@njit(cache=True, nogil=True)
def order_ties(altitudes: F64, order: I64) -> None:
    """Make `order`, by which `altitudes` were sorted, rise where they are equal.

    With it the fastest sort will do, which keeps no order among equals.
    """
    first = 0
    for i in range(1, len(order) + 1):
        if i == len(order) or altitudes[i] != altitudes[first]:
            if i - first > 1:
                order[first:i].sort()
            first = i


@njit(cache=True, nogil=True)
def find_ends(altitudes: F64, threshold: float, ends: I64) -> Int:
    """Where each one's neighbours above end; how many pairs that makes.

    `altitudes` rise, so ``altitudes[i + 1 : ends[i]]`` are those less than `threshold` above
    ``altitudes[i]``, and `ends` rises too.
    """
    n, j, pairs = len(altitudes), 0, 0
    for i in range(n):
        j = max(j, i + 1)
        while j < n and altitudes[j] - altitudes[i] < threshold:
            j += 1
        ends[i] = j
        pairs += j - i - 1
    return pairs


@njit(cache=True, nogil=True)
def fill_pairs(
    altitudes: F64, ids: Ids, ends: I64, first: Int, last: Int, at: Int, a: Ids, b: Ids, gaps: F64
) -> Int:
    """Write the pairs whose lower object is one of `first` to `last` - 1, from row `at` on.

    Reads beyond `last`, up to where its neighbours end. Returns the row after them.
    """
    for i in range(first, last):
        low, mine = altitudes[i], ids[i]
        for j in range(i + 1, ends[i]):
            a[at] = mine
            b[at] = ids[j]
            gaps[at] = altitudes[j] - low
            at += 1
    return at


def warmup() -> None:
    """Compile every kernel, for uint32 (a catalogue's ids) and int64, or load it from the cache."""
    altitudes, ends = np.zeros(2), np.zeros(2, np.int64)
    order_ties(altitudes, ends)
    find_ends(altitudes, 1.0, ends)
    for kind in (np.uint32, np.int64):
        ids = np.zeros(2, kind)
        fill_pairs(altitudes, ids, ends, 0, 2, 0, ids.copy(), ids.copy(), altitudes.copy())
