# mypy: disallow-untyped-decorators=False
"""Entries put into leaves and taken out of them where they lie, compiled.

The rules are those of `_search_kernels`; callers hold the tree's latch for writing as well. Only
changes inside one leaf are made here; what needs more pages is answered with `MORE`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from meridian.database.btree._search_kernels import ABSENT, arena_words, bytes_at, packed_rid, walk
from meridian.database.btree.tree_meta import (
    COUNT,
    DIRTY,
    FRAMES,
    HEIGHT,
    HITS,
    LEAF_CAP,
    LEAF_FLOOR,
    LEAF_LIMIT,
    META_SIZE,
    PAGE_WORDS,
    PATH,
    VERSION,
)

__all__ = ["MORE", "move", "put", "set_count", "set_rid", "take", "warmup"]

U32 = npt.NDArray[np.uint32]
I64 = npt.NDArray[np.int64]
Array = npt.NDArray[Any]
Int = Any  # int in Python, int64 when compiled

MORE = -(1 << 62)  # other pages have to change first

_KEYS = 8  # words before the keys


def move(array: Array, to: Int, start: Int, count: Int) -> None:
    """``array[to : to + count] = array[start : start + count]``, which may overlap."""
    array[to : to + count] = array[start : start + count].copy()


def _type_memmove(_context: Any, array: Any, to: Any, start: Any, count: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, values[0]).data
        size = context.get_abi_sizeof(context.get_value_type(signature.args[0].dtype))
        cgutils.raw_memmove(  # type: ignore[no-untyped-call]
            builder, builder.gep(data, [values[1]]), builder.gep(data, [values[2]]), values[3], size
        )
        return context.get_dummy_value()

    return types.void(array, to, start, count), emit


_memmove: Any = intrinsic(_type_memmove)


@overload(move, strict=False)
def _move_compiled(array: Any, to: Any, start: Any, count: Any) -> Any:  # noqa: ARG001
    # The C library's memmove: numba copies what overlaps to new memory first.
    return lambda array, to, start, count: _memmove(array, to, start, count)


@njit(cache=True, nogil=True, inline="always")
def set_count(words: U32, base: Int, count: Int) -> None:
    """The node at word `base` has `count` keys: in its own field and in the page's header."""
    words[base + 2] = (words[base + 2] & np.uint32(0xFF0000FF)) | np.uint32(count << 8)
    words[base + 4] = (words[base + 4] & np.uint32(0xFFFF)) | np.uint32(count << 16)


@njit(cache=True, nogil=True, inline="always")
def set_rid(words: U32, base: Int, room: Int, i: Int, rid: Int) -> None:
    """Entry `i` of the leaf at word `base` gets the packed record id `rid`."""
    words[base + _KEYS + room + i] = np.uint32(rid >> 16)
    words.view(np.uint16)[2 * (base + _KEYS + 2 * room) + i] = np.uint16(rid & 0xFFFF)


@njit(cache=True, nogil=True, inline="always")
def _shift(words: U32, base: Int, room: Int, to: Int, start: Int, count: Int) -> None:
    """Move `count` entries of a leaf from position `start` to position `to`."""
    move(words, base + _KEYS + to, base + _KEYS + start, count)
    move(words, base + _KEYS + room + to, base + _KEYS + room + start, count)
    slots = 2 * (base + _KEYS + 2 * room)
    move(words.view(np.uint16), slots + to, slots + start, count)


@njit(cache=True, nogil=True, inline="always")
def _note(meta: I64, base: Int, added: Int) -> None:
    """The leaf at word `base` has changed."""
    bytes_at(meta[DIRTY], meta[FRAMES])[base // meta[PAGE_WORDS]] = 1
    meta[COUNT] += added
    meta[VERSION] += 1


@njit(cache=True, nogil=True)
def put(meta: I64, key: Int, rid: Int, replace: Int) -> Int:
    """Give `key` the packed record id `rid`; if it has one, only if `replace`.

    Returns the id it had, `ABSENT` if it is new, `MORE` if its leaf is full or there is none, or
    a number as `walk` does.
    """
    if meta[HEIGHT] == 0:
        meta[HITS] = 0
        return np.int64(MORE)
    words = arena_words(meta)
    base = walk(words, meta, key)
    if base < 0:
        return base
    i, count, room = meta[PATH + 1], meta[PATH + 2], meta[LEAF_CAP]
    if i > 0 and words[base + _KEYS + i - 1] == key:
        old = packed_rid(words, base, room, i - 1)
        if replace:
            set_rid(words, base, room, i - 1, rid)
            _note(meta, base, 0)
        return old
    if count >= meta[LEAF_LIMIT] or count >= room:
        return np.int64(MORE)
    _shift(words, base, room, i + 1, i, count - i)
    words[base + _KEYS + i] = np.uint32(key)
    set_rid(words, base, room, i, rid)
    set_count(words, base, count + 1)
    _note(meta, base, 1)
    return np.int64(ABSENT)


@njit(cache=True, nogil=True)
def take(meta: I64, key: Int) -> Int:
    """Remove `key`; return the packed record id it had, or `ABSENT`.

    `MORE` if its leaf would get too small; other numbers as `walk`.
    """
    if meta[HEIGHT] == 0:
        meta[HITS] = 0
        return np.int64(ABSENT)
    words = arena_words(meta)
    base = walk(words, meta, key)
    if base < 0:
        return base
    i, count, room = meta[PATH + 1], meta[PATH + 2], meta[LEAF_CAP]
    if i == 0 or words[base + _KEYS + i - 1] != key:
        return np.int64(ABSENT)
    if count == 1 or (count <= meta[LEAF_FLOOR] and meta[HEIGHT] > 1):
        return np.int64(MORE)
    old = packed_rid(words, base, room, i - 1)
    _shift(words, base, room, i - 1, i, count - i)
    set_count(words, base, count - 1)
    _note(meta, base, -1)
    return old


def warmup() -> None:
    """Compile every kernel for the types it is called with, or load it from the cache."""
    meta = np.zeros(META_SIZE, np.int64)
    put(meta, 0, 0, True)  # to a tree without pages
    take(meta, 0)
