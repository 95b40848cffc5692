"""Data blocks, written: entries to bytes, and what the index says of them.

Nobody's columns are trusted: `check_entries` walks them first, the others after it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from meridian.database.lsm._crc_kernels import crc32, crc_tables
from meridian.database.storage._kernels import _copy as copy
from meridian.database.storage._kernels import read_only

__all__ = [
    "BAD_COLUMNS",
    "BAD_KEY",
    "BAD_TOMBSTONE",
    "BAD_VALUE",
    "NOT_ASCENDING",
    "OK",
    "check_entries",
    "compare",
    "encode_entries",
    "end_block",
    "index_entries",
    "warmup",
]

U8 = npt.NDArray[np.uint8]
U16 = npt.NDArray[np.uint16]
U32 = npt.NDArray[np.uint32]
I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Int = Any  # int in Python, int64 when compiled

# What is wrong with an entry that shall be written.
OK = 0
BAD_COLUMNS = 1  # it begins after its end, or outside its array
BAD_KEY = 2  # too long or empty
BAD_VALUE = 3  # too long
BAD_TOMBSTONE = 4  # one with a value
NOT_ASCENDING = 5

# The state of an encoder.
_START, _END, _COUNT, _BLOCKS = 0, 1, 2, 3


@njit(cache=True, nogil=True)
def compare(a: U8, a0: Int, a1: Int, b: U8, b0: Int, b1: Int) -> Int:
    """-1, 0, 1: how the bytes ``a[a0:a1]`` stand to ``b[b0:b1]``."""
    length = min(a1 - a0, b1 - b0)
    for i in range(length):
        x, y = a[a0 + i], b[b0 + i]
        if x != y:
            return -1 if x < y else 1
    return (a1 - a0 > length) - (b1 - b0 > length)


@njit(cache=True, nogil=True)
def check_entries(
    keys: U8, key_starts: I64, values: U8, value_starts: I64, tombstones: Bools, last: U8
) -> tuple[int, int]:
    """(what is wrong, with which entry), (`OK`, -1) if nothing; `last` is the key before them."""
    count = len(tombstones)
    if len(key_starts) != count + 1 or len(value_starts) != count + 1:
        return BAD_COLUMNS, 0
    before, b0, b1 = last, 0, len(last)
    for i in range(count):
        k0, k1, v0, v1 = key_starts[i], key_starts[i + 1], value_starts[i], value_starts[i + 1]
        if not 0 <= k0 <= k1 <= len(keys) or not 0 <= v0 <= v1 <= len(values):
            return BAD_COLUMNS, i
        if not 1 <= k1 - k0 <= 65535:
            return BAD_KEY, i
        if v1 - v0 > 65535:
            return BAD_VALUE, i
        if tombstones[i] and v1 > v0:
            return BAD_TOMBSTONE, i
        if compare(before, b0, b1, keys, k0, k1) >= 0:
            return NOT_ASCENDING, i
        before, b0, b1 = keys, k0, k1
    return OK, -1


@njit(cache=True, nogil=True, inline="always")
def _put_u16(data: U8, at: Int, value: Int) -> None:
    data[at] = value & 0xFF
    data[at + 1] = value >> 8


@njit(cache=True, nogil=True, inline="always")
def _u16(data: U8, at: Int) -> Int:
    return np.int64(data[at]) | np.int64(data[at + 1]) << 8


@njit(cache=True, nogil=True)
def end_block(out: U8, offsets: U16, state: I64, blocks: I64, crcs: U32) -> None:
    """Finish the block that `state` stands in, if it has an entry; the next begins behind it."""
    start, at, count = state[_START], state[_END], state[_COUNT]
    if not count:
        return
    for i in range(count):
        _put_u16(out, at + 2 * i, np.int64(offsets[i]))
    at += 2 * count
    _put_u16(out, at, count)
    at += 2
    crc = crc32(out, start, at, crcs)
    _put_u16(out, at, crc & 0xFFFF)
    _put_u16(out, at + 2, crc >> 16)
    at += 4
    done = state[_BLOCKS]
    blocks[done, 0] = start
    blocks[done, 1] = at - start
    blocks[done, 2] = offsets[count - 1]
    state[_START], state[_END], state[_COUNT], state[_BLOCKS] = at, at, 0, done + 1


@njit(cache=True, nogil=True)
def encode_entries(
    keys: U8, key_starts: I64, values: U8, value_starts: I64, tombstones: Bools, row: Int,
    block_size: Int, out: U8, offsets: U16, state: I64, blocks: I64, crcs: U32,
) -> Int:  # fmt: skip
    """Write entries from `row` on as blocks into `out`; return the first that found no room.

    `state` is where the block now being written began, where it ends, how many entries it has,
    and how many blocks are finished: for each its start in `out`, its length, and where its last
    entry begins are a row of `blocks`. The caller takes these away before the next call.
    """
    while row < len(tombstones):
        k0, v0 = key_starts[row], value_starts[row]
        key_len, value_len = key_starts[row + 1] - k0, value_starts[row + 1] - v0
        need = 5 + key_len + value_len
        count = state[_COUNT]
        tail = 2 * (count + 1) + 6
        if count and state[_END] - state[_START] + need + tail > block_size:
            if state[_BLOCKS] == len(blocks) - 1:  # one is left for the last, unfinished one
                break
            end_block(out, offsets, state, blocks, crcs)
            count, tail = 0, 8
        at = state[_END]
        if at + need + tail > len(out):
            break
        offsets[count] = at - state[_START]
        _put_u16(out, at, key_len)
        copy(out, at + 2, keys, k0, key_len)
        at += 2 + key_len
        out[at] = tombstones[row]
        _put_u16(out, at + 1, value_len)
        copy(out, at + 3, values, v0, value_len)
        state[_END] = at + 3 + value_len
        state[_COUNT] = count + 1
        row += 1
    return row


@njit(cache=True, nogil=True)
def index_entries(out: U8, blocks: I64, offset: Int) -> U8:
    """What the index says of `blocks`, which `encode_entries` made, the first at `offset`."""
    size = 0
    for b in range(len(blocks)):
        for first in (blocks[b, 0], blocks[b, 0] + blocks[b, 2]):
            size += 2 + _u16(out, first)
        size += 12
    index = np.empty(size, np.uint8)
    at = 0
    for b in range(len(blocks)):
        for first in (blocks[b, 0], blocks[b, 0] + blocks[b, 2]):
            length = 2 + _u16(out, first)
            copy(index, at, out, first, length)
            at += length
        for i in range(8):
            index[at + i] = offset >> 8 * i & 0xFF
        for i in range(4):
            index[at + 8 + i] = blocks[b, 1] >> 8 * i & 0xFF
        at += 12
        offset += blocks[b, 1]
    return index


def warmup() -> None:
    """Compile every kernel for the types it is called with, or load it from the cache."""
    data, starts = np.zeros(64, np.uint8), np.array([0, 1])
    columns = (
        read_only(data),
        read_only(starts),
        read_only(data),
        read_only(starts),
        read_only(np.zeros(1, np.bool_)),
    )
    state, blocks, offsets = np.zeros(4, np.int64), np.zeros((2, 3), np.int64), data.view(np.uint16)
    check_entries(*columns, read_only(data[:0]))
    encode_entries(*columns, 0, 64, data, offsets, state, blocks, crc_tables())
    end_block(data, offsets, state, blocks, crc_tables())
    index_entries(data, blocks[:1], 0)
