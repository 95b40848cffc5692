"""Records in a heap of slotted pages: an address when stored, the bytes when asked."""

from __future__ import annotations

import heapq
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from .buffer_pool import BufferPool
from .errors import BadPageType, CorruptPage, PinLeak
from .page import (
    HEADER_SIZE,
    PAGE_SIZE,
    SLOT_SIZE,
    PageHeader,
    PageType,
    RecordId,
    SlottedPage,
)
from .page_file import PageFile

STUB = struct.Struct("<II")  # in the slot of an overflow record: length, first page
CHAIN = struct.Struct("<IH")  # at byte 17 of an OVERFLOW page: next page (0: last), bytes here

### BEGIN SOLUTION
# What NamedTuple's constructor does, at half its price.
_record_id = partial(tuple.__new__, RecordId)

### END SOLUTION


@dataclass(frozen=True, slots=True)
class PageInfo:
    """What `page_info` reports of one page."""

    page_id: int
    slot_count: int
    live_count: int
    free_contiguous: int
    free_total: int


class PageManager:
    """The heap file of the Orbital Object Registry: insert, get, delete, compact.

    Attributes: `pool` (`BufferPool`), `file` (`PageFile`).
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        frames: int = 64,
        policy: str = "clock",
        page_size: int = PAGE_SIZE,
        create: bool = True,
        reuse_slots: bool = True,
    ) -> None:
        """Open or create the file at `path`.

        Opening reads every page once, past the pool, to learn where there is room: the pool starts
        cold, its counters at zero.

        A reused slot makes an old RecordId answer with the new record. Callers that keep RecordIds
        of deleted records pass `reuse_slots=False`: then such an id is `None` for ever.
        """
        self.file = PageFile(path, page_size, create=create)
        try:
            self.pool = BufferPool(self.file, frames, policy)
        except BaseException:
            self.file.close()
            raise
        ### BEGIN SOLUTION #4: PageManager() - remember, per DATA page, how much space is free
        self._reuse_slots = reuse_slots
        self._max_inline = page_size - HEADER_SIZE - SLOT_SIZE
        self._free: dict[int, int] = {}  # free_total of every DATA page but the current one
        self._roomiest: list[tuple[int, int]] = []  # heap of (-free_total, page), some outdated
        self._current = 0  # the page that took the last record
        self._holes: set[int] = set()  # pages that had a delete: the others need no search
        page = bytearray(page_size)
        for page_id in range(1, self.file.page_count):
            with suppress(CorruptPage):  # reported when somebody reads it
                self.file.read_page(page_id, page)
                if PageHeader.unpack(page).page_type == PageType.DATA:
                    slotted = SlottedPage(page)
                    self._set_free(page_id, slotted.free_total)
                    deleted = slotted.slot_count - slotted.live_count
                    if deleted or slotted.free_contiguous < slotted.free_total:
                        self._holes.add(page_id)
        ### END SOLUTION

    def insert(self, record: bytes | bytearray | memoryview) -> RecordId:
        """Store `record` and say where.

        A page that has room only in pieces is compacted for it. Beyond `MAX_INLINE` bytes (bonus)
        the record goes to a chain of OVERFLOW pages; without the bonus that is `RecordTooLarge`.
        """
        ### BEGIN SOLUTION #4: PageManager.insert() - a page with room, else a new page
        if len(record) > self._max_inline:
            return self._insert_overflow(record)
        page_id, slot = self._current, None
        if page_id:
            reuse_slots = self._reuse_slots and page_id in self._holes
            slot = self.pool._peek_mut(page_id).insert(record, reuse_slots=reuse_slots)
        while slot is None:
            page_id = self._page_with_room(len(record) + SLOT_SIZE)
            page = self.pool._peek_mut(page_id)
            if page.free_contiguous < len(record) + SLOT_SIZE:
                page.compact()
            slot = page.insert(record, reuse_slots=self._reuse_slots and page_id in self._holes)
        return _record_id((page_id, slot))
        ### END SOLUTION

    def get(self, rid: RecordId) -> bytes | None:
        """The record's bytes; `None` if it was deleted or its slot never existed.

        `PageOutOfRange` for a page that is not there, `BadPageType` for one without records.
        """
        ### BEGIN SOLUTION #4: PageManager.get() - find the page, copy the slot's bytes out
        page_id, slot = rid
        if page_id not in self._free:
            self._refuse(page_id)
        page = self.pool._peek(page_id)
        record = page.get(slot)
        if record is None:
            return None
        if len(record) == STUB.size and page._is_overflow(slot):
            return b"".join(data for _, data in self._chain(*STUB.unpack(record)))
        return bytes(record)
        ### END SOLUTION

    def delete(self, rid: RecordId) -> bool:
        """Forget the record; `False` if there is none. Other RecordIds stay as they are."""
        ### BEGIN SOLUTION #5: PageManager.delete() - a tombstone; False if there was no record
        page_id, slot = rid
        if page_id not in self._free:
            self._refuse(page_id)
        page = self.pool._peek_mut(page_id)
        record = page.get(slot)
        if record is None:
            return False
        size, stub = len(record), STUB.unpack(record) if page._is_overflow(slot) else None
        page.delete(slot)
        self._set_free(page_id, self._free[page_id] + size)
        self._holes.add(page_id)
        if stub:
            for chained, _ in list(self._chain(*stub)):
                self.pool.free_page(chained)
        return True
        ### END SOLUTION

    def compact(self, page_id: int) -> int:
        """Compact one page; return the bytes that became contiguous."""
        ### BEGIN SOLUTION #5: PageManager.compact() - SlottedPage.compact() on the pinned page
        if page_id not in self._free:
            self._refuse(page_id)
        with self.pool.fetch(page_id) as pinned:
            return SlottedPage(pinned.data_mut()).compact()
        ### END SOLUTION

    def page_info(self, page_id: int) -> PageInfo:
        """Slots and free space of one page."""
        ### BEGIN SOLUTION #4: PageManager.page_info() - the properties of SlottedPage, as PageInfo
        if page_id not in self._free:
            self._refuse(page_id)
        with self.pool.fetch(page_id) as pinned:
            page = SlottedPage(pinned.data)
            return PageInfo(
                page_id, page.slot_count, page.live_count, page.free_contiguous, page.free_total
            )
        ### END SOLUTION

    def close(self) -> None:
        """Flush the pool, close the file. Closing twice is harmless."""
        ### BEGIN SOLUTION #4: PageManager.close() - the pool first, then the file
        try:
            self.pool.close()
        except PinLeak:  # everything is written; after any other error nothing may be lost
            self.file.close()
            raise
        self.file.close()
        ### END SOLUTION

    def __enter__(self) -> PageManager:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    ### BEGIN SOLUTION
    def _set_free(self, page_id: int, size: int) -> None:
        self._free[page_id] = size
        heapq.heappush(self._roomiest, (-size, page_id))

    def _page_with_room(self, size: int) -> int:
        """The page with the most free space if that is `size` or more, else a new page."""
        if self._current:
            page = self.pool._peek(self._current)
            whole = self._current not in self._holes
            self._set_free(self._current, page.free_contiguous if whole else page.free_total)
        while self._roomiest:
            free, page_id = self._roomiest[0]
            if -free != self._free[page_id]:
                heapq.heappop(self._roomiest)  # outdated: the page has a later entry
                continue
            if -free < size:
                break
            heapq.heappop(self._roomiest)
            self._current = page_id
            return page_id
        with self.pool.new_page() as pinned:
            self._current = pinned.page_id
        self._free[self._current] = 0
        return self._current

    def _refuse(self, page_id: int) -> None:
        """Say why `page_id` holds no records."""
        page = bytearray(self.file.page_size)
        self.file.read_page(page_id, page)
        raise BadPageType(page_id, PageHeader.unpack(page).page_type, "DATA")

    def _insert_overflow(self, record: bytes | bytearray | memoryview) -> RecordId:
        view = memoryview(record)
        room = self.file.page_size - HEADER_SIZE - CHAIN.size
        following = 0
        for start in reversed(range(0, len(view), room)):  # the last page first: it has no next
            part = view[start : start + room]
            with self.pool.new_page(PageType.OVERFLOW) as pinned:
                page = pinned.data_mut()
                CHAIN.pack_into(page, HEADER_SIZE, following, len(part))
                page[HEADER_SIZE + CHAIN.size :][: len(part)] = part
                following = pinned.page_id
        rid = self.insert(STUB.pack(len(view), following))
        self.pool._peek_mut(rid.page_id)._mark_overflow(rid.slot)
        return rid

    def _chain(self, length: int, page_id: int) -> Iterator[tuple[int, bytes]]:
        """The pages of an overflow record and the bytes in each; `CorruptPage` unless they add up
        to `length`, which also ends a cycle."""
        while length > 0 and page_id:
            with self.pool.fetch(page_id) as pinned:
                if pinned.data[8] != PageType.OVERFLOW:
                    raise BadPageType(page_id, pinned.data[8], "OVERFLOW")
                following, size = CHAIN.unpack_from(pinned.data, HEADER_SIZE)
                data = bytes(pinned.data[HEADER_SIZE + CHAIN.size :][:size])
            if not 0 < size <= length or len(data) != size:
                raise CorruptPage(page_id, f"{size} bytes in a chain that has {length} to go")
            yield page_id, data
            length -= size
            page_id = following
        if length or page_id:
            raise CorruptPage(page_id, f"its chain ends {length} bytes off")

    ### END SOLUTION
