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
        raise NotImplementedError(
            "database/01-storage #4: PageManager() - remember, per DATA page, how much space is free"
        )

    def insert(self, record: bytes | bytearray | memoryview) -> RecordId:
        """Store `record` and say where.

        A page that has room only in pieces is compacted for it. Beyond `MAX_INLINE` bytes (bonus)
        the record goes to a chain of OVERFLOW pages; without the bonus that is `RecordTooLarge`.
        """
        raise NotImplementedError(
            "database/01-storage #4: PageManager.insert() - a page with room, else a new page"
        )

    def get(self, rid: RecordId) -> bytes | None:
        """The record's bytes; `None` if it was deleted or its slot never existed.

        `PageOutOfRange` for a page that is not there, `BadPageType` for one without records.
        """
        raise NotImplementedError(
            "database/01-storage #4: PageManager.get() - find the page, copy the slot's bytes out"
        )

    def delete(self, rid: RecordId) -> bool:
        """Forget the record; `False` if there is none. Other RecordIds stay as they are."""
        raise NotImplementedError(
            "database/01-storage #5: PageManager.delete() - a tombstone; False if there was no record"
        )

    def compact(self, page_id: int) -> int:
        """Compact one page; return the bytes that became contiguous."""
        raise NotImplementedError(
            "database/01-storage #5: PageManager.compact() - SlottedPage.compact() on the pinned page"
        )

    def page_info(self, page_id: int) -> PageInfo:
        """Slots and free space of one page."""
        raise NotImplementedError(
            "database/01-storage #4: PageManager.page_info() - the properties of SlottedPage, as PageInfo"
        )

    def close(self) -> None:
        """Flush the pool, close the file. Closing twice is harmless."""
        raise NotImplementedError(
            "database/01-storage #4: PageManager.close() - the pool first, then the file"
        )

    def __enter__(self) -> PageManager:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
