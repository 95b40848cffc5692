"""One record at a time, on pages pinned for it: what the page manager does off its hit path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from meridian.database.storage.buffer_pool import BufferPool
from meridian.database.storage.errors import BadPageType, CorruptPage, RecordNotFound
from meridian.database.storage.free_space import FreeSpaceMap
from meridian.database.storage.overflow import OverflowChains
from meridian.database.storage.page import SLOT_SIZE, PageType, max_inline
from meridian.database.storage.pinned_page import PinnedPage
from meridian.database.storage.rid import RecordId
from meridian.database.storage.slotted_page import SlottedPage

__all__ = ["Heap", "PageInfo"]

_TYPE_AT = 8
_MAX_EXTENT = 16  # pages made at once, to share the cost of a system call
_GROWTH = 8  # but never more than an eighth of the file, or of the pool


class PageInfo(NamedTuple):
    """How a data page stands."""

    page_id: int
    page_type: PageType
    slot_count: int
    live_count: int
    free_contiguous: int
    free_total: int


class Heap:
    """Find a page, change it, keep the free-space map in step.

    A page is pinned outside the latch, for that may take I/O, and read or changed under it, so
    that no thread ever sees half a change. What was decided before is therefore checked again.
    No call holds two pins at once: any pool is large enough.
    """

    def __init__(self, pool: BufferPool, space: FreeSpaceMap, *, reuse_slots: bool) -> None:
        self._pool = pool
        self._latch = pool.latch
        self._space = space
        self._reuse = reuse_slots
        self._chains = OverflowChains(pool)
        self._max_inline = max_inline(pool.file.page_size)
        self._spare: list[int] = []  # empty pages made ahead, in no map yet; the next one last

    def insert(self, record: memoryview) -> RecordId:
        """Store `record` wherever there is room."""
        if len(record) <= self._max_inline:
            return self._place(record, overflow=False)
        stub = self._chains.write(record)
        try:
            return self._place(stub, overflow=True)
        except BaseException:
            self._chains.free(stub)
            raise

    def new_tail(self, length: int) -> bool:
        """Open an empty page for the next records; ``False`` if one has room, or none could."""
        if length > self._max_inline:
            return False
        with self._latch:
            if self._space.choose(length):
                return False
        self._grow()
        return True

    def get(self, page_id: int, slot: int) -> bytes | None:
        """The record in `slot`, or ``None``."""
        while True:
            record, stub = self._read(page_id, slot)
            if stub is None:
                return record
            try:
                return self._chains.read(page_id, stub)
            except CorruptPage:
                if self._read(page_id, slot)[1] == stub:
                    raise  # else the record was deleted or replaced while we read it

    def delete(self, page_id: int, slot: int) -> bool:
        """Delete the record in `slot` and free its chain; ``False`` if there is none."""
        found, stub = self._read(page_id, slot)
        if found is None:
            return False
        chain = self._chain(page_id, stub)
        with self.data_page(page_id) as page, self._latch:
            if self._bytes(page, slot) != (found, stub):
                return False  # another thread was quicker
            SlottedPage(page.data_mut()).delete(slot)
            self._space.change(page_id, len(found), int(self._reuse))
        self._chains.free_pages(chain)
        return True

    def update(self, page_id: int, slot: int, record: memoryview) -> RecordId:
        """Replace the record in `slot`, in its page if there is room, else under a new id."""
        found, stub = self._read(page_id, slot)
        if found is None:
            raise RecordNotFound(page_id, slot)
        chain = self._chain(page_id, stub)
        overflow = len(record) > self._max_inline
        stored = self._chains.write(record) if overflow else record
        try:
            with self.data_page(page_id) as page, self._latch:
                if self._bytes(page, slot) != (found, stub):
                    raise RecordNotFound(page_id, slot)  # another thread was quicker
                fits = SlottedPage(page.data_mut()).update(slot, stored, overflow=overflow)
                self._measure(page)
            moved = None if fits else self._place(stored, overflow=overflow)
        except BaseException:
            if overflow:
                self._chains.free(bytes(stored))
            raise
        if moved is not None:
            self.delete(page_id, slot)
            return moved
        self._chains.free_pages(chain)
        return RecordId(page_id, slot)

    def compact(self, page_id: int) -> int:
        """Make all free bytes of the page contiguous; return how many were gained."""
        with self.data_page(page_id) as page, self._latch:
            gained = SlottedPage(page.data_mut()).compact()
            self._measure(page)
            return gained

    def info(self, page_id: int) -> PageInfo:
        with self.data_page(page_id) as page, self._latch:
            slotted = SlottedPage(page.data)
            count, live = slotted.slot_count, slotted.live_count
            return PageInfo(
                page.page_id,
                PageType.DATA,
                count,
                live,
                slotted.free_contiguous,
                slotted.free_total,
            )

    def records(self, page_id: int) -> Iterator[tuple[RecordId, bytes]]:
        """The records of one page; nothing is pinned while the caller has the word."""
        with self.data_page(page_id, scan=True) as page, self._latch:
            slots = range(SlottedPage(page.data).slot_count)
            found = [(slot, *self._bytes(page, slot)) for slot in slots]
        for slot, inline, stub in found:
            record = inline if stub is None else self.get(page_id, slot)
            if record is not None:
                yield RecordId(page_id, slot), record

    def data_page(self, page_id: int, *, scan: bool = False) -> PinnedPage:
        """Pin a page that must hold records; `BadPageType` for another kind."""
        page = self._pool.fetch(page_id, scan=scan)
        found = page.data[_TYPE_AT]
        if found != PageType.DATA:
            page.unpin()
            raise BadPageType(page_id, found, "a data page")
        return page

    def _read(self, page_id: int, slot: int) -> tuple[bytes | None, bytes | None]:
        with self.data_page(page_id) as page:
            return self._bytes(page, slot)

    def _bytes(self, page: PinnedPage, slot: int) -> tuple[bytes | None, bytes | None]:
        """The bytes in `slot`, or ``None``; and once more if they are the stub of a chain."""
        with self._latch:
            slotted = SlottedPage(page.data)
            view = slotted.get(slot)
            if view is None:
                return None, None
            record = bytes(view)
            return record, record if slotted.is_overflow(slot) else None

    def _chain(self, page_id: int, stub: bytes | None) -> list[int]:
        return [] if stub is None else self._chains.pages(page_id, stub)

    def _place(self, record: memoryview | bytes, *, overflow: bool) -> RecordId:
        while True:
            with self._latch:
                page_id = self._space.choose(len(record))
            if not page_id:
                self._grow()
                continue
            try:
                with self.data_page(page_id) as page, self._latch:
                    self._space.make_tail(page_id)
                    slot = self._put(page, record, overflow=overflow)
                    if slot is not None:
                        return RecordId(page.page_id, slot)
                    self._measure(page)  # another thread was quicker, or the map was wrong
            except CorruptPage:
                with self._latch:
                    self._space.close(page_id)  # tell once; the next record goes elsewhere
                raise

    def _grow(self) -> None:
        """Make an empty page the tail."""
        pool = self._pool
        if not self._spare:
            extent = min(_MAX_EXTENT, pool.file.page_count // _GROWTH, pool.frames // _GROWTH)
            made = pool._loader.create(max(1, extent), PageType.DATA)
            with self._latch:
                for page_id, frame in reversed(made):
                    pool._pins[frame] -= 1
                    self._spare.append(page_id)
        with self._latch:
            if self._spare:  # else other threads were quicker
                page_id = self._spare.pop()
                self._space.make_tail(page_id)
                self._space.add(page_id, self._max_inline + SLOT_SIZE, 0)

    def _put(self, page: PinnedPage, record: memoryview | bytes, *, overflow: bool) -> int | None:
        slotted = SlottedPage(page.data_mut())
        count = slotted.slot_count
        slot = slotted.insert(record, overflow=overflow, reuse_slots=self._reuse)
        if slot is not None:
            reused = slot < count
            spent = len(record) + (0 if reused else SLOT_SIZE)
            self._space.change(page.page_id, -spent, -int(reused))
        elif len(record) <= slotted.free_total:
            slotted.compact()
            slot = slotted.insert(record, overflow=overflow, reuse_slots=self._reuse)
            self._measure(page)
        return slot

    def _measure(self, page: PinnedPage) -> None:
        """Write into the map what the page says."""
        slotted = SlottedPage(page.data)
        holes = slotted.slot_count - slotted.live_count if self._reuse else 0
        self._space.add(page.page_id, slotted.free_total, holes)
