"""Many records per call: the page manager's batch operations, on kernels.

The pattern is always the same. Under the latch a kernel does what it can on the pages in memory.
What it could not is grouped by page; those pages are pinned in stretches of at most half the pool,
read together where they are neighbours, and the kernel goes on. One batch at a time holds pins, or
two would leave no frame for each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from meridian.database.storage import _kernels as kernels
from meridian.database.storage.errors import (
    BadPageType,
    BadSlot,
    CorruptPage,
    PageOutOfRange,
    StorageError,
)
from meridian.database.storage.page import HEADER_SIZE, SLOT_SIZE, Buffer, byte_view, max_inline
from meridian.database.storage.rid import RecordId

if TYPE_CHECKING:
    from meridian.database.storage.page_manager import PageManager

__all__ = ["delete_many", "get_many", "insert_many", "scan"]

Rids = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.uint8]

_LATCHED_ROWS = 16384  # rows per kernel call: how long others wait for the latch, about 1 ms
_MAX_PINNED = 256
_SHIFT = np.uint64(16)


def insert_many(manager: PageManager, records: npt.NDArray[np.generic] | Sequence[Buffer]) -> Rids:
    rows = _as_rows(records)
    rids = np.zeros(len(records), np.uint64)
    done = 0
    try:
        if rows is not None and 0 < rows.shape[1] <= max_inline(manager.file.page_size):
            while done < len(rows):
                with manager._batch_turn:
                    done += _insert_some(manager, rows[done : done + _LATCHED_ROWS], rids[done:])
        else:  # of many lengths, empty, or too long for a page
            for record in records if rows is None else map(bytes, rows):
                rids[done] = manager.insert(record).pack()
                done += 1
    except BaseException as error:
        if isinstance(error, CorruptPage):
            with manager.pool.latch:
                manager._space.close(error.page_id)  # told once; the next batch goes elsewhere
        _undo(manager, rids[:done], error)
        raise
    return rids


def _insert_some(manager: PageManager, rows: Rows, rids: Rids) -> int:
    """Fill pages that have room, or else new ones; return how many rows were stored."""
    pool, space, width = manager.pool, manager._space, rows.shape[1]
    per_page = (manager.file.page_size - HEADER_SIZE) // (width + SLOT_SIZE)
    limit = min(_pin_limit(manager), -(-len(rows) // per_page))
    with pool.latch:
        page_ids = space.find(width, limit=limit)
    handles = [] if page_ids else pool.new_pages(limit)
    if handles:
        page_ids = [handle.page_id for handle in handles]
        frames = np.array([handle.frame for handle in handles], np.int32)
    else:
        frames = pool.fetch_many(page_ids)
    ids, result = np.array(page_ids, np.int64), np.zeros(len(page_ids), np.int64)
    stored = 0
    try:
        with pool.latch:
            stored = kernels.insert_rows(
                pool.arena, frames, ids, rows, rids, manager.reuse_slots, result
            )
            pool.stats.hits += max(0, stored - len(page_ids))
            for page_id, found in zip(page_ids, result.tolist(), strict=True):
                if found < 0:
                    space.close(page_id)
                else:
                    space.add(page_id, found >> 16, found & 0xFFFF if manager.reuse_slots else 0)
            if result[-1] >= 0:
                space.make_tail(page_ids[-1])
    finally:
        if handles:
            for handle in handles:
                handle.mark_dirty()
                handle.unpin()
        else:
            pool.unpin_many(frames, dirty=True)
    for page_id, found in zip(page_ids, result.tolist(), strict=True):
        if found < 0:
            delete_many(manager, rids[:stored])
            _raise_status(manager, page_id << 16, -found)
    return stored


def get_many(
    manager: PageManager, rids: npt.NDArray[np.integer] | Sequence[int], width: int
) -> tuple[Rows, npt.NDArray[np.bool_]]:
    packed = _as_rids(manager, rids)
    if isinstance(width, bool) or not isinstance(width, (int, np.integer)):
        raise TypeError(f"Expected width as int, got {type(width).__name__}")
    if width < 0:
        raise ValueError(f"Expected width >= 0, got {width}")
    pool = manager.pool
    out = np.zeros((len(packed), int(width)), np.uint8)
    status = np.zeros(len(packed), np.uint8)
    everything = np.arange(len(packed))
    pending = 0
    for start in range(0, len(packed), _LATCHED_ROWS):
        todo = everything[start : start + _LATCHED_ROWS]
        with pool.latch:
            missed = _get_rows(manager, packed, todo, out, status)
            pool.stats.hits += len(todo) - missed
        pending += missed
    if pending:
        rest = np.flatnonzero(status == kernels.PENDING)
        rest = rest[np.argsort(packed[rest], kind="stable")]
        for todo, page_ids in _by_pages(manager, rest, packed[rest] >> _SHIFT):
            with _pinned(manager, page_ids), pool.latch:
                _get_rows(manager, packed, todo, out, status)
                pool.stats.hits += len(todo) - len(page_ids)
    for i in np.flatnonzero(status > kernels.OTHER).tolist():
        _raise_status(manager, int(packed[i]), int(status[i]))
        record = manager.get(RecordId.unpack(int(packed[i])))
        if record is not None and len(record) == width:
            out[i] = np.frombuffer(record, np.uint8)
            status[i] = kernels.OK
    return out, status == kernels.OK


def _get_rows(
    manager: PageManager, rids: Rids, todo: npt.NDArray[np.int64], out: Rows, status: Rows
) -> int:
    pool = manager.pool
    touch = pool._touch
    if touch is not None:  # CLOCK needs no more than the bits that the kernel sets
        for page_id in np.unique(rids[todo] >> _SHIFT).tolist():
            frame = pool._frame_of.get(page_id)
            if frame is not None:
                touch(frame)
    missed: int = kernels.get_rows(
        pool.arena, pool.page_table, pool.ref_bits, rids, todo, out, status
    )
    return missed


def delete_many(manager: PageManager, rids: npt.NDArray[np.integer] | Sequence[int]) -> int:
    packed = np.unique(_as_rids(manager, rids))
    pool, space = manager.pool, manager._space
    deleted = 0
    for todo, page_ids in _by_pages(manager, np.arange(len(packed)), packed >> _SHIFT):
        some = packed[todo]
        status, lengths = np.zeros(len(some), np.uint8), np.zeros(len(some), np.int64)
        with _pinned(manager, page_ids) as frames, pool.latch:
            kernels.delete_rows(pool.arena, pool.page_table, some, status, lengths)
            gone = status == kernels.OK
            for rid, length in zip(some[gone].tolist(), lengths[gone].tolist(), strict=True):
                space.change(rid >> 16, length, int(manager.reuse_slots))
            pool.dirty_bits[frames] |= gone.any()
        deleted += int(gone.sum())
        for i in np.flatnonzero(status > kernels.OTHER).tolist():
            _raise_status(manager, int(some[i]), int(status[i]))
            deleted += manager.delete(RecordId.unpack(int(some[i])))
    return deleted


def scan(manager: PageManager, batch: int) -> Iterator[tuple[Rids, Rows]]:
    if isinstance(batch, bool) or not isinstance(batch, (int, np.integer)):
        raise TypeError(f"Expected batch as int, got {type(batch).__name__}")
    if batch < 1:
        raise ValueError(f"Expected batch >= 1, got {batch}")
    return _scan(manager, int(batch))


def _scan(manager: PageManager, batch: int) -> Iterator[tuple[Rids, Rows]]:
    pool = manager.pool
    with pool.latch:
        page_ids = manager._space.data_pages()
    cursor = np.zeros(3, np.int64)
    rids, out = np.zeros(batch, np.uint64), np.zeros((batch, 0), np.uint8)
    filled = 0
    ahead = page_ids[:0]  # pages to bring into memory
    stop = kernels.PENDING
    while stop != kernels.OK:
        with _pinned(manager, ahead, scan=True), pool.latch:
            before = int(cursor[0])
            count, stop = kernels.scan_rows(
                pool.arena, pool.page_table, page_ids, cursor, rids[filled:], out[filled:]
            )
            pool.stats.hits += max(0, int(cursor[0]) - before - len(ahead))
        ahead = ahead[:0]
        filled += count
        if stop == kernels.PENDING:
            ahead = page_ids[cursor[0] :][: _pin_limit(manager)]
            continue
        if filled:
            yield rids[:filled], out[:filled]
            rids, filled = np.zeros(batch, np.uint64), 0
            out = np.zeros_like(out)
        if stop == kernels.OTHER:
            out = np.zeros((batch, int(cursor[2])), np.uint8)
        elif stop in (kernels.OVERFLOW, kernels.BAD_SLOT):
            rid = int(page_ids[cursor[0]]) << 16 | int(cursor[1])
            _raise_status(manager, rid, stop)
            record = manager.get(RecordId.unpack(rid))
            cursor[1] += 1
            if record is not None:
                yield np.array([rid], np.uint64), np.frombuffer(record, np.uint8).reshape(1, -1)


@contextmanager
def _pinned(
    manager: PageManager, page_ids: npt.NDArray[np.int64], *, scan: bool = False
) -> Iterator[npt.NDArray[np.int32]]:
    """Pin pages for one kernel call."""
    if not len(page_ids):
        yield np.zeros(0, np.int32)
        return
    with manager._batch_turn:
        frames = manager.pool.fetch_many(page_ids, scan=scan)
        try:
            yield frames
        finally:
            manager.pool.unpin_many(frames)


def _by_pages(
    manager: PageManager, indices: npt.NDArray[np.int64], page_of: npt.NDArray[np.uint64]
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Cut `indices`, ordered by page, into stretches of few enough pages to pin them all."""
    starts = np.flatnonzero(np.diff(page_of, prepend=np.uint64(0)) != 0)
    limit = _pin_limit(manager)
    for first in range(0, len(starts), limit):
        pages = starts[first : first + limit]
        end = starts[first + limit] if first + limit < len(starts) else len(indices)
        yield indices[pages[0] : end], page_of[pages].astype(np.int64)


def _pin_limit(manager: PageManager) -> int:
    """Pages to pin at once: half of what is not pinned already, for others work here too."""
    unpinned = int(np.count_nonzero(manager.pool.pin_counts == 0))
    return max(1, min(unpinned // 2, _MAX_PINNED))


def _as_rows(records: npt.NDArray[np.generic] | Sequence[Buffer]) -> Rows | None:
    """`records` as uint8 (n, width), or ``None`` if they are not all of one width."""
    if isinstance(records, np.ndarray):
        if records.dtype.hasobject:
            raise TypeError("Expected records of plain bytes, got an array of Python objects")
        if records.ndim == 2 and records.dtype == np.uint8:
            return kernels.read_only(np.ascontiguousarray(records))
        if records.ndim != 1:
            raise ValueError(f"Expected one record per row, got an array of shape {records.shape}")
        rows = np.ascontiguousarray(records)
        return kernels.read_only(rows.view(np.uint8).reshape(len(rows), rows.dtype.itemsize))
    if isinstance(records, (bytes, bytearray, memoryview, str)):
        raise TypeError(f"Expected a sequence of records, got one {type(records).__name__}")
    views = [byte_view(record) for record in records]
    if not views or len({len(view) for view in views}) > 1:
        return None
    return np.frombuffer(b"".join(views), np.uint8).reshape(len(views), len(views[0]))


def _as_rids(manager: PageManager, rids: npt.NDArray[np.integer] | Sequence[int]) -> Rids:
    """`rids` as uint64, each with a page that the file has."""
    given = np.asarray(rids)
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
        raise TypeError(f"Expected packed ids in a flat array of ints, got {given.dtype}")
    if given.dtype.kind == "i" and given.size and given.min() < 0:
        raise ValueError(f"Expected packed ids of 48 bits, got {given.min()}")
    packed = kernels.read_only(np.ascontiguousarray(given, np.uint64))
    if len(packed):
        page_ids = packed >> _SHIFT
        for page_id in (int(page_ids.min()), int(page_ids.max())):
            if not 0 < page_id < manager.file.page_count:
                raise PageOutOfRange(page_id, manager.file.page_count)
    return packed


def _raise_status(manager: PageManager, rid: int, status: int) -> None:
    page_id, slot = rid >> 16, rid & 0xFFFF
    if status == kernels.BAD_TYPE:
        with manager.pool.fetch(page_id) as page:
            raise BadPageType(page_id, page.data[8], "a data page")
    if status == kernels.BAD_SLOT:
        raise BadSlot(page_id, slot, "points outside the page's records")


def _undo(manager: PageManager, rids: Rids, error: BaseException) -> None:
    """Take back what a failed call stored; if that fails too, `error` says how much stays."""
    try:
        delete_many(manager, rids)
    except (StorageError, OSError):
        stay = sum(_is_stored(manager, RecordId.unpack(rid)) for rid in rids.tolist())
        error.add_note(f"{stay} records of the batch stay stored")


def _is_stored(manager: PageManager, rid: RecordId) -> bool:
    try:
        return manager.get(rid) is not None
    except (StorageError, OSError):
        return True  # unreadable is not gone
