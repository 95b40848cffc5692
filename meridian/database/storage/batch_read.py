"""Look up and scan many records per call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from meridian.database.storage import _kernels as kernels
from meridian.database.storage.batch_common import (
    LATCHED_ROWS,
    SHIFT,
    Rids,
    Rows,
    as_rids,
    by_pages,
    pin_limit,
    pinned,
    raise_status,
)
from meridian.database.storage.rid import RecordId

if TYPE_CHECKING:
    from meridian.database.storage.page_manager import PageManager

__all__ = ["get_many", "scan"]


def get_many(
    manager: PageManager, rids: npt.NDArray[np.integer] | Sequence[int], width: int
) -> tuple[Rows, npt.NDArray[np.bool_]]:
    packed = as_rids(manager, rids)
    if isinstance(width, bool) or not isinstance(width, (int, np.integer)):
        raise TypeError(f"Expected width as int, got {type(width).__name__}")
    if width < 0:
        raise ValueError(f"Expected width >= 0, got {width}")
    pool = manager.pool
    out = np.empty((len(packed), int(width)), np.uint8)  # gets huge pages, unlike `zeros`
    status = np.zeros(len(packed), np.uint8)
    everything = np.arange(len(packed))
    pending = 0
    for start in range(0, len(packed), LATCHED_ROWS):
        todo = everything[start : start + LATCHED_ROWS]
        with pool.latch:
            missed = _get_rows(manager, packed, todo, out, status)
            pool.stats.hits += len(todo) - missed
        pending += missed
    if pending:
        rest = np.flatnonzero(status == kernels.PENDING)
        rest = rest[np.argsort(packed[rest], kind="stable")]
        for todo, page_ids in by_pages(manager, rest, packed[rest] >> SHIFT):
            with pinned(manager, page_ids), pool.latch:
                _get_rows(manager, packed, todo, out, status)
                pool.stats.hits += len(todo) - len(page_ids)
    for i in np.flatnonzero(status > kernels.OTHER).tolist():
        raise_status(manager, int(packed[i]), int(status[i]))
        record = manager.get(RecordId.unpack(int(packed[i])))
        if record is not None and len(record) == width:
            out[i] = np.frombuffer(record, np.uint8)
            status[i] = kernels.OK
    ok = status == kernels.OK
    out[~ok] = 0
    return out, ok


def _get_rows(
    manager: PageManager, rids: Rids, todo: npt.NDArray[np.int64], out: Rows, status: Rows
) -> int:
    pool = manager.pool
    touch = pool._touch
    if touch is not None:  # CLOCK needs no more than the bits that the kernel sets
        for page_id in np.unique(rids[todo] >> SHIFT).tolist():
            frame = pool._frame_of.get(page_id)
            if frame is not None:
                touch(frame)
    missed: int = kernels.get_rows(
        pool.arena, pool.page_table, pool.ref_bits, rids, todo, out, status
    )
    return missed


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
    # Not zeroed: only what the kernel filled is handed out, and `empty` gets huge pages.
    rids, out = np.empty(batch, np.uint64), np.empty((batch, 0), np.uint8)
    filled = 0
    ahead = page_ids[:0]  # pages to bring into memory
    stop = kernels.PENDING
    while stop != kernels.OK:
        with pinned(manager, ahead, scan=True), pool.latch:
            before = int(cursor[0])
            count, stop = kernels.scan_rows(
                pool.arena, pool.page_table, page_ids, cursor, rids[filled:], out[filled:]
            )
            pool.stats.hits += max(0, int(cursor[0]) - before - len(ahead))
        ahead = ahead[:0]
        filled += count
        if stop == kernels.PENDING:
            ahead = page_ids[cursor[0] :][: pin_limit(manager)]
            continue
        if filled:
            yield rids[:filled], out[:filled]
            rids, filled = np.empty(batch, np.uint64), 0
            out = np.empty_like(out)
        if stop == kernels.OTHER:
            out = np.empty((batch, int(cursor[2])), np.uint8)
        elif stop in (kernels.OVERFLOW, kernels.BAD_SLOT):
            rid = int(page_ids[cursor[0]]) << 16 | int(cursor[1])
            raise_status(manager, rid, stop)
            record = manager.get(RecordId.unpack(rid))
            cursor[1] += 1
            if record is not None:
                yield np.array([rid], np.uint64), np.frombuffer(record, np.uint8).reshape(1, -1)
