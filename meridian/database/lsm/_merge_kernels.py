"""Many sorted runs into one, compiled.

Runs stand one after the other in one array, and `bounds` says where each begins and ends. Each
kernel has a plain-Python twin, its ``py_func``, which tests compare with it.
"""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from meridian.database.lsm._order_kernels import WINDOW, read_only, window

__all__ = ["drop_older", "first_descent", "first_windows", "merge_runs", "warmup"]

U8 = npt.NDArray[np.uint8]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
Int = Any  # int in Python, int64 when compiled

_BYTE, _FULL = np.uint64(255), np.uint64(WINDOW)


@njit(cache=True, nogil=True)
def first_windows(data: U8, starts: I64, depth: Int, words: U64) -> None:
    """The window of each key from byte `depth` on."""
    for i in range(len(words)):
        words[i] = window(data, starts[i] + depth, starts[i + 1])


@njit(cache=True, nogil=True)
def _compare(data: U8, starts: I64, a: Int, b: Int) -> Int:
    """-1, 0 or 1: how key `a` stands to key `b`, byte by byte."""
    left, right = starts[a], starts[b]
    size, other = starts[a + 1] - left, starts[b + 1] - right
    for k in range(min(size, other)):
        x, y = data[np.uint64(left + k)], data[np.uint64(right + k)]
        if x != y:
            return -1 if x < y else 1
    return 0 if size == other else -1 if size < other else 1


@njit(cache=True, nogil=True)
def first_descent(words: U64, data: U8, starts: I64, bounds: I64) -> Int:
    """The first row that comes before the one ahead of it in its run, or -1.

    Without `starts` the words are all there is.
    """
    for run in range(len(bounds) - 1):
        for row in range(bounds[run] + 1, bounds[run + 1]):
            if words[row] < words[row - 1]:
                return row
            alike = words[row] == words[row - 1] and words[row] & _BYTE == _FULL
            if alike and len(starts) > 0 and _compare(data, starts, row, row - 1) < 0:
                return row
    return -1


@njit(cache=True, nogil=True)
def merge_runs(words: U64, data: U8, starts: I64, bounds: I64) -> tuple[U64, I64]:
    """Words and rows in order; equal ones in the order of their runs.

    Neighbours are merged in pairs, until one run is left. The loop has no branch that depends on
    which of two is less: a heap, or a tree of losers, guesses wrong at every second step.

    Without `starts` the words are all there is; with them, words are windows, and say nothing of
    two keys where they are equal and full.
    """
    rows = np.arange(len(words))
    words, to_words, to_rows = words.copy(), np.empty_like(words), np.empty_like(rows)
    step, runs = 1, len(bounds) - 1
    while step < runs:
        for run in range(0, runs, 2 * step):
            i, out = bounds[run], bounds[run]
            middle, end = bounds[min(run + step, runs)], bounds[min(run + 2 * step, runs)]
            j = middle
            while i < middle and j < end:
                a, b = words[i], words[j]
                right = b < a
                if a == b and len(starts) > 0 and a & _BYTE == _FULL:
                    right = _compare(data, starts, rows[j], rows[i]) < 0
                to_words[out] = b if right else a
                to_rows[out] = rows[j] if right else rows[i]
                out += 1
                j += right
                i += not right
            if i < middle:
                to_words[out:end], to_rows[out:end] = words[i:middle], rows[i:middle]
            else:
                to_words[out:end], to_rows[out:end] = words[j:end], rows[j:end]
        words, to_words, rows, to_rows = to_words, words, to_rows, rows
        step *= 2
    return words, rows


@njit(cache=True, nogil=True)
def drop_older(words: U64, data: U8, starts: I64, rows: I64) -> Int:
    """Leave in `rows` the first of those with equal keys: how many that are."""
    kept = 0
    for k in range(len(rows)):
        same = k > 0 and words[k] == words[k - 1]
        if same and words[k] & _BYTE == _FULL:
            same = _compare(data, starts, rows[k], rows[kept - 1]) == 0
        if not same:
            rows[kept] = rows[k]
            kept += 1
    return kept


def warmup() -> None:
    """Compile every kernel for the types it is called with, or load it from the cache."""
    data, starts = read_only(np.zeros(2, np.uint8)), read_only(np.arange(3))
    words, bounds = np.zeros(2, np.uint64), np.array([0, 1, 2])
    first_windows(data, starts, 0, words)
    words = read_only(words)
    first_descent(words, data, starts, bounds)
    drop_older(*merge_runs(words, data, starts, bounds)[:1], data, starts, np.arange(2))
