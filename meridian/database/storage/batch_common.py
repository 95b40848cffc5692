"""What batch operations share: arguments as arrays, and pages pinned in stretches.

The pattern is always the same. Under the latch a kernel does what it can on the pages in memory.
What it could not is grouped by page; those pages are pinned in stretches of at most half the pool,
read together where they are neighbours, and the kernel goes on. One batch at a time holds pins, or
two would leave no frame for each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from meridian.database.storage import _kernels as kernels
from meridian.database.storage.errors import BadPageType, BadSlot, PageOutOfRange
from meridian.database.storage.page import Buffer, byte_view

if TYPE_CHECKING:
    from meridian.database.storage.page_manager import PageManager

__all__ = [
    "LATCHED_ROWS",
    "SHIFT",
    "Rids",
    "Rows",
    "as_records",
    "as_rids",
    "as_rows",
    "by_pages",
    "pin_limit",
    "pinned",
    "raise_status",
]

Rids = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.uint8]

LATCHED_ROWS = 16384  # rows per kernel call: how long others wait for the latch, about 1 ms
SHIFT = np.uint64(16)  # from a packed id to its page
_MAX_PINNED = 256


def as_records(
    records: npt.NDArray[np.generic] | Iterable[Buffer],
) -> npt.NDArray[np.generic] | Sequence[memoryview]:
    """What has an order and plain bytes, as an array or a sequence; `TypeError` for all else."""
    if isinstance(records, np.ndarray):
        if records.dtype.hasobject:
            raise TypeError(f"Expected bytes-like records, got {type(records).__name__} of objects")
        return records
    if isinstance(records, (bytes, bytearray, memoryview, str, Mapping, Set)) or not isinstance(
        records, Iterable
    ):
        raise TypeError(f"Expected a sequence of records, got one {type(records).__name__}")
    return [byte_view(record) for record in records]


def as_rows(records: npt.NDArray[np.generic] | Sequence[memoryview]) -> Rows | None:
    """`records` as uint8 (n, width), or ``None`` if they are not all of one width."""
    if isinstance(records, np.ndarray):
        if records.ndim == 2 and records.dtype == np.uint8:
            return kernels.read_only(np.ascontiguousarray(records))
        if records.ndim != 1:
            fix = ": pass records.view(np.uint8)" if records.ndim == 2 else ""
            raise ValueError(
                f"Expected one record per row, got an array of {records.dtype} "
                f"of shape {records.shape}{fix}"
            )
        rows = np.ascontiguousarray(records)
        return kernels.read_only(rows.view(np.uint8).reshape(len(rows), rows.dtype.itemsize))
    views = records
    if not views or len({len(view) for view in views}) > 1:
        return None
    return np.frombuffer(b"".join(views), np.uint8).reshape(len(views), len(views[0]))


def as_rids(manager: PageManager, rids: npt.NDArray[np.integer] | Sequence[int]) -> Rids:
    """`rids` as uint64, each with a page that the file has."""
    given = np.asarray(rids)
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
        raise TypeError(
            f"Expected packed ids in a flat array of ints, got {given.dtype} of shape {given.shape}"
        )
    if given.dtype.kind == "i" and given.size and given.min() < 0:
        raise ValueError(f"Expected packed ids of 48 bits, got {given.min()}")
    packed = kernels.read_only(np.ascontiguousarray(given, np.uint64))
    if len(packed):
        page_ids = packed >> SHIFT
        for page_id in (int(page_ids.min()), int(page_ids.max())):
            if not 0 < page_id < manager.file.page_count:
                raise PageOutOfRange(page_id, manager.file.page_count)
    return packed


def pin_limit(manager: PageManager) -> int:
    """Pages to pin at once: half of what is not pinned already, for others work here too."""
    unpinned = int(np.count_nonzero(manager.pool.pin_counts == 0))
    return max(1, min(unpinned // 2, _MAX_PINNED))


@contextmanager
def pinned(
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


def by_pages(
    manager: PageManager, indices: npt.NDArray[np.int64], page_of: npt.NDArray[np.uint64]
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Cut `indices`, ordered by page, into stretches of few enough pages to pin them all."""
    starts = np.flatnonzero(np.diff(page_of, prepend=np.uint64(0)) != 0)
    limit = pin_limit(manager)
    for first in range(0, len(starts), limit):
        pages = starts[first : first + limit]
        end = starts[first + limit] if first + limit < len(starts) else len(indices)
        yield indices[pages[0] : end], page_of[pages].astype(np.int64)


def raise_status(manager: PageManager, rid: int, status: int) -> None:
    page_id, slot = rid >> 16, rid & 0xFFFF
    if status == kernels.BAD_TYPE:
        with manager.pool.fetch(page_id) as page:
            raise BadPageType(page_id, page.data[8], "a data page")
    if status == kernels.BAD_SLOT:
        raise BadSlot(page_id, slot, "points outside the page's records")
