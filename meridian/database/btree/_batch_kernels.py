# mypy: disallow-untyped-decorators=False
"""Many sorted keys at once, on the pages where they lie, compiled.

A batch goes down the tree one level at a time: each node of a level once, with all the keys that
belong to it. A kernel works through nodes ``page_ids[first:stop]`` and returns the index of the
first one it did not finish: `state[WHY]` says `MISSING` (it is not in memory) or `HALTED` (the
caller has to change other pages first). A number below 0 is a broken rule, as in
`_search_kernels`. Callers hold the pool's latch, and the tree's. Nothing read from a page is
trusted: an index is used only after it was compared with the room in its page. Each kernel has a
plain-Python twin, its ``py_func``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from meridian.database.btree._edit_kernels import move, set_count, set_rid
from meridian.database.btree._search_kernels import (
    BAD_CHILD,
    BAD_COUNT,
    BAD_LEVEL,
    BAD_TYPE,
    RULE,
    packed_rid,
    upper_bound,
)
from meridian.database.btree.tree_meta import (
    COUNT,
    HEIGHT,
    INTERNAL_CAP,
    LEAF_CAP,
    LEAF_FLOOR,
    LEAF_LIMIT,
    META_SIZE,
    PAGE_WORDS,
    VERSION,
)
from meridian.database.storage._kernels import read_only

__all__ = [
    "DONE",
    "HALTED",
    "KEY",
    "MISSING",
    "RAN",
    "STATE_SIZE",
    "WHY",
    "enter",
    "find",
    "put_sorted",
    "route",
    "take_sorted",
    "warmup",
]

U8 = npt.NDArray[np.uint8]
U32 = npt.NDArray[np.uint32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
Int = Any  # int in Python, int64 when compiled

WHY = 0  # places in `state`: why the kernel returned
DONE = 1  # what it has made so far: nodes found, rows copied
KEY = 2  # how many of the sorted keys are done
STATE_SIZE = 3
RAN, MISSING, HALTED = 0, 1, 2

_INDEX = 2
_KEYS = 8  # words before the keys


@njit(cache=True, nogil=True, inline="always")
def enter(words: U32, table: I32, refs: U8, meta: I64, page_id: Int, level: Int) -> Int:
    """The first word of node `page_id`, which should be of `level`; -1 if it is not in memory."""
    frame = np.int64(table[page_id]) if 0 <= page_id < len(table) else np.int64(-1)
    if frame < 0 or frame >= len(refs):
        return np.int64(-1)
    refs[frame] = 1
    base = frame * meta[PAGE_WORDS]
    if np.int64(words[base + 2]) & 0xFF != _INDEX:
        return -(np.int64(BAD_TYPE) << RULE) - page_id
    fields = np.int64(words[base + 4])
    if np.int64(words[base + 7]) & 0xFF != level or (fields >> 8 & 0xFF) != (level == 0):
        return -(np.int64(BAD_LEVEL) << RULE) - page_id
    if fields >> 16 > (meta[INTERNAL_CAP] if level else meta[LEAF_CAP]):
        return -(np.int64(BAD_COUNT) << RULE) - page_id
    return base


@njit(cache=True, nogil=True)
def route(
    words: U32,
    table: I32,
    refs: U8,
    meta: I64,
    keys: U32,
    page_ids: I64,
    starts: I64,
    level: Int,
    below: I64,
    below_starts: I64,
    state: I64,
    first: Int,
    stop: Int,
) -> Int:
    """Hand the sorted keys of each node on to its children.

    The keys of node `g` are ``keys[starts[g]:starts[g + 1]]``. Children that get some, and where
    they start, are added to `below` and `below_starts`, which have a place per key.
    """
    room = meta[INTERNAL_CAP]
    state[WHY] = RAN
    made = state[DONE]
    for g in range(first, stop):
        base = enter(words, table, refs, meta, page_ids[g], level)
        if base < 0:
            state[WHY], state[DONE] = MISSING, made
            return np.int64(g) if base == -1 else base
        count = np.int64(words[base + 4]) >> 16
        at, end, i = starts[g], starts[g + 1], np.int64(0)
        while at < end:
            i += upper_bound(words, base + _KEYS + i, count - i, keys[at])
            child = np.int64(words[base + _KEYS + room + i])
            if child == 0:
                return -(np.int64(BAD_CHILD) << RULE) - page_ids[g]
            below[made], below_starts[made] = child, at
            made += 1
            if i == count:
                break
            fence = words[base + _KEYS + i]
            at += 1
            while at < end and keys[at] < fence:
                at += 1
    state[DONE] = made
    return np.int64(stop)


@njit(cache=True, nogil=True)
def find(
    words: U32,
    table: I32,
    refs: U8,
    meta: I64,
    keys: U32,
    order: U32,
    page_ids: I64,
    starts: I64,
    out: U64,
    state: I64,
    first: Int,
    stop: Int,
) -> Int:
    """Look the sorted keys of each leaf up; the id of ``keys[i]`` goes to ``out[order[i]]``."""
    room = meta[LEAF_CAP]
    state[WHY] = RAN
    for g in range(first, stop):
        base = enter(words, table, refs, meta, page_ids[g], 0)
        if base < 0:
            state[WHY] = MISSING
            return np.int64(g) if base == -1 else base
        count = np.int64(words[base + 4]) >> 16
        at = np.int64(0)  # entries that are not above the last key
        for i in range(starts[g], starts[g + 1]):
            at += upper_bound(words, base + _KEYS + at, count - at, keys[i])
            if at > 0 and words[base + _KEYS + at - 1] == keys[i]:
                out[order[i]] = np.uint64(packed_rid(words, base, room, at - 1))
    return np.int64(stop)


@njit(cache=True, nogil=True, inline="always")
def _shift(words: U32, halves: Any, base: Int, room: Int, to: Int, start: Int, count: Int) -> None:
    """Move `count` entries of a leaf from position `start` to position `to`."""
    if count > 0:
        move(words, base + _KEYS + to, base + _KEYS + start, count)
        move(words, base + _KEYS + room + to, base + _KEYS + room + start, count)
        slots = 2 * (base + _KEYS + 2 * room)
        move(halves, slots + to, slots + start, count)


@njit(cache=True, nogil=True)
def put_sorted(
    words: U32,
    table: I32,
    refs: U8,
    meta: I64,
    dirty: U8,
    keys: U32,
    rids: U64,
    places: I32,
    page_ids: I64,
    starts: I64,
    state: I64,
    first: Int,
    stop: Int,
) -> Int:
    """Merge the sorted, distinct keys of each leaf into it; halt before one that has no room.

    `state[KEY]` is then the number of keys done. `places` is scratch, a place per key.
    """
    room = meta[LEAF_CAP]
    halves = words.view(np.uint16)
    state[WHY] = RAN
    for g in range(first, stop):
        base = enter(words, table, refs, meta, page_ids[g], 0)
        if base < 0:
            state[WHY] = MISSING
            return np.int64(g) if base == -1 else base
        count = np.int64(words[base + 4]) >> 16
        at, end = np.int64(0), starts[g + 1]
        new = np.int64(0)
        for i in range(starts[g], end):
            at += upper_bound(words, base + _KEYS + at, count - at, keys[i])
            here = at > 0 and words[base + _KEYS + at - 1] == keys[i]
            places[i] = -at if here else at  # of an entry that is there, its position plus 1
            new += not here
        if count + new > min(room, meta[LEAF_LIMIT]):
            state[WHY] = HALTED
            return np.int64(g)
        # From the last key down, so that each entry moves once.
        high, left = count, new
        for i in range(end - 1, starts[g] - 1, -1):
            at = np.int64(places[i])
            if at < 0:
                set_rid(words, base, room, -at - 1, np.int64(rids[i]))
                continue
            _shift(words, halves, base, room, at + left, at, high - at)
            left -= 1
            words[base + _KEYS + at + left] = keys[i]
            set_rid(words, base, room, at + left, np.int64(rids[i]))
            high = at
        set_count(words, base, count + new)
        dirty[table[page_ids[g]]] = 1
        state[KEY] = end
        meta[COUNT] += new
        meta[VERSION] += 1
    return np.int64(stop)


@njit(cache=True, nogil=True)
def take_sorted(
    words: U32,
    table: I32,
    refs: U8,
    meta: I64,
    dirty: U8,
    keys: U32,
    page_ids: I64,
    starts: I64,
    state: I64,
    first: Int,
    stop: Int,
) -> Int:
    """Remove the sorted, distinct keys of each leaf from it; halt where it would get too small.

    `state[KEY]` is then the number of keys done; the one at that index is in the leaf.
    """
    room = meta[LEAF_CAP]
    halves = words.view(np.uint16)
    state[WHY] = RAN
    for g in range(first, stop):
        base = enter(words, table, refs, meta, page_ids[g], 0)
        if base < 0:
            state[WHY] = MISSING
            return np.int64(g) if base == -1 else base
        count = np.int64(words[base + 4]) >> 16
        spare = count - (meta[LEAF_FLOOR] if meta[HEIGHT] > 1 else 1)
        at = gone = kept = np.int64(0)  # `kept`: entries up to here stand where they shall
        for i in range(starts[g], starts[g + 1]):
            at += upper_bound(words, base + _KEYS + at, count - at, keys[i])
            if at == 0 or words[base + _KEYS + at - 1] != keys[i]:
                continue
            if gone >= spare:
                state[WHY], state[KEY] = HALTED, i
                break
            # What stands between the last removed entry and this one moves to the left.
            _shift(words, halves, base, room, kept - gone, kept, at - 1 - kept)
            kept = at
            gone += 1
        if gone:
            _shift(words, halves, base, room, kept - gone, kept, count - kept)
            set_count(words, base, count - gone)
            dirty[table[page_ids[g]]] = 1
            meta[COUNT] -= gone
            meta[VERSION] += 1
        if state[WHY] == HALTED:
            return np.int64(g)
        state[KEY] = starts[g + 1]
    return np.int64(stop)


def warmup() -> None:
    """Compile every kernel for the types it is called with, or load it from the cache."""
    words, meta = np.zeros(128, np.uint32), np.zeros(META_SIZE, np.int64)
    memory = (words, np.zeros(1, np.int32), np.zeros(1, np.uint8), meta)
    dirty, places = np.zeros(1, np.uint8), np.zeros(1, np.int32)
    keys, out = read_only(np.zeros(1, np.uint32)), np.zeros(1, np.uint64)
    pages, starts = np.zeros(1, np.int64), np.zeros(2, np.int64)
    state = np.zeros(STATE_SIZE, np.int64)
    route(*memory, keys, pages, starts, 1, pages, starts, state, 0, 0)
    find(*memory, keys, keys, pages, starts, out, state, 0, 0)
    put_sorted(*memory, dirty, keys, read_only(out), places, pages, starts, state, 0, 0)
    take_sorted(*memory, dirty, keys, pages, starts, state, 0, 0)
