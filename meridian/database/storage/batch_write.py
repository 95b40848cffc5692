"""Insert and delete many records per call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from meridian.database.storage import _kernels as kernels
from meridian.database.storage.batch_common import (
    LATCHED_ROWS,
    SHIFT,
    Rids,
    Rows,
    as_records,
    as_rids,
    as_rows,
    by_pages,
    pin_limit,
    pinned,
    raise_status,
)
from meridian.database.storage.errors import CorruptPage, StorageError
from meridian.database.storage.page import HEADER_SIZE, SLOT_SIZE, Buffer, PageType, max_inline
from meridian.database.storage.rid import RecordId

if TYPE_CHECKING:
    from meridian.database.storage.page_manager import PageManager

__all__ = ["delete_many", "insert_many"]


def insert_many(manager: PageManager, given: npt.NDArray[np.generic] | Iterable[Buffer]) -> Rids:
    records = as_records(given)
    rows = as_rows(records)
    rids = np.zeros(len(records), np.uint64)
    done = 0
    try:
        if rows is not None and 0 < rows.shape[1] <= max_inline(manager.file.page_size):
            while done < len(rows):
                with manager._batch_turn:
                    done += _insert_some(manager, rows[done : done + LATCHED_ROWS], rids[done:])
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
    pool, width = manager.pool, rows.shape[1]
    per_page = (manager.file.page_size - HEADER_SIZE) // (width + SLOT_SIZE)
    limit = min(pin_limit(manager), -(-len(rows) // per_page))
    with pool.latch:
        page_ids = manager._space.find(width, limit=limit)
    if not page_ids and not manager.file.free_count and pool.before_flush is None:
        return _append(manager, rows, rids, limit)
    if page_ids:
        frames = pool.fetch_many(page_ids)
    else:
        created = pool._loader.create(limit, PageType.DATA)
        page_ids = [page_id for page_id, _ in created]
        frames = np.array([frame for _, frame in created], np.int32)
    try:
        with pool.latch:
            stored, result = _fill(manager, page_ids, frames, rows, rids)
            pool.stats.hits += max(0, stored - len(page_ids))
            _record(manager, page_ids, result)
    finally:
        pool.unpin_many(frames, dirty=True)
    for page_id, found in zip(page_ids, result, strict=True):
        if found < 0:
            delete_many(manager, rids[:stored])
            raise_status(manager, page_id << 16, -found)
    return stored


def _append(manager: PageManager, rows: Rows, rids: Rids, count: int) -> int:
    """Store rows in new pages behind the last, each written once, full."""
    arena, width = manager.pool.arena, rows.shape[1]
    stored = 0

    def fill(page_ids: range, frames: list[int]) -> None:
        nonlocal stored
        into = np.array(frames, np.int32)
        stored = kernels.fill_pages(arena, into, page_ids.start, rows, rids)

    page_ids = manager.pool._loader.append(count, fill)
    usable = manager.file.page_size - HEADER_SIZE
    per_page = usable // (width + SLOT_SIZE)
    free = np.full(count, usable - per_page * (width + SLOT_SIZE), np.uint16)
    free[-1] = usable - (stored - per_page * (count - 1)) * (width + SLOT_SIZE)
    with manager.pool.latch:
        manager._space.extend(page_ids.start, free)
    return stored


def _fill(
    manager: PageManager,
    page_ids: Sequence[int],
    frames: npt.NDArray[np.int32],
    rows: Rows,
    rids: Rids,
) -> tuple[int, list[int]]:
    ids, result = np.array(page_ids, np.int64), np.zeros(len(page_ids), np.int64)
    arena, reuse = manager.pool.arena, manager.reuse_slots
    stored: int = kernels.insert_rows(arena, frames, ids, rows, rids, reuse, result)
    return stored, result.tolist()


def _record(manager: PageManager, page_ids: Sequence[int], result: list[int]) -> None:
    """Write into the free-space map what the kernel says of each page."""
    for page_id, found in zip(page_ids, result, strict=True):
        if found < 0:
            manager._space.close(page_id)
        else:
            holes = found & 0xFFFF if manager.reuse_slots else 0
            manager._space.add(page_id, found >> 16, holes)
    if result[-1] >= 0:
        manager._space.make_tail(page_ids[-1])


def delete_many(manager: PageManager, rids: npt.NDArray[np.integer] | Sequence[int]) -> int:
    packed = np.unique(as_rids(manager, rids))
    pool, space = manager.pool, manager._space
    deleted = 0
    for todo, page_ids in by_pages(manager, np.arange(len(packed)), packed >> SHIFT):
        some = packed[todo]
        status, lengths = np.zeros(len(some), np.uint8), np.zeros(len(some), np.int64)
        with pinned(manager, page_ids) as frames, pool.latch:
            kernels.delete_rows(pool.arena, pool.page_table, some, status, lengths)
            gone = status == kernels.OK
            for rid, length in zip(some[gone].tolist(), lengths[gone].tolist(), strict=True):
                space.change(rid >> 16, length, int(manager.reuse_slots))
            pool.dirty_bits[frames] |= gone.any()
        deleted += int(gone.sum())
        for i in np.flatnonzero(status > kernels.OTHER).tolist():
            raise_status(manager, int(some[i]), int(status[i]))
            deleted += manager.delete(RecordId.unpack(int(some[i])))
    return deleted


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
