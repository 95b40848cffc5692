"""Which pages a file has, which of them are free: page 0 and the free list.

A free page has type FREE and the id of the next one as u32 at byte 17; the list is last in, first
out, so a page freed and taken again soon is still in the system's cache.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterable, Sequence
from contextlib import suppress

from meridian.database.storage.errors import (
    BadMagic,
    BadPageType,
    CorruptPage,
    PageOutOfRange,
    TruncatedFile,
)
from meridian.database.storage.file_header import FileHeader
from meridian.database.storage.page import (
    HEADER_SIZE,
    MAX_PAGE_SIZE,
    PageType,
    check_page,
    format_view,
    seal_view,
)
from meridian.database.storage.page_io import PageIo

__all__ = ["PageSpace"]

_MAX_PAGES = 2**32
_BATCH = 64  # pages formatted or examined per call
_NEXT = struct.Struct("<I")


class PageSpace:
    """Hand out page ids so that every page in the file is whole, and none is handed out twice.

    Page 0 is written at durability points only. After a crash the file itself is believed: its
    length gives the page count, the types of its pages the free list. Not thread-safe: the page
    file's lock guards it.
    """

    __slots__ = ("_io", "_scratch", "damaged", "header")

    def __init__(self, io: PageIo) -> None:
        self._io = io
        # Page-aligned, so that it also serves direct I/O.
        self._scratch = memoryview(mmap.mmap(-1, max(MAX_PAGE_SIZE, io.page_size * _BATCH)))
        self.header = FileHeader(io.page_size)
        self.damaged: list[int] = []  # free pages found unreadable, each once

    def create(self) -> None:
        """Write page 0 of a new file."""
        self.save(clean=False)

    def load(self, size: int, *, repair: bool) -> bool:
        """Read page 0 of a file of `size` bytes; return whether its ragged end was cut off."""
        page_size = self._io.page_size
        if size == 0:
            raise BadMagic(0, b"", self._io.path)
        head = self._scratch[: min(size, MAX_PAGE_SIZE)]
        self._read_head(head)
        self.header = FileHeader.read_from(head, page_size, self._io.path)
        pages, ragged = divmod(size, page_size)
        expected = self.header.page_count * page_size
        if ragged:
            if not repair or pages < self.header.page_count - 1:
                hint = "the last page is not whole; repair=True cuts it off"
                raise TruncatedFile(
                    self._io.path, max(expected, (pages + 1) * page_size), size, hint
                )
            self._io.file.truncate(pages * page_size)
            self.header.clean = False
        elif size < expected:
            raise TruncatedFile(self._io.path, expected, size, "whole pages are missing")
        if not self.header.clean:
            self.header.page_count = pages
        return bool(ragged)

    def _read_head(self, head: memoryview) -> None:
        # Whole pages only, where there are any: direct I/O refuses a ragged length.
        whole = len(head) // self._io.page_size * self._io.page_size
        self._io.read(0, [head[:whole] if whole else head])
        if whole and whole < len(head):
            head[whole:] = bytes(len(head) - whole)

    def save(self, *, clean: bool) -> None:
        """Write page 0."""
        self.header.clean = clean
        page = self._scratch[: self._io.page_size]
        self.header.write_to(page)
        self._io.write(0, [page])

    def allocate(self, count: int, page_type: PageType) -> list[int]:
        """Take `count` pages, free ones first, and write them empty."""
        page_ids: list[int] = []
        refused: set[int] = set()
        try:
            while len(page_ids) < count and self.header.free_head:
                try:
                    page_ids.append(self._take_free(page_type))
                except CorruptPage as error:
                    # One bad page must not stop all others. One that comes back says that pages
                    # do not keep what is written to them: the file then grows.
                    self._link_all(() if error.page_id in refused else self._scan_free())
                    refused.add(error.page_id)
            while len(page_ids) < count:
                page_ids += self._extend(min(count - len(page_ids), _BATCH), page_type)
        except BaseException:
            with suppress(OSError):  # the first error is the one to tell
                for page_id in reversed(page_ids):
                    self._link(page_id)
            raise
        return page_ids

    def free(self, page_id: int) -> None:
        """Put a page in use on the free list."""
        page = self._scratch[: self._io.page_size]
        self._io.read(page_id, [page])
        if check_page(page, page_id) == PageType.FREE:
            raise ValueError(f"Page {page_id} is already free")
        self._link(page_id)

    def rebuild_free_list(self) -> bool:
        """Make the free list hold exactly the pages of type FREE; return whether it did not."""
        free = self._scan_free()
        if self._walk(free) == free.keys():
            self.header.free_count = len(free)
            return False
        self._link_all(free)
        return True

    def _link_all(self, page_ids: Iterable[int]) -> None:
        """Make the free list hold exactly `page_ids`, the lowest first."""
        self.header.free_head = self.header.free_count = 0
        for page_id in sorted(page_ids, reverse=True):
            self._link(page_id)

    def _take_free(self, page_type: PageType) -> int:
        page_id = self.header.free_head
        page = self._scratch[: self._io.page_size]
        self._io.read(page_id, [page])
        try:
            found = check_page(page, page_id)
        except CorruptPage:
            if page_id not in self.damaged:
                self.damaged.append(page_id)
            raise
        if found != PageType.FREE:  # it was written, so it is in use
            raise BadPageType(page_id, found, "a free page, as the free list says")
        (following,) = _NEXT.unpack_from(page, HEADER_SIZE)
        if following >= self.header.page_count or following == page_id:
            raise CorruptPage(page_id, f"the free list goes on to page {following}")
        format_view(page, page_id, page_type)
        seal_view(page)
        self._io.write(page_id, [page])
        self.header.free_head = following
        self.header.free_count = max(0, self.header.free_count - 1)
        return page_id

    def append(self, pages: Sequence[memoryview]) -> None:
        """Grow the file by `pages`, sealed; after an error it ends where it did."""
        first = self.header.page_count
        if first + len(pages) > _MAX_PAGES:
            raise PageOutOfRange(first + len(pages) - 1, _MAX_PAGES)
        try:
            self._io.write(first, pages)
        except BaseException:
            with suppress(OSError):  # leave no ragged tail of a full disk
                self._io.file.truncate(first * self._io.page_size)
            raise
        self.header.page_count = first + len(pages)

    def _extend(self, count: int, page_type: PageType) -> range:
        size, first = self._io.page_size, self.header.page_count
        pages = [self._scratch[i * size : (i + 1) * size] for i in range(count)]
        for page_id, page in enumerate(pages, first):
            format_view(page, min(page_id, _MAX_PAGES - 1), page_type)
            seal_view(page)
        self.append(pages)
        return range(first, first + count)

    def _link(self, page_id: int) -> None:
        page = self._scratch[: self._io.page_size]
        format_view(page, page_id, PageType.FREE)
        _NEXT.pack_into(page, HEADER_SIZE, self.header.free_head)
        seal_view(page)
        self._io.write(page_id, [page])
        self.header.free_head = page_id
        self.header.free_count += 1

    def _scan_free(self) -> dict[int, int]:
        """Every page of type FREE that is whole, with the id it links to."""
        free: dict[int, int] = {}
        page_size, end = self._io.page_size, self.header.page_count
        for first in range(1, end, _BATCH):
            count = min(_BATCH, end - first)
            self._io.read(first, [self._scratch[: count * page_size]])
            for i in range(count):
                page = self._scratch[i * page_size : (i + 1) * page_size]
                if page[8] == PageType.FREE:
                    with suppress(CorruptPage):  # a torn page is reported when it is read
                        check_page(page, first + i)
                        (free[first + i],) = _NEXT.unpack_from(page, HEADER_SIZE)
        return free

    def _walk(self, free: dict[int, int]) -> set[int] | None:
        """The pages reached from the list's head, ``None`` if it leaves `free` or has a circle."""
        chain: set[int] = set()
        page_id = self.header.free_head
        while page_id in free and page_id not in chain:
            chain.add(page_id)
            page_id = free[page_id]
        return chain if page_id == 0 else None
