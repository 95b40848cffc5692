"""Batch work on the pool's arena, compiled.

A kernel takes the arena and the tables as arguments, never as globals: numba freezes a global
array at compile time. A kernel that meets a page that is not in memory says so and is called again
when it is. Callers hold the pool's latch, so no page moves meanwhile; the GIL is free. Each kernel
has a plain-Python twin, its ``py_func``, which tests compare with it.

Nothing read from a page is trusted: a slot is used only if it lies inside its page.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, overload

__all__ = [
    "BAD_SLOT",
    "BAD_TYPE",
    "FULL",
    "MISSING",
    "OK",
    "OTHER",
    "OVERFLOW",
    "PENDING",
    "delete_rows",
    "fill_pages",
    "get_rows",
    "insert_rows",
    "read_only",
    "scan_rows",
    "warmup",
]

U8 = npt.NDArray[np.uint8]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
Int = Any  # int in Python, int64 when compiled
Scalar = TypeVar("Scalar", bound=np.generic)

# What became of one record, or why a kernel stopped.
PENDING = 0  # its page is not in memory
OK = 1
MISSING = 2  # no such record
OTHER = 3  # a record of another width
OVERFLOW = 4  # a stub: the caller follows the chain
BAD_TYPE = 5  # not a data page
BAD_SLOT = 6  # the slot directory is corrupt
FULL = 7

_DATA = 1
_TOMBSTONE = 0xFFFF
_MAGIC = np.frombuffer(b"OOR1", np.uint8)


@njit(cache=True, nogil=True)
def _u16(page: U8, at: Int) -> Int:
    i = np.uint64(at)
    return np.int64(page[i]) | np.int64(page[i + np.uint64(1)]) << 8


@njit(cache=True, nogil=True)
def _put_u16(page: U8, at: Int, value: Int) -> None:
    page[at] = value & 0xFF
    page[at + 1] = value >> 8


def _copy(target: U8, at: Int, source: U8, start: Int, length: Int) -> None:
    """``target[at : at + length] = source[start : start + length]``, for two flat arrays."""
    target[at : at + length] = source[start : start + length]


def _type_memcpy(_context: Any, target: Any, at: Any, source: Any, start: Any, length: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        to, at, come_from, start, length = values
        make = (context.make_array(signature.args[0]), context.make_array(signature.args[2]))
        to_data = builder.gep(make[0](context, builder, to).data, [at])
        from_data = builder.gep(make[1](context, builder, come_from).data, [start])
        cgutils.raw_memcpy(builder, to_data, from_data, length, 1)  # type: ignore[no-untyped-call]
        return context.get_dummy_value()

    return types.void(target, at, source, start, length), emit


_memcpy: Any = intrinsic(_type_memcpy)


@overload(_copy, strict=False)
def _copy_compiled(target: Any, at: Any, source: Any, start: Any, length: Any) -> Any:  # noqa: ARG001
    # The C library's memcpy: a compiled loop over bytes takes 1.5 times as long.
    return lambda target, at, source, start, length: _memcpy(target, at, source, start, length)


@njit(cache=True, nogil=True, inline="always")
def _entry(page: U8, count: Int, slot: Int) -> tuple[Int, Int, Int]:
    """(status, offset, length) of `slot`, one of `count` whose directory lies inside the page."""
    offset = _u16(page, 17 + 4 * slot)
    if offset == _TOMBSTONE:
        return MISSING, 0, 0
    raw = _u16(page, 19 + 4 * slot)
    length = raw & 0x7FFF
    if offset < 17 + 4 * count or offset + length > len(page):
        return BAD_SLOT, 0, 0
    return (OVERFLOW if raw != length else OK), offset, length


@njit(cache=True, nogil=True, inline="always")
def _find(page: U8, slot: Int) -> tuple[Int, Int, Int]:
    """(status, offset, length) of `slot` in a page."""
    if page[8] != _DATA:
        return BAD_TYPE, 0, 0
    count = _u16(page, 9)
    if slot >= count:
        return MISSING, 0, 0
    if 17 + 4 * count > len(page):
        return BAD_SLOT, 0, 0
    return _entry(page, count, slot)


@njit(cache=True, nogil=True)
def get_rows(
    arena: U8, page_table: I32, ref_bits: U8, rids: U64, todo: I64, out: U8, status: U8
) -> int:
    """Copy the records ``rids[todo]`` into the rows ``out[todo]``, and say in `status` how it went.

    Returns how many stay `PENDING`.
    """
    width = out.shape[1]
    flat = out.reshape(-1)
    pending = 0
    for i in todo:
        page_id = np.int64(rids[i] >> np.uint64(16))
        frame = page_table[page_id] if page_id < len(page_table) else -1
        if frame < 0:
            pending += 1
            continue
        page = arena[frame]
        ref_bits[frame] = 1
        found, offset, length = _find(page, np.int64(rids[i] & np.uint64(0xFFFF)))
        if found == OK and length != width:
            found = OTHER
        if found == OK:
            _copy(flat, i * width, page, offset, width)
        status[i] = found
    return pending


@njit(cache=True, nogil=True)
def delete_rows(arena: U8, page_table: I32, rids: U64, status: U8, lengths: I64) -> None:
    """Delete the records `rids`, whose pages are in memory; say how it went, and their lengths."""
    for i in range(len(rids)):
        page = arena[page_table[np.int64(rids[i] >> np.uint64(16))]]
        slot = np.int64(rids[i] & np.uint64(0xFFFF))
        status[i], _, lengths[i] = _find(page, slot)
        if status[i] == OK:
            _put_u16(page, 17 + 4 * slot, _TOMBSTONE)
            _put_u16(page, 19 + 4 * slot, 0)


@njit(cache=True, nogil=True)
def scan_rows(
    arena: U8, page_table: I32, page_ids: I64, cursor: I64, rids: U64, out: U8
) -> tuple[Int, Int]:
    """Copy records of one width, in order, from ``page_ids[cursor[0]]``, slot ``cursor[1]``, on.

    Moves the cursor; ``cursor[2]`` gets the width of the record that it stops at. Returns (rows
    filled, why it stopped): `OK` at the end, `PENDING`, `FULL`, `OTHER`, `OVERFLOW`, `BAD_SLOT`.
    """
    batch, width = out.shape
    flat = out.reshape(-1)
    filled, stop = 0, OK
    k, slot = cursor[0], cursor[1]
    while k < len(page_ids):
        page_id = page_ids[k]
        frame = page_table[page_id] if page_id < len(page_table) else -1
        if frame < 0:
            stop = PENDING
            break
        page = arena[frame]
        count = _u16(page, 9) if page[8] == _DATA else 0
        if slot < count and 17 + 4 * count > len(page):
            stop = BAD_SLOT
            break
        while slot < count:
            found, offset, length = _entry(page, count, slot)
            if found == OK and length == width and filled < batch:
                _copy(flat, filled * width, page, offset, width)
                rids[filled] = np.uint64(page_id) << np.uint64(16) | np.uint64(slot)
                filled += 1
            elif found != MISSING:
                stop = found if found != OK else FULL if length == width else OTHER
                cursor[2] = length
                break
            slot += 1
        if stop != OK:
            break
        k += 1
        slot = 0
    cursor[0], cursor[1] = k, slot
    return filled, stop


@njit(cache=True, nogil=True)
def _compact(page: U8) -> bool:
    """Push all records to the end of the page; ``False``, page unchanged, if they do not fit."""
    count = _u16(page, 9)
    directory_end = 17 + 4 * count
    live = 0
    for slot in range(count):
        found, _, length = _find(page, slot)
        if found == BAD_SLOT:
            return False
        live += length
    if directory_end + live > len(page):
        return False
    old = page.copy()
    end = len(page)
    for slot in range(count):
        found, offset, length = _find(old, slot)
        if found != MISSING:
            end -= length
            _copy(page, end, old, offset, length)
            _put_u16(page, 17 + 4 * slot, end)
    page[directory_end:end] = 0
    _put_u16(page, 11, end)
    return True


@njit(cache=True, nogil=True)
def insert_rows(
    arena: U8, frames: I32, page_ids: I64, rows: U8, rids: U64, reuse: bool, result: I64
) -> int:
    """Put rows into pages, from the first on, as many as fit; return how many were stored.

    ``result[k]`` gets the status of page k: ``free_total << 16 | deleted slots``, or
    ``-BAD_TYPE`` or ``-BAD_SLOT`` for a page that was left as it was.
    """
    count_rows, width = rows.shape
    flat = rows.reshape(-1)
    done = 0
    for k in range(len(frames)):
        page = arena[frames[k]]
        if page[8] != _DATA:
            result[k] = -BAD_TYPE
            continue
        count, start = _u16(page, 9), _u16(page, 11)
        directory_end = 17 + 4 * count
        if not directory_end <= start <= len(page):
            result[k] = -BAD_SLOT
            continue
        free, holes = len(page) - directory_end, 0
        sound = True
        for slot in range(count):
            found, _, length = _find(page, slot)
            free -= length
            if found == MISSING:
                holes += 1
            elif found == BAD_SLOT:
                sound = False
        if not sound or free < 0:
            result[k] = -BAD_SLOT
            continue
        hole = 0
        while done < count_rows:
            reused = reuse and holes > 0
            if free < width + (0 if reused else 4):
                break
            if start - width < directory_end + (0 if reused else 4):
                _compact(page)
                start = _u16(page, 11)
            slot = count
            if reused:
                while _u16(page, 17 + 4 * hole) != _TOMBSTONE:
                    hole += 1
                slot = hole
                holes -= 1
            else:
                count += 1
                directory_end += 4
                free -= 4
            start -= width
            free -= width
            _copy(page, start, flat, done * width, width)
            _put_u16(page, 17 + 4 * slot, start)
            _put_u16(page, 19 + 4 * slot, width)
            _put_u16(page, 9, count)
            _put_u16(page, 11, start)
            rids[done] = np.uint64(page_ids[k]) << np.uint64(16) | np.uint64(slot)
            done += 1
        result[k] = free << 16 | holes
    return done


@njit(cache=True, nogil=True)
def fill_pages(arena: U8, frames: I32, first: Int, rows: U8, rids: U64) -> int:
    """Make the data pages `first`, `first` + 1, ... in `frames`, whatever was there before.

    Each takes as many rows as it can. Returns how many were stored. Not sealed.
    """
    count_rows, width = rows.shape
    size = arena.shape[1]
    flat = rows.reshape(-1)
    done = 0
    for k in range(len(frames)):
        page, page_id = arena[frames[k]], first + k
        count = min((size - 17) // (width + 4), count_rows - done)
        start = size - count * width
        page[:4] = _MAGIC
        for i in range(4):
            page[4 + i] = page_id >> 8 * i & 0xFF
        page[8] = _DATA
        _put_u16(page, 9, count)
        _put_u16(page, 11, start)
        page[13:start] = 0
        for slot in range(count):
            at = size - (slot + 1) * width
            _copy(page, at, flat, done * width, width)
            _put_u16(page, 17 + 4 * slot, at)
            _put_u16(page, 19 + 4 * slot, width)
            rids[done] = np.uint64(page_id) << np.uint64(16) | np.uint64(slot)
            done += 1
    return done


def warmup() -> None:
    """Compile every kernel for the types it is called with, or load it from the cache."""
    arena = np.zeros((1, 512), np.uint8)
    table, refs = np.zeros(1, np.int32), np.zeros(1, np.uint8)
    rids, indices = np.zeros(1, np.uint64), np.zeros(1, np.int64)
    status, rows = np.zeros(1, np.uint8), np.zeros((1, 1), np.uint8)
    get_rows(arena, table, refs, read_only(rids), indices, rows, status)
    delete_rows(arena, table, rids, status, indices)
    scan_rows(arena, table, indices, np.zeros(3, np.int64), rids, rows)
    insert_rows(arena, table, indices, read_only(rows), rids, True, indices.copy())
    fill_pages(arena, table, 1, read_only(rows), rids)


def read_only(array: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    """A read-only view: what callers give is one type to numba, writable or not."""
    view = array.view()
    view.flags.writeable = False
    return view
