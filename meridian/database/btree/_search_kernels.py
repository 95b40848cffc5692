# mypy: disallow-untyped-decorators=False
"""Searching in the pages where they lie, compiled.

Kernels see the tree as `TreeMeta.array` and the pool's arena as one ``uint32`` array, whose address
is in it; callers hold the pool's latch, so that no page moves and no byte changes meanwhile. What
a kernel cannot know from memory it answers with a number below -1: the page that has to be loaded,
or the rule that a page breaks. Nothing read from a page is trusted: an index is used only after it
was compared with the room in its page. Each kernel has a plain-Python twin, its ``py_func``.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import carray, njit, types  # type: ignore[attr-defined]
from numba.core import cgutils
from numba.extending import intrinsic, overload

from meridian.database.btree.tree_meta import (
    ARENA,
    FRAMES,
    HEIGHT,
    HITS,
    INTERNAL_CAP,
    LEAF_CAP,
    META_SIZE,
    MISS_LEVEL,
    NEXT_LEVEL,
    NEXT_PAGE,
    PAGE_WORDS,
    PATH,
    PATH_STEP,
    REFS,
    ROOT,
    SEEN,
    TABLE,
    TABLE_SIZE,
)

__all__ = [
    "ABSENT",
    "arena_words",
    "BAD_CHILD",
    "BAD_COUNT",
    "BAD_LEVEL",
    "BAD_TYPE",
    "RULE",
    "bytes_at",
    "get",
    "direct",
    "get_from",
    "packed_rid",
    "table_at",
    "upper_bound",
    "walk",
    "warmup",
    "words_at",
]

U8 = npt.NDArray[np.uint8]
U32 = npt.NDArray[np.uint32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
Int = Any  # int in Python, int64 when compiled

ABSENT = -1
# Below: -1 - page for a page that is not in memory, -(rule << RULE) - page for a broken rule.
RULE = 40
BAD_TYPE = 1  # no index page
BAD_LEVEL = 2  # not the level, or not the kind of node, that belongs here
BAD_COUNT = 3  # more keys than there is room
BAD_CHILD = 4  # page 0 as a child

_INDEX = 2
_KEYS = 8  # words before the keys


def table_at(address: Int, size: Int) -> I32:
    """The `size` int32 at `address`."""
    there = (ctypes.c_int32 * int(size)).from_address(int(address))
    return np.frombuffer(memoryview(there).cast("B"), np.int32)


def bytes_at(address: Int, size: Int) -> U8:
    """The `size` bytes at `address`."""
    there = (ctypes.c_uint8 * int(size)).from_address(int(address))
    return np.frombuffer(memoryview(there).cast("B"), np.uint8)


def words_at(address: Int, size: Int) -> U32:
    """The `size` uint32 at `address`."""
    there = (ctypes.c_uint32 * int(size)).from_address(int(address))
    return np.frombuffer(memoryview(there).cast("B"), np.uint32)


def _type_pointer(_context: Any, address: Any) -> Any:
    def emit(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        return builder.inttoptr(values[0], cgutils.voidptr_t)

    return types.voidptr(address), emit


_pointer: Any = intrinsic(_type_pointer)


@overload(table_at, strict=False)
def _table_compiled(address: Any, size: Any) -> Any:  # noqa: ARG001
    return lambda address, size: carray(_pointer(address), (size,), np.int32)


@overload(bytes_at, strict=False)
def _bytes_compiled(address: Any, size: Any) -> Any:  # noqa: ARG001
    return lambda address, size: carray(_pointer(address), (size,), np.uint8)


@overload(words_at, strict=False)
def _words_compiled(address: Any, size: Any) -> Any:  # noqa: ARG001
    return lambda address, size: carray(_pointer(address), (size,), np.uint32)


@njit(cache=True, nogil=True, inline="always")
def arena_words(meta: I64) -> U32:
    """The pool's arena."""
    return words_at(meta[ARENA], meta[FRAMES] * meta[PAGE_WORDS])


@njit(cache=True, nogil=True, inline="always")
def upper_bound(words: U32, start: Int, count: Int, key: Int) -> Int:
    """How many of the `count` ascending keys from word `start` are not above `key`.

    Halves without a branch that a processor could guess wrong.
    """
    at, left = np.uint64(start), count
    while left > 1:
        half = left >> 1
        at += np.uint64(half) * np.uint64(words[at + np.uint64(half - 1)] <= key)
        left -= half
    if left == 1 and words[at] <= key:
        at += np.uint64(1)
    return np.int64(at) - start


@njit(cache=True, nogil=True, inline="always")
def packed_rid(words: U32, base: Int, room: Int, i: Int) -> Int:
    """The packed record id of entry `i` of the leaf at word `base`."""
    page = np.int64(words[base + _KEYS + room + i])
    slots = np.int64(words[base + _KEYS + 2 * room + (i >> 1)])
    return page << 16 | (slots >> 16 * (i & 1)) & 0xFFFF


@njit(cache=True, nogil=True, inline="always")
def _enter(words: U32, meta: I64, table: I32, refs: U8, page_id: Int, level: Int) -> Int:
    """The first word of node `page_id`, which should be of `level`; below 0 if it is not there."""
    frame = np.int64(table[page_id]) if page_id < len(table) else np.int64(-1)
    if frame < 0 or frame >= len(refs):
        return -1 - page_id
    refs[frame] = 1
    base = frame * meta[PAGE_WORDS]
    if words[base + 2] & 0xFF != _INDEX:
        return -(BAD_TYPE << RULE) - page_id
    fields = np.int64(words[base + 4])
    if np.int64(words[base + 7]) & 0xFF != level or (fields >> 8 & 0xFF) != (level == 0):
        return -(BAD_LEVEL << RULE) - page_id
    if fields >> 16 > (meta[INTERNAL_CAP] if level else meta[LEAF_CAP]):
        return -(BAD_COUNT << RULE) - page_id
    return base


@njit(cache=True, nogil=True)
def get_from(meta: I64, key: Int, page_id: Int, level: Int) -> Int:
    """The packed record id of `key`, sought from node `page_id` of `level` down; `ABSENT`; or
    a number below for a page that is not in memory (its level is then noted) or not sound."""
    words = arena_words(meta)
    table = table_at(meta[TABLE], meta[TABLE_SIZE])
    refs = bytes_at(meta[REFS], meta[FRAMES])
    room = meta[INTERNAL_CAP]
    meta[MISS_LEVEL] = -1
    top = level
    while True:
        base = _enter(words, meta, table, refs, page_id, level)
        meta[HITS] = top - level + (base >= 0)
        if base < 0:
            meta[MISS_LEVEL] = level
            return base
        meta[SEEN + level] = page_id
        count = np.int64(words[base + 4]) >> 16
        i = upper_bound(words, base + _KEYS, count, key)
        if level == 0:
            break
        child = np.int64(words[base + _KEYS + room + i])
        if child == 0:
            return -(BAD_CHILD << RULE) - page_id
        page_id = child
        level -= 1
    if i == 0 or words[base + _KEYS + i - 1] != key:
        return np.int64(ABSENT)
    return packed_rid(words, base, meta[LEAF_CAP], i - 1)


@njit(cache=True, nogil=True)
def get(meta: I64, key: Int) -> Int:
    """`get_from` the root."""
    if meta[HEIGHT] == 0:
        meta[HITS] = 0
        return np.int64(ABSENT)
    found = get_from(meta, key, meta[ROOT], meta[HEIGHT] - 1)
    if found < ABSENT:
        meta[HITS] = 0  # the lookup begins anew, page by page, and counts them then
    return found


@njit(cache=True, nogil=True)
def walk(words: U32, meta: I64, key: Int) -> Int:
    """Go to the leaf for `key`, from where the last walk stopped or from the root; note the path.

    Returns the leaf's first word, or a number below 0 as `get_from`. The position noted for the
    leaf is that of the first entry above `key`.
    """
    table = table_at(meta[TABLE], meta[TABLE_SIZE])
    refs = bytes_at(meta[REFS], meta[FRAMES])
    room = meta[INTERNAL_CAP]
    page_id, level = meta[NEXT_PAGE], meta[NEXT_LEVEL]
    counted = page_id != 0  # it was fetched, to go on there
    if page_id == 0:
        page_id, level = meta[ROOT], meta[HEIGHT] - 1
    top = level
    while True:
        base = _enter(words, meta, table, refs, page_id, level)
        meta[HITS] = max(top - level + (base >= 0) - counted, 0)
        if base < 0:
            meta[NEXT_PAGE], meta[NEXT_LEVEL] = page_id, level
            return base
        count = np.int64(words[base + 4]) >> 16
        i = upper_bound(words, base + _KEYS, count, key)
        step = PATH + PATH_STEP * level
        meta[step], meta[step + 1], meta[step + 2] = page_id, i, count
        if level == 0:
            meta[NEXT_PAGE] = 0
            return base
        child = np.int64(words[base + _KEYS + room + i])
        if child == 0:
            meta[NEXT_PAGE] = 0
            return -(BAD_CHILD << RULE) - page_id
        page_id = child
        level -= 1


def direct(kernel: Any) -> Any:
    """The compiled function of a kernel that was called before, always with the same types.

    Numba's dispatcher finds out the types of the arguments in every call, a fifth of what a
    lookup takes. Without a compiler the kernel itself.
    """
    compiled = list(getattr(kernel, "overloads", {}).values())
    return compiled[0].entry_point if len(compiled) == 1 else kernel


def warmup() -> None:
    """Compile every kernel for the types it is called with, or load it from the cache."""
    words, meta = np.zeros(128, np.uint32), np.zeros(META_SIZE, np.int64)
    table, refs = np.zeros(1, np.int32), np.zeros(1, np.uint8)
    meta[PAGE_WORDS], meta[TABLE_SIZE], meta[FRAMES] = 128, 1, 1
    meta[TABLE], meta[REFS], meta[ARENA] = table.ctypes.data, refs.ctypes.data, words.ctypes.data
    get(meta, 0)
    get_from(meta, 0, 0, 0)
    walk(words, meta, 0)
