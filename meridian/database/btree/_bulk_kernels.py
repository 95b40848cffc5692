# mypy: disallow-untyped-decorators=False
"""Whole nodes written into frames, and whole leaves read out of them, compiled.

The rules are those of `_batch_kernels`. New nodes are in no table yet, so nobody else sees them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from meridian.database.btree._batch_kernels import (
    DONE,
    HALTED,
    MISSING,
    RAN,
    STATE_SIZE,
    WHY,
    enter,
)
from meridian.database.btree._search_kernels import BAD_CHILD, RULE, packed_rid, upper_bound
from meridian.database.btree.tree_meta import INTERNAL_CAP, LEAF_CAP, META_SIZE, PAGE_WORDS
from meridian.database.storage._kernels import read_only

__all__ = [
    "HIGH",
    "LEVEL",
    "LOW",
    "PAGE",
    "SEEK_SIZE",
    "children_of",
    "copy_entries",
    "fill_leaves",
    "fill_nodes",
    "key_counts",
    "merge_leaf",
    "seek",
    "warmup",
]

U8 = npt.NDArray[np.uint8]
U32 = npt.NDArray[np.uint32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
Int = Any  # int in Python, int64 when compiled

PAGE = 0  # places in the state of `seek`: where it goes on
LEVEL = 1
LOW = 2  # of the leaves found: the first key that may be in them
HIGH = 3  # the first key that may not
SEEK_SIZE = 4

_MAGIC = np.uint32(0x31524F4F)  # "OOR1"
_INDEX = 2
_KEYS = 8  # words before the keys


@njit(cache=True, nogil=True, inline="always")
def _head(words: U32, base: Int, size: Int, page_id: Int, count: Int, level: Int) -> None:
    """Make the page at word `base`, of `size` words, an empty node with `count` keys."""
    words[base : base + size] = 0
    size_bytes = 4 * size
    words[base] = _MAGIC
    words[base + 1] = page_id
    words[base + 2] = _INDEX | count << 8 | (size_bytes & 0xFF) << 24
    words[base + 3] = size_bytes >> 8
    words[base + 4] = (level == 0) << 8 | count << 16
    words[base + 7] = level


@njit(cache=True, nogil=True)
def fill_leaves(
    words: U32,
    meta: I64,
    frames: I32,
    page_ids: I64,
    starts: I64,
    keys: U32,
    rids: U64,
    before: Int,
    after: Int,
) -> None:
    """Make leaf `g` of ``keys[starts[g]:starts[g + 1]]``, in ``frames[g]``, page ``page_ids[g]``.

    They are linked as neighbours; `before` and `after` are the leaves around them, 0 for none.
    """
    size, room = meta[PAGE_WORDS], meta[LEAF_CAP]
    halves = words.view(np.uint16)
    last = len(frames) - 1
    for g in range(last + 1):
        base = np.int64(frames[g]) * size
        start = starts[g]
        count = starts[g + 1] - start
        _head(words, base, size, page_ids[g], count, 0)
        words[base + 5] = page_ids[g + 1] if g < last else after
        words[base + 6] = page_ids[g - 1] if g else before
        at = base + _KEYS
        for i in range(count):
            words[at + i] = keys[start + i]
        at += room
        for i in range(count):
            words[at + i] = np.uint32(rids[start + i] >> np.uint64(16))
        at = 2 * (at + room)
        for i in range(count):
            halves[at + i] = np.uint16(rids[start + i])


@njit(cache=True, nogil=True)
def merge_leaf(
    words: U32, meta: I64, frame: Int, keys: U32, rids: U64, out_keys: U32, out_rids: U64
) -> Int:
    """Merge the entries of a leaf with sorted `keys`, which win over equal ones; how many it is."""
    room = meta[LEAF_CAP]
    base = np.int64(frame) * meta[PAGE_WORDS]
    count = np.int64(words[base + 4]) >> 16
    if count > room or count + len(keys) > len(out_keys):
        return np.int64(0)
    i = j = made = np.int64(0)
    while i < count or j < len(keys):
        if i < count and (j == len(keys) or words[base + _KEYS + i] < keys[j]):
            out_keys[made] = words[base + _KEYS + i]
            out_rids[made] = np.uint64(packed_rid(words, base, room, i))
            i += 1
        else:
            if i < count and words[base + _KEYS + i] == keys[j]:
                i += 1
            out_keys[made], out_rids[made] = keys[j], rids[j]
            j += 1
        made += 1
    return made


@njit(cache=True, nogil=True)
def fill_nodes(
    words: U32,
    meta: I64,
    frames: I32,
    page_ids: I64,
    starts: I64,
    lowest: U32,
    children: I64,
    level: Int,
) -> None:
    """Make internal node `g` of ``children[starts[g]:starts[g + 1]]``, with their lowest keys."""
    size, room = meta[PAGE_WORDS], meta[INTERNAL_CAP]
    for g in range(len(frames)):
        base = np.int64(frames[g]) * size
        start = starts[g]
        count = starts[g + 1] - start - 1
        _head(words, base, size, page_ids[g], count, level)
        for i in range(count):
            words[base + _KEYS + i] = lowest[start + 1 + i]
        for i in range(count + 1):
            words[base + _KEYS + room + i] = children[start + i]


@njit(cache=True, nogil=True)
def seek(
    words: U32,
    table: I32,
    refs: U8,
    meta: I64,
    lo: Int,
    hi: Int,
    back: Int,
    out: I64,
    state: I64,
) -> Int:
    """Go down from where `state` says to the leaf for `lo` and those after it, up to `hi`.

    As many as `out` has places and one node names are found; their number is returned. Going
    `back` it is the one leaf for `hi`. -1 for a node that is not in memory: `state` names it.
    """
    room = meta[INTERNAL_CAP]
    key = hi if back else lo
    while True:
        page_id, level = state[PAGE], state[LEVEL]
        base = enter(words, table, refs, meta, page_id, level)
        if base < 0:
            return base
        if level == 0:
            out[0] = page_id
            return np.int64(1)
        count = np.int64(words[base + 4]) >> 16
        i = upper_bound(words, base + _KEYS, count, key)
        found = np.int64(1)
        if level == 1 and not back:
            found += upper_bound(words, base + _KEYS + i, count - i, hi)
            if found > len(out):
                found = np.int64(len(out))
        if i > 0:
            state[LOW] = max(state[LOW], np.int64(words[base + _KEYS + i - 1]))
        if i + found - 1 < count:
            state[HIGH] = min(state[HIGH], np.int64(words[base + _KEYS + i + found - 1]))
        for j in range(found):
            out[j] = words[base + _KEYS + room + i + j]
            if out[j] == 0:
                return -(np.int64(BAD_CHILD) << RULE) - page_id
        if level == 1:
            return found
        state[PAGE], state[LEVEL] = out[0], level - 1


@njit(cache=True, nogil=True)
def copy_entries(
    words: U32,
    table: I32,
    refs: U8,
    meta: I64,
    page_ids: I64,
    lo: Int,
    hi: Int,
    keys: U32,
    rids: U64,
    state: I64,
    first: Int,
    stop: Int,
) -> Int:
    """Copy the entries of leaves from `lo` to `hi` to the end of `keys` and `rids`.

    `state[DONE]` counts them; halts at a leaf for which there is no room.
    """
    room = meta[LEAF_CAP]
    halves = words.view(np.uint16)
    state[WHY] = RAN
    done = state[DONE]
    for g in range(first, stop):
        base = enter(words, table, refs, meta, page_ids[g], 0)
        if base < 0:
            state[WHY], state[DONE] = MISSING, done
            return np.int64(g) if base == -1 else base
        count = np.int64(words[base + 4]) >> 16
        start = upper_bound(words, base + _KEYS, count, lo - 1) if lo else np.int64(0)
        some = upper_bound(words, base + _KEYS + start, count - start, hi)
        if done + some > len(keys):
            state[WHY], state[DONE] = HALTED, done
            return np.int64(g)
        at = base + _KEYS + start
        for i in range(some):
            keys[done + i] = words[at + i]
        at += room
        slots = 2 * (base + _KEYS + 2 * room) + start
        for i in range(some):
            rids[done + i] = np.uint64(words[at + i]) << np.uint64(16) | np.uint64(
                halves[slots + i]
            )
        done += some
    state[DONE] = done
    return np.int64(stop)


@njit(cache=True, nogil=True)
def children_of(
    words: U32,
    table: I32,
    refs: U8,
    meta: I64,
    page_ids: I64,
    level: Int,
    out: I64,
    state: I64,
    first: Int,
    stop: Int,
) -> Int:
    """Copy the children of internal nodes to the end of `out`; `state[DONE]` counts them."""
    room = meta[INTERNAL_CAP]
    state[WHY] = RAN
    for g in range(first, stop):
        base = enter(words, table, refs, meta, page_ids[g], level)
        if base < 0:
            state[WHY] = MISSING
            return np.int64(g) if base == -1 else base
        count = np.int64(words[base + 4]) >> 16
        for i in range(count + 1):
            out[state[DONE] + i] = words[base + _KEYS + room + i]
        state[DONE] += count + 1
    return np.int64(stop)


@njit(cache=True, nogil=True)
def key_counts(
    words: U32,
    table: I32,
    refs: U8,
    meta: I64,
    page_ids: I64,
    level: Int,
    out: I64,
    state: I64,
    first: Int,
    stop: Int,
) -> Int:
    """How many keys each node has, to ``out[g]``."""
    state[WHY] = RAN
    for g in range(first, stop):
        base = enter(words, table, refs, meta, page_ids[g], level)
        if base < 0:
            state[WHY] = MISSING
            return np.int64(g) if base == -1 else base
        out[g] = np.int64(words[base + 4]) >> 16
    return np.int64(stop)


def warmup() -> None:
    """Compile every kernel for the types it is called with, or load it from the cache."""
    words, meta = np.zeros(128, np.uint32), np.zeros(META_SIZE, np.int64)
    table, refs = np.zeros(1, np.int32), np.zeros(1, np.uint8)
    memory = (words, table, refs, meta)
    keys, rids = np.zeros(1, np.uint32), np.zeros(1, np.uint64)
    pages, starts = np.zeros(1, np.int64), np.zeros(2, np.int64)
    state = np.zeros(max(STATE_SIZE, SEEK_SIZE), np.int64)
    ascending, packed = read_only(keys), read_only(rids)
    fill_leaves(words, meta, table[:0], pages, starts, ascending, packed, 0, 0)
    merge_leaf(words, meta, 0, ascending, packed, keys, rids)
    fill_nodes(words, meta, table[:0], pages, starts, ascending, pages, 1)
    fill_nodes(words, meta, table[:0], pages, starts, keys, pages, 1)
    seek(*memory, 0, 0, False, pages, state)
    copy_entries(*memory, pages, 0, 0, keys, rids, state, 0, 0)
    children_of(*memory, pages, 1, pages, state, 0, 0)
    key_counts(*memory, pages, 1, pages, state, 0, 0)
