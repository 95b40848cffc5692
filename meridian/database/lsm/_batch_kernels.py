"""Many keys of a table in one go: the block of each, then what the blocks know of them.

Blocks lie where `_read_kernels` says, and were checked there; that keys lie inside their array is
seen here, by `route_keys`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from meridian.database.lsm._block_kernels import compare
from meridian.database.lsm._read_kernels import lower_bound, u16
from meridian.database.storage._kernels import _copy as copy
from meridian.database.storage._kernels import read_only

__all__ = [
    "DELETED",
    "FOUND",
    "OTHER",
    "PENDING",
    "gather",
    "get_rows",
    "get_spans",
    "route_keys",
    "warmup",
]

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]
Int = Any  # int in Python, int64 when compiled

# What a table knows of a key.
PENDING = 0  # nothing: ask an older one
FOUND = 1
DELETED = 2
OTHER = 3  # a value of another width


@njit(cache=True, nogil=True, inline="always")
def _ends_below(bounds: U8, bound_starts: I64, b: Int, keys: U8, k0: Int, k1: Int) -> Any:
    """Whether the last key of block `b` is below a key."""
    last = 2 * b + 1
    return compare(bounds, bound_starts[last], bound_starts[last + 1], keys, k0, k1) < 0


@njit(cache=True, nogil=True)
def route_keys(
    keys: U8, key_starts: I64, todo: I64, bounds: U8, bound_starts: I64, block_of: I64, wanted: U8
) -> Int:
    """Which block could hold each key of `todo`: its number into `block_of`, -1 if none could.

    `bounds` are the keys of `parse_index`; ``wanted[b]`` becomes 1 for each block that is named.
    Returns how many keys have one, -1 if one is not there. Quick where keys ascend.
    """
    blocks = len(wanted)
    routed = 0
    b = 0  # the block of the key before: this one has the same or the next, most often
    for j in range(len(todo)):
        i = todo[j]
        if not 0 <= i < len(key_starts) - 1:
            return -1
        k0, k1 = key_starts[i], key_starts[i + 1]
        if not 0 <= k0 <= k1 <= len(keys):
            return -1
        low, high = 0, blocks  # the first block whose last key is not below lies between
        if b < blocks and _ends_below(bounds, bound_starts, b, keys, k0, k1):
            low = b + 1
            if low < blocks and not _ends_below(bounds, bound_starts, low, keys, k0, k1):
                high = low
        elif b < blocks:
            high = b
            if b == 0 or _ends_below(bounds, bound_starts, b - 1, keys, k0, k1):
                low = b
        while low < high:
            middle = (low + high) >> 1
            if _ends_below(bounds, bound_starts, middle, keys, k0, k1):
                low = middle + 1
            else:
                high = middle
        b = low
        block_of[j] = -1
        if b < blocks:
            first = 2 * b
            if compare(bounds, bound_starts[first], bound_starts[first + 1], keys, k0, k1) <= 0:
                block_of[j] = b
                wanted[b] = 1
                routed += 1
    return routed


@njit(cache=True, nogil=True, inline="always")
def _find(
    arena: U8, buffer: U8, at: I64, lengths: I64, b: Int, keys: U8, k0: Int, k1: Int
) -> tuple[bool, Int]:
    """(whether it lies in the arena, where the flag of the key's entry is or -1)."""
    cached = bool(at[b] >= 0)
    if cached:
        entry, same = lower_bound(arena, at[b], lengths[b], keys, k0, k1)
    else:
        entry, same = lower_bound(buffer, ~at[b], lengths[b], keys, k0, k1)
    return cached, (entry + 2 + k1 - k0 if same else -1)


@njit(cache=True, nogil=True)
def get_rows(
    arena: U8, buffer: U8, at: I64, lengths: I64, keys: U8, key_starts: I64,
    todo: I64, block_of: I64, out: U8, status: U8,
) -> None:  # fmt: skip
    """Look up the keys `todo`, key j in ``block_of[j]``, -1 for those that are not asked.

    Values as wide as the rows of `out` go into ``out[todo[j]]``; ``status[todo[j]]`` says what was
    found, and stays as it is where nothing was.
    """
    width = out.shape[1]
    flat = out.reshape(-1)
    for j in range(len(todo)):
        if block_of[j] < 0:
            continue
        i = todo[j]
        cached, flag = _find(
            arena, buffer, at, lengths, block_of[j], keys, key_starts[i], key_starts[i + 1]
        )
        if flag < 0:
            continue
        data = arena if cached else buffer
        if data[flag] != 0:
            status[i] = DELETED
        elif u16(data, flag + 1) != width:
            status[i] = OTHER
        else:
            copy(flat, i * width, data, flag + 3, width)
            status[i] = FOUND


@njit(cache=True, nogil=True)
def get_spans(
    arena: U8, buffer: U8, at: I64, lengths: I64, keys: U8, key_starts: I64,
    todo: I64, block_of: I64, status: U8, spans: I64,
) -> None:  # fmt: skip
    """The same for values of any length: ``spans[j]`` gets where the value of key j begins and its
    length; a place in `buffer` is written ``~place``."""
    for j in range(len(todo)):
        spans[j, 1] = 0
        if block_of[j] < 0:
            continue
        i = todo[j]
        cached, flag = _find(
            arena, buffer, at, lengths, block_of[j], keys, key_starts[i], key_starts[i + 1]
        )
        if flag < 0:
            continue
        data = arena if cached else buffer
        status[i] = DELETED if data[flag] != 0 else FOUND
        spans[j, 0] = flag + 3 if cached else ~(flag + 3)
        spans[j, 1] = u16(data, flag + 1)


@njit(cache=True, nogil=True)
def gather(arena: U8, buffer: U8, spans: I64, values: U8, starts: I64) -> None:
    """Copy what `get_spans` found, one after the other; `starts` gets where each begins."""
    starts[0] = 0
    for j in range(len(spans)):
        begin, length = spans[j, 0], spans[j, 1]
        if length:
            if begin >= 0:
                copy(values, starts[j], arena, begin, length)
            else:
                copy(values, starts[j], buffer, ~begin, length)
        starts[j + 1] = starts[j] + length


def warmup() -> None:
    """Compile every kernel for the types it is called with, or load it from the cache."""
    data, numbers, none = np.zeros(1, np.uint8), np.zeros(1, np.int64), np.zeros(0, np.int64)
    keys, starts, todo = read_only(data), read_only(numbers), read_only(none)
    route_keys(keys, starts, todo, data, numbers, none, data[:0])
    blocks = (data, data, numbers, numbers, keys, starts, todo, none)
    get_rows(*blocks, data.reshape(1, 1), data)
    spans = np.zeros((0, 2), np.int64)
    get_spans(*blocks, data, spans)
    gather(data, data, spans, data, numbers)
