"""Keys put in order without comparing two of them, compiled.

Keys are one array and where each begins, and lie inside the array: `inside` says whether they do.
Each kernel has a plain-Python twin, its ``py_func``, which tests compare with it.
"""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from meridian.database.storage._kernels import _copy as copy_bytes
from meridian.database.storage._kernels import read_only

__all__ = [
    "WINDOW",
    "copy_bytes",
    "gather",
    "inside",
    "key_order",
    "read_only",
    "warmup",
    "window",
]

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
Int = Any  # int in Python, int64 when compiled
Word = Any  # np.uint64

_BYTE = np.uint64(255)
WINDOW = 7  # bytes of a key in one number


@njit(cache=True, nogil=True)
def inside(starts: I64, size: Int) -> bool:
    """Whether strings that begin at `starts` lie inside an array of `size` bytes."""
    last = np.int64(0)
    for start in starts:
        if start < last:
            return False
        last = start
    return len(starts) > 0 and last <= size


@njit(cache=True, nogil=True)
def window(data: U8, start: Int, end: Int) -> Word:
    """The first 7 bytes of ``data[start:end]``, and in the lowest byte how many there are.

    Strings are in the order of these numbers where they differ, and equal where these are and
    have less than 7 bytes.
    """
    count = max(0, min(WINDOW, end - start))
    word = np.uint64(count)
    for k in range(count):
        word |= np.uint64(data[np.uint64(start + k)]) << np.uint64(56 - 8 * k)
    return word


@njit(cache=True, nogil=True)
def _by_bytes(words: U64, order: I64) -> I64:
    """Sort `order` by its `words`, stably, a byte at a time from the lowest (radix sort).

    A byte that all words share costs nothing. May change and return either array.
    """
    differ = np.uint64(0)
    for row in order:
        differ |= words[row] ^ words[order[0]]
    if not differ:
        return order
    spare, counts = np.empty_like(order), np.empty(256, np.int64)
    for shift in range(0, 64, 8):
        bits = np.uint64(shift)
        if not differ >> bits & _BYTE:
            continue
        counts[:] = 0
        for word in words:
            counts[word >> bits & _BYTE] += 1
        at = 0
        for byte in range(256):
            counts[byte], at = at, at + counts[byte]
        for row in order:
            byte = words[row] >> bits & _BYTE
            spare[counts[byte]] = row
            counts[byte] += 1
        order, spare = spare, order
    return order


@njit(cache=True, nogil=True)
def _alike(words: U64, runs: U64, order: I64) -> tuple[I64, U64]:
    """Which places of `order` hold keys that no window told apart yet, and which run each is of.

    Keys of one run were alike before this window. A key that ends in it is alike to none.
    """
    places, of = np.empty(len(order), np.int64), np.empty(len(order), np.uint64)
    left, first = 0, 0
    for k in range(1, len(order) + 1):
        a, b = order[first], order[min(k, len(order) - 1)]
        if k < len(order) and words[b] == words[a] and runs[b] == runs[a]:
            continue
        if k - first > 1 and words[a] & _BYTE == np.uint64(WINDOW):
            for place in range(first, k):
                places[left], of[left] = place, first
                left += 1
        first = k
    return places[:left], of[:left]


@njit(cache=True, nogil=True)
def key_order(data: U8, starts: I64) -> I64:
    """The keys' numbers in the order of the keys; of two that are equal, the first comes first.

    Seven bytes of all, then the next seven of those that were alike, and so on: it reads of each
    key what tells it from the others, once.
    """
    count = len(starts) - 1
    words, depth = np.empty(count, np.uint64), WINDOW
    for i in range(count):
        words[i] = window(data, starts[i], starts[i + 1])
    order = _by_bytes(words, np.arange(count))
    places, runs = _alike(words, np.zeros(count, np.uint64), order)
    while len(places) > 0:
        rows = order[places]
        words = np.empty(len(rows), np.uint64)
        for i in range(len(rows)):
            words[i] = window(data, starts[rows[i]] + depth, starts[rows[i] + 1])
        by = _by_bytes(words, np.arange(len(rows)))
        by = _by_bytes(runs, by)  # back into the runs in which they came
        order[places] = rows[by]
        still, runs = _alike(words, runs, by)
        places = places[still]
        depth += WINDOW
    return order


@njit(cache=True, nogil=True)
def gather(data: U8, starts: I64, order: I64, out: U8) -> None:
    """Copy the strings of `order` one after the other into `out`, which has room for them."""
    at = 0
    for row in order:
        length = starts[row + 1] - starts[row]
        copy_bytes(out, at, data, starts[row], length)
        at += length


def warmup() -> None:
    """Compile every kernel for the types it is called with, or load it from the cache."""
    data, starts = read_only(np.zeros(8, np.uint8)), read_only(np.array([0, 1, 8], np.int64))
    inside(starts, 8)
    gather(data, starts, key_order(data, starts), data.copy())
