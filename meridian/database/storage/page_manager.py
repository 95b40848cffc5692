"""A heap file: records in no order, each under an id that stays until the record is deleted."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from meridian.database.storage.buffer_pool import BufferPool
from meridian.database.storage.errors import PagesLost, PinLeak
from meridian.database.storage.frame_table import check_frames
from meridian.database.storage.free_space import FreeSpaceMap
from meridian.database.storage.heap import Heap, PageInfo
from meridian.database.storage.page import (
    HEADER_SIZE,
    PAGE_SIZE,
    SLOT_SIZE,
    Buffer,
    PageType,
    as_int,
    byte_view,
    check_page_size,
)
from meridian.database.storage.page_file import PageFile
from meridian.database.storage.policies import check_policy
from meridian.database.storage.rid import RecordId
from meridian.database.storage.survey import survey
from meridian.fs import FileSystem, StrPath

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["PageInfo", "PageManager"]

_HEAD = struct.Struct("<BHH")  # at byte 8: page type, slot count, start of the record region
_HEAD_AT = 8
_COUNTS = struct.Struct("<HH")
_COUNTS_AT = 9
_SLOT = struct.Struct("<HH")
_DATA = int(PageType.DATA)
_new_rid = tuple.__new__  # half the cost of RecordId(...)


class PageManager:
    """Store records of any length and find each by its id with one page access.

    Single calls work on the pool's arena under its latch, in plain Python, because a compiled call
    costs more than the work; batch calls hand the same arena to kernels. Every call is safe beside
    the others in threads. A deleted record's slot is used again, and its old id then names another
    record: whoever keeps ids must drop them first, or open with ``reuse_slots=False``.
    """

    def __init__(
        self,
        path: StrPath,
        *,
        frames: int = 64,
        policy: str = "clock",
        page_size: int = PAGE_SIZE,
        create: bool = True,
        reuse_slots: bool = True,
        fs: FileSystem | None = None,
    ) -> None:
        """Open the heap file at `path`; errors as in `PageFile` and `BufferPool`.

        All pages are read once, to find free space. Unreadable ones are listed in `damaged`; they
        take no new records, and reading from them raises `CorruptPage`.
        """
        self.reuse_slots = bool(reuse_slots)
        # Before there is a file: what cannot be opened leaves none behind.
        check_policy(policy), check_frames(frames, check_page_size(page_size))
        self.file = PageFile(path, page_size, create=create, fs=fs)
        try:
            self.pool = BufferPool(self.file, frames, policy)
            self._space = FreeSpaceMap(self.file.page_count)
            self._damaged = survey(self.file, self._space, reuse_slots)
        except BaseException:
            self.file.close()
            raise
        self._heap = Heap(self.pool, self._space, reuse_slots=reuse_slots)
        self._batch_turn = threading.RLock()
        self._page_size = self.file.page_size
        # The hit path's own names, one attribute away.
        self._latch = self.pool.latch
        self._acquire = self.pool.latch.acquire
        self._release = self.pool.latch.release
        table = self.pool._table
        self._arena = table.memory
        self._frame_of = table.frame_of
        self._refs = table.refs
        self._dirty = table.dirty
        self._touch = table.policy.touch
        self._stats = self.pool.stats

    @property
    def damaged(self) -> tuple[int, ...]:
        """Pages that could not be read: on opening, or when one was to be used again."""
        return tuple(dict.fromkeys(self._damaged + self.file.damaged))

    def get(self, rid: RecordId) -> bytes | None:
        """The record under `rid`, or ``None`` if there is none.

        Here and below `rid` is a `RecordId` or a plain tuple ``(page_id, slot)``, of Python's or
        NumPy's integers; anything else is a `TypeError`. Raises `PageOutOfRange` for a page that
        the file does not have, `BadPageType` for one that holds no records, `CorruptPage` for
        damage.
        """
        page_id, slot = rid if type(rid) is RecordId else _parts(rid)
        if type(page_id) is not int or type(slot) is not int:
            page_id, slot = _parts(rid)
        self._acquire()
        try:
            frame = self._frame_of.get(page_id)
            if frame is not None:
                base = frame * self._page_size
                kind, count, _ = _HEAD.unpack_from(self._arena, base + _HEAD_AT)
                records_at = HEADER_SIZE + SLOT_SIZE * count
                if kind == _DATA and 0 <= slot < count and records_at <= self._page_size:
                    slot_at = base + HEADER_SIZE + SLOT_SIZE * slot
                    offset, length = _SLOT.unpack_from(self._arena, slot_at)
                    # A tombstone's offset and an overflow stub's length fail this test too.
                    if records_at <= offset and offset + length <= self._page_size:
                        self._refs[frame] = 1
                        if self._touch is not None:
                            self._touch(frame)
                        self._stats.hits += 1
                        return self._arena[base + offset : base + offset + length]
        finally:
            self._release()
        return self._heap.get(page_id, slot)

    def insert(self, record: Buffer) -> RecordId:
        """Store `record`, bytes-like and of any length, and return its id."""
        data = record if type(record) is bytes else byte_view(record)
        length = len(data)
        space, arena = self._space, self._arena
        while True:
            self._acquire()
            try:
                page_id = space.append_to
                frame = self._frame_of.get(page_id)
                if frame is not None:
                    base = frame * self._page_size
                    kind, count, end = _HEAD.unpack_from(arena, base + _HEAD_AT)
                    slot_at = HEADER_SIZE + SLOT_SIZE * count
                    offset = end - length
                    if kind == _DATA and slot_at + SLOT_SIZE <= offset and end <= self._page_size:
                        arena[base + offset : base + end] = data
                        _SLOT.pack_into(arena, base + slot_at, offset, length)
                        _COUNTS.pack_into(arena, base + _COUNTS_AT, count + 1, offset)
                        space.tail_spent += length + SLOT_SIZE
                        self._dirty[frame] = self._refs[frame] = 1
                        if self._touch is not None:
                            self._touch(frame)
                        self._stats.hits += 1
                        return _new_rid(RecordId, (page_id, count))
            finally:
                self._release()
            if not self._heap.new_tail(length):
                break
        return self._heap.insert(byte_view(data))

    def delete(self, rid: RecordId) -> bool:
        """Delete the record under `rid`; ``False`` if there is none. Errors as in `get`."""
        return self._heap.delete(*_parts(rid))

    def update(self, rid: RecordId, record: Buffer) -> RecordId:
        """Replace the record under `rid`; return `rid`, or a new id if its page has no room.

        Raises `RecordNotFound` if there is none, and what `get` raises.
        """
        return self._heap.update(*_parts(rid), byte_view(record))

    def compact(self, page_id: int) -> int:
        """Make all free bytes of data page `page_id` contiguous; return how many were gained."""
        return self._heap.compact(as_int(page_id, "page_id"))

    def page_info(self, page_id: int) -> PageInfo:
        """Slots, records and free space of data page `page_id`."""
        return self._heap.info(as_int(page_id, "page_id"))

    def insert_many(
        self, records: npt.NDArray[np.generic] | Iterable[Buffer]
    ) -> npt.NDArray[np.uint64]:
        """Store many records; return their packed ids, uint64 (n,), in order.

        `records` is an array, one record per row (structured or other fixed-size items, or uint8
        of shape (n, width)), or bytes-like objects in an order, from a generator too; but no
        dict, and no set. All or none: after an error
        the batch is taken back, and if the disk refuses even that, a note on the error says how
        many records stay.
        """
        from meridian.database.storage.batch_write import insert_many

        return insert_many(self, records)

    def get_many(
        self, rids: npt.NDArray[np.integer] | Sequence[int], width: int
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
        """Look up packed ids: rows, uint8 (n, width), and whether each holds a record, bool (n,).

        A row is zero and its ``ok`` false if the id has no record, or one of another length than
        `width` bytes. Pages come in sorted, so the pool may be far smaller than what is touched.
        """
        from meridian.database.storage.batch_read import get_many

        return get_many(self, rids, width)

    def delete_many(self, rids: npt.NDArray[np.integer] | Sequence[int]) -> int:
        """Delete the records under packed ids; return how many there were."""
        from meridian.database.storage.batch_write import delete_many

        return delete_many(self, rids)

    def scan(
        self, batch: int = 4096
    ) -> Iterator[tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8]]]:
        """All records in order of page and slot, up to `batch` at a time.

        Yields packed ids, uint64 (k,), and rows, uint8 (k, width): records of one width per
        batch, so a change of width ends it. Holds no pin between batches; a record that is
        inserted or deleted meanwhile may be seen or not.
        """
        from meridian.database.storage.batch_read import scan

        return scan(self, batch)

    def iter_records(self) -> Iterator[tuple[RecordId, bytes]]:
        """All records in order of page and slot, one by one; guarantees as in `scan`."""
        with self._latch:
            page_ids = self._space.data_pages().tolist()
        for page_id in page_ids:
            yield from self._heap.records(page_id)

    def flush(self, *, sync: bool = False) -> int:
        """Write all dirty pages; with `sync`, return once the device has them."""
        return self.pool.flush_all(sync=sync)

    def close(self) -> None:
        """Flush, close pool and file. A second call does nothing.

        If writing fails, the error comes out and everything stays open, so that nothing is lost.
        Raises `PinLeak`, all closed, if pages are still pinned, and `PagesLost` if `file` was
        closed before.
        """
        try:
            self.pool.close()
        except (PinLeak, PagesLost):
            self.file.close()
            raise
        self.file.close()

    def __enter__(self) -> PageManager:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _parts(rid: RecordId) -> tuple[int, int]:
    """Page and slot of a record id, or of a plain pair; `TypeError` for anything else."""
    if not isinstance(rid, tuple) or len(rid) != 2:
        raise TypeError(f"Expected a RecordId or a tuple (page_id, slot), got {rid!r}")
    return as_int(rid[0], "page_id"), as_int(rid[1], "slot")
