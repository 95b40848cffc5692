"""Data blocks, read: checked once when they are loaded, then searched and decoded.

A block lies either in the arena of the cache or in a buffer that was read for this call; `at` says
where block b begins: at ``at[b]`` of the arena, or at ``~at[b]`` of the buffer. What
`check_blocks` and `parse_index` let pass the others do not check again.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, typeof

from meridian.database.lsm._block_kernels import compare
from meridian.database.lsm._crc_kernels import crc32, crc_tables
from meridian.database.storage._kernels import _copy as copy

__all__ = [
    "BAD_BOUNDS",
    "BAD_CHECKSUM",
    "BAD_ENTRY",
    "BAD_LENGTH",
    "BAD_OFFSETS",
    "BAD_ORDER",
    "ABSENT",
    "DEAD",
    "IN_FILE",
    "check_blocks",
    "decode_blocks",
    "find_cached",
    "find_cached_directly",
    "find_key",
    "lower_bound",
    "parse_index",
    "u16",
    "warmup",
]

U8 = npt.NDArray[np.uint8]
U32 = npt.NDArray[np.uint32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Int = Any  # int in Python, int64 when compiled
Bytes = Any  # what can be indexed: bytes, or a uint8 array

# What is wrong with a block.
BAD_LENGTH = 1
BAD_CHECKSUM = 2
BAD_OFFSETS = 3
BAD_ENTRY = 4
BAD_ORDER = 5
BAD_BOUNDS = 6  # it is not the block that the index means

# Why `find_cached` gives no value.
IN_FILE = 0  # the block has no frame
ABSENT = 1
DEAD = 2


@njit(cache=True, nogil=True, inline="always")
def u16(data: Bytes, at: Int) -> Int:
    """The number in two bytes at `at`."""
    i = np.uint64(at)
    return np.int64(data[i]) | np.int64(data[i + np.uint64(1)]) << 8


@njit(cache=True, nogil=True)
def _check_block(
    data: U8, start: Int, length: Int, keys: U8, key_starts: I64, b: Int, crcs: U32
) -> Int:
    """What is wrong with block `b`, 0 if nothing; its bounds are keys 2b and 2b + 1."""
    if length < 14:
        return BAD_LENGTH
    end = start + length - 4
    crc = u16(data, end) | u16(data, end + 2) << 16
    if crc32(data, start, end, crcs) != crc:
        return BAD_CHECKSUM
    count = u16(data, end - 2)
    table = end - 2 - 2 * count  # where the offsets begin, and the entries end
    if count == 0 or table < start:
        return BAD_OFFSETS
    at = start
    k0, k1 = 0, 0
    for i in range(count):
        if u16(data, table + 2 * i) != at - start:
            return BAD_OFFSETS
        if at + 6 > table:
            return BAD_ENTRY
        j0 = at + 2
        j1 = j0 + u16(data, at)
        if j1 == j0 or j1 + 3 > table:
            return BAD_ENTRY
        value_len = u16(data, j1 + 1)
        at = j1 + 3 + value_len
        if at > table or data[j1] > 1 or (data[j1] == 1 and value_len > 0):
            return BAD_ENTRY
        if i == 0:
            if compare(data, j0, j1, keys, key_starts[2 * b], key_starts[2 * b + 1]) != 0:
                return BAD_BOUNDS
        elif compare(data, k0, k1, data, j0, j1) >= 0:
            return BAD_ORDER
        k0, k1 = j0, j1
    if at != table:
        return BAD_ENTRY
    if compare(data, k0, k1, keys, key_starts[2 * b + 1], key_starts[2 * b + 2]) != 0:
        return BAD_BOUNDS
    return 0


@njit(cache=True, nogil=True)
def check_blocks(
    data: U8, at: I64, blocks: I64, lengths: I64, keys: U8, key_starts: I64, crcs: U32
) -> tuple[Int, Int]:
    """(the first of `blocks` that is no good, what is wrong), (-1, 0) if all are sound.

    Block b lies at ``~at[b]`` of `data`; `keys` and `key_starts` are those of `parse_index`.
    """
    for b in blocks:
        start = ~at[b]
        if start < 0 or start + lengths[b] > len(data):
            return b, BAD_LENGTH
        status = _check_block(data, start, lengths[b], keys, key_starts, b, crcs)
        if status != 0:
            return b, status
    return -1, 0


@njit(cache=True, nogil=True)
def parse_index(data: U8, offsets: I64, lengths: I64, keys: U8, key_starts: I64) -> Int:
    """Take an index apart; return how many blocks it has, -1 if it is none.

    `offsets` and `lengths` get a number for each block. `key_starts` gets where keys begin in
    `keys`: 2b is the first of block b, 2b + 1 its last. All are long enough: an entry of the index
    has 18 bytes or more, and its keys are no longer than itself. Keys ascend, and blocks lie one
    behind the other from 0 on.
    """
    at, count, filled, offset = 0, 0, 0, np.int64(0)
    key_starts[0] = 0
    while at < len(data):
        for which in range(2):
            if at + 2 > len(data):
                return -1
            length = u16(data, at)
            if length == 0 or at + 2 + length > len(data):
                return -1
            copy(keys, filled, data, at + 2, length)
            k = 2 * count + which
            if k > 0:
                order = compare(
                    keys, key_starts[k - 1], key_starts[k], keys, filled, filled + length
                )
                if order > 0 or (order == 0 and which == 0):
                    return -1
            filled += length
            key_starts[k + 1] = filled
            at += 2 + length
        if at + 12 > len(data):
            return -1
        given = np.int64(0)
        for i in range(8):
            given |= np.int64(data[at + i]) << 8 * i
        if given != offset:
            return -1
        offsets[count] = offset
        lengths[count] = u16(data, at + 8) | u16(data, at + 10) << 16
        offset += lengths[count]
        at += 12
        count += 1
    return count


@njit(cache=True)
def lower_bound(
    data: Bytes, start: Int, length: Int, key: Bytes, k0: Int, k1: Int
) -> tuple[Int, bool]:
    """Where in `data` the first entry of a block begins that is not below a key; whether it is it.

    The block lies at `start`, the key is ``key[k0:k1]``. -1 if all entries are below.
    """
    end = start + length - 6
    count = u16(data, end)
    table = end - 2 * count
    low, high = 0, count
    while low < high:
        middle = (low + high) >> 1
        at = start + u16(data, table + 2 * middle)
        order = compare(data, at + 2, at + 2 + u16(data, at), key, k0, k1)
        if order == 0:
            return at, True
        if order < 0:
            low = middle + 1
        else:
            high = middle
    return (-1 if low == count else start + u16(data, table + 2 * low)), False


# The next two keep the GIL: they are done before another thread could take it and give it back.
@njit(cache=True)
def find_key(data: U8, start: Int, length: Int, key: Bytes) -> Int:
    """What a block knows of `key`: -1 nothing, else where its value begins, its length, and
    whether it is a tombstone, as ``begin << 17 | length << 1 | dead``."""
    at, same = lower_bound(data, start, length, key, 0, len(key))
    if not same:
        return -1
    at += 2 + len(key)
    return (at + 3) << 17 | u16(data, at + 1) << 1 | np.int64(data[at])


@njit(cache=True)
def find_cached(arena: U8, frame_of: I32, places: I64, bounds: U8, key: Bytes) -> Int:
    """Find the block of `key` in a table and, if it has a frame, search it.

    `frame_of` names the frame of each block or -1, `bounds` are the keys of `parse_index`.
    `places` holds the size of a frame, where in `arena` the marks of used frames begin, how often a
    block was found in its frame (counted here), then the length of each block, then where each key
    of `bounds` begins.

    Returns where a value begins and its length, as ``begin << 16 | length``; -1 if no block could
    hold the key; else ``-2 - (block << 2 | how)``, with `IN_FILE`, `ABSENT` or `DEAD`.
    """
    blocks = np.int64(len(frame_of))
    starts = 3 + blocks
    low, high = np.int64(0), blocks
    while low < high:
        middle = (low + high) >> 1
        last = starts + 2 * middle + 1
        if compare(bounds, places[last], places[last + 1], key, 0, len(key)) < 0:
            low = middle + 1
        else:
            high = middle
    first = starts + 2 * low
    if low == blocks or compare(bounds, places[first], places[first + 1], key, 0, len(key)) > 0:
        return np.int64(-1)
    frame = np.int64(frame_of[low])
    if frame < 0:
        return -2 - (low << 2 | IN_FILE)
    arena[places[1] + frame] = 1
    places[2] += 1
    at, same = lower_bound(arena, frame * places[0], places[3 + low], key, 0, len(key))
    if not same:
        return -2 - (low << 2 | ABSENT)
    at += 2 + len(key)
    if arena[at] != 0:
        return -2 - (low << 2 | DEAD)
    return (at + 3) << 16 | u16(arena, at + 1)


@cache
def find_cached_directly() -> Any:
    """`find_cached`, for arguments of exactly those types, the arrays writable and contiguous.

    They are not looked up again in every call, which takes half as long as the search.
    """
    example = (np.zeros(1, np.uint8), np.zeros(0, np.int32), np.zeros(4, np.int64))
    arguments = (*example, np.zeros(0, np.uint8), b"")
    find_cached(*arguments)
    return find_cached.get_overload(tuple(map(typeof, arguments)))


@njit(cache=True, nogil=True)
def decode_blocks(
    arena: U8, buffer: U8, at: I64, lengths: I64, blocks: I64,
    keys: U8, key_starts: I64, values: U8, value_starts: I64, tombstones: Bools, row: Int,
) -> Int:  # fmt: skip
    """Write the entries of `blocks` as columns, from entry `row` on; return the row behind them.

    The arrays are long enough: an entry of a block takes 8 bytes and more of it, without its key
    and value 7.
    """
    filled, used = key_starts[row], value_starts[row]
    for b in blocks:
        cached = at[b] >= 0
        data = arena if cached else buffer
        entry = at[b] if cached else ~at[b]
        for _ in range(u16(data, entry + lengths[b] - 6)):
            length = u16(data, entry)
            copy(keys, filled, data, entry + 2, length)
            filled += length
            entry += 2 + length
            tombstones[row] = data[entry] != 0
            length = u16(data, entry + 1)
            copy(values, used, data, entry + 3, length)
            used += length
            entry += 3 + length
            row += 1
            key_starts[row], value_starts[row] = filled, used
    return row


def warmup() -> None:
    """Compile every kernel for the types it is called with, or load it from the cache."""
    data, numbers = np.zeros(16, np.uint8), np.zeros(3, np.int64)
    at, none = np.array([-1]), np.zeros(0, np.int64)
    check_blocks(data, at, at[1:], none, data, numbers, crc_tables())
    parse_index(data, numbers, numbers.copy(), data.copy(), numbers.copy())
    lower_bound(data, 0, 6, b"", 0, 0)
    find_key(data, 0, 6, b"")
    find_cached_directly()
    decode_blocks(
        data, data, at, none, none, data, numbers, data, numbers, np.zeros(0, np.bool_), 0
    )
