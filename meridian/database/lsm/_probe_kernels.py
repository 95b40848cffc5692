"""Which table could hold a key: ranges and filters of all tables of a version in one call.

A plan is two arrays. `plan` is int64: the number of groups G, the first table of each group and the
number of tables (G + 1 numbers), then eight numbers for each table: bits and hashes of its filter,
where that begins in `data`, where its first and its last key begin and end, 0. `data` is uint8: all
filters and keys. A group is one sorted run: tables that ascend and do not overlap.

`check_plan` is called once for each plan; the others believe what it let pass.
"""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from meridian.database.lsm._block_kernels import compare
from meridian.database.lsm._hash_kernels import probe, xxh64
from meridian.database.storage._kernels import read_only

__all__ = ["ROW", "check_plan", "next_table", "select_rows", "warmup"]

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
Int = Any  # int in Python, int64 when compiled

ROW = 8
"""Numbers for each table."""


@njit(cache=True, nogil=True)
def check_plan(plan: I64, data: U8) -> bool:
    """Whether nothing in a plan points outside it."""
    if len(plan) < 2 or plan[0] < 0 or len(plan) < plan[0] + 2 or plan[1] != 0:
        return False
    groups = plan[0]
    tables = plan[1 + groups]
    if tables < 0 or len(plan) != 2 + groups + ROW * tables:
        return False
    for g in range(groups):
        if plan[1 + g] > plan[2 + g]:
            return False
    for t in range(tables):
        row = 2 + groups + ROW * t
        if plan[row] < 1 or plan[row + 1] < 0 or plan[row + 2] < 0:
            return False
        if plan[row + 2] + (plan[row] + 7) // 8 > len(data):
            return False
        for i in (3, 5):
            if not 0 <= plan[row + i] <= plan[row + i + 1] <= len(data):
                return False
    return True


@njit(cache=True, nogil=True, inline="always")
def _holder(plan: I64, data: U8, group: Int, key: Any, k0: Int, k1: Int) -> Int:
    """The table of a group whose range holds ``key[k0:k1]``, or -1."""
    base = 2 + plan[0]
    low, end = plan[1 + group], plan[2 + group]
    high = end
    while low < high:
        middle = (low + high) >> 1
        row = base + ROW * middle
        if compare(data, plan[row + 5], plan[row + 6], key, k0, k1) < 0:
            low = middle + 1
        else:
            high = middle
    if low == end:
        return -1
    row = base + ROW * low
    return -1 if compare(data, plan[row + 3], plan[row + 4], key, k0, k1) > 0 else low


@njit(cache=True)  # it is done before another thread could take the GIL and give it back
def next_table(key: bytes, filter_key: bytes, group: Int, plan: I64, data: U8) -> Int:
    """The first table from `group` on that could hold `key`, and how many could not.

    The table's number + 1, 0 for none, times 2**32, plus the groups passed over by range times
    2**16 (65,535 at most), plus those by filter (as many).
    """
    if group < 0:
        return 0
    base = 2 + plan[0]
    outside, refused = 0, 0
    hashed = False
    x = np.uint64(0)
    for g in range(group, plan[0]):
        table = _holder(plan, data, g, key, 0, len(key))
        if table < 0:
            outside += 1
            continue
        if not hashed:
            x = xxh64(filter_key, 0, len(filter_key))
            hashed = True
        row = base + ROW * table
        if probe(data, plan[row + 2], plan[row], plan[row + 1], x):
            return (table + 1) << 32 | min(outside, 65535) << 16 | min(refused, 65535)
        refused += 1
    return min(outside, 65535) << 16 | min(refused, 65535)


@njit(cache=True, nogil=True)
def select_rows(
    keys: U8, key_starts: I64, hashes: U64, status: U8, group: Int, plan: I64, data: U8,
    todo: I64, table_of: I64,
) -> tuple[int, int, int]:  # fmt: skip
    """Which keys without a `status` could be in `group`: their numbers, and in which table.

    Returns how many those are, how many were outside every range, how many a filter refused. The
    arrays have a number for each key; a key lies inside its array.
    """
    if not 0 <= group < plan[0]:
        return 0, 0, 0
    base = 2 + plan[0]
    count, outside, refused = 0, 0, 0
    for i in range(len(status)):
        if status[i] != 0:
            continue
        table = _holder(plan, data, group, keys, key_starts[i], key_starts[i + 1])
        if table < 0:
            outside += 1
            continue
        row = base + ROW * table
        if probe(data, plan[row + 2], plan[row], plan[row + 1], hashes[i]):
            todo[count] = i
            table_of[count] = table
            count += 1
        else:
            refused += 1
    return count, outside, refused


def warmup() -> None:
    """Compile every kernel for the types it is called with, or load it from the cache."""
    plan, data = read_only(np.zeros(2, np.int64)), read_only(np.zeros(1, np.uint8))
    check_plan(plan, data)
    next_table(b"", b"", 0, plan, data)
    starts, hashes = read_only(np.zeros(1, np.int64)), read_only(np.zeros(0, np.uint64))
    status, numbers = np.zeros(0, np.uint8), np.zeros(0, np.int64)
    select_rows(data[:0], starts, hashes, status, 0, plan, data, numbers, numbers)
