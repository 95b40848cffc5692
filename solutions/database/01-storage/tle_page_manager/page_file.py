"""Pages in one file, page n at byte n * page_size.

Page 0 is the file's own header. After the 17 bytes every page has, it holds, little-endian:
version u16 (1), page_size u32, page_count u32, free_head u32 (0: none), free_count u32, flags u32
(bit 0: closed cleanly). A free page has type FREE and the next free page's id as u32 at byte 17.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct

from .errors import BadFormat, FileLocked, PageOutOfRange, TruncatedFile
from .page import HEADER_SIZE, PAGE_SIZE, PageHeader, PageType, SlottedPage, seal
from .page import verify as verify_page

FILE_HEADER = struct.Struct("<HIIIII")  # at byte 17 of page 0
NEXT_FREE = struct.Struct("<I")  # at byte 17 of a FREE page
VERSION = 1


class PageFile:
    """Checked pages on disk: what `read_page` returns is what `write_page` was given.

    A page is sealed when written and verified when read, so a flipped bit, a lost write or a page
    in the wrong place is an error and never data. Nothing is flushed to the device before
    `close()`; a crash may tear a page, and its checksum will say so.

    Attributes: `page_size`, `page_count` (page 0 included), `free_count`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        page_size: int = PAGE_SIZE,
        *,
        create: bool = True,
        direct: bool = False,
    ) -> None:
        """Open `path`; create it if it is missing or empty and `create` allows.

        `direct=True` (bonus) opens with `O_DIRECT`, past the page cache of the kernel.
        Raises `TruncatedFile` if the length is not a whole number of pages or less than page 0
        promises, `BadFormat` for another page size or version, `CorruptPage` for a foreign file,
        `FileLocked` if it is open elsewhere.
        """
        if page_size not in (512, 1024, 2048, 4096, 8192, 16384, 32768):
            raise ValueError(f"Expected a power of two in 512..32768, got {page_size}")
        self.path, self.page_size, self.direct = os.fspath(path), page_size, direct
        self.page_count, self.free_count = 1, 0
        self._free_head, self._dirty_header = 0, False
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
        self._fd = os.open(self.path, flags | (os.O_DIRECT if direct else 0), 0o644)
        try:
            self._open(create)
        except BaseException:
            fd, self._fd = self._fd, -1
            os.close(fd)
            raise

    def read_page(self, page_id: int, into: bytearray | memoryview, *, verify: bool = True) -> None:
        """Fill `into` (page_size bytes) with page `page_id`.

        `PageOutOfRange` unless 1 <= page_id < page_count, `CorruptPage` if the page fails
        verification, `TruncatedFile` if the file ends inside it: never short data.
        """
        ### BEGIN SOLUTION #1: read_page() - preadv at page_id * page_size until full, verify
        self._check_range(page_id)
        self._read(page_id, memoryview(into))
        if verify:
            verify_page(into, page_id)
        ### END SOLUTION

    def write_page(self, page_id: int, page: bytearray | memoryview) -> None:
        """Seal `page` (in place) and write its page_size bytes as page `page_id`."""
        ### BEGIN SOLUTION #1: write_page() - seal, then os.pwritev at page_id * page_size
        self._check_range(page_id)
        self._write(page_id, memoryview(page))
        ### END SOLUTION

    def allocate_page(self, page_type: PageType = PageType.DATA) -> int:
        """The id of a page that is empty, formatted and sealed on disk.

        The page freed last is used first; only without a free page does the file grow.
        """
        ### BEGIN SOLUTION #1: allocate_page() - pop the free list, else extend; write a sealed page
        return self._allocate(memoryview(bytearray(self.page_size)), page_type)
        ### END SOLUTION

    def free_page(self, page_id: int) -> None:
        """Give the page back to `allocate_page`; `ValueError` if it is free already."""
        ### BEGIN SOLUTION #1: free_page() - type FREE, the old free_head at byte 17, new free_head
        page = bytearray(self.page_size)
        self.read_page(page_id, page)
        if PageHeader.unpack(page).page_type == PageType.FREE:
            raise ValueError(f"Page {page_id} is free already")
        SlottedPage.format(page, page_id, PageType.FREE)
        NEXT_FREE.pack_into(page, HEADER_SIZE, self._free_head)
        self._write(page_id, memoryview(page))
        self._free_head = page_id
        self.free_count += 1
        ### END SOLUTION

    def close(self) -> None:
        """Write page 0, flush to the device, release the file. Closing twice is harmless."""
        ### BEGIN SOLUTION #1: PageFile.close() - page 0 with counts and free list, fsync, os.close
        if self._fd < 0:
            return
        try:
            if self._dirty_header:
                self._write_header(clean=True)
            os.fsync(self._fd)
        finally:
            fd, self._fd = self._fd, -1
            os.close(fd)
        ### END SOLUTION

    def __enter__(self) -> PageFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    ### BEGIN SOLUTION
    def _check_range(self, page_id: int) -> None:
        if not 1 <= page_id < self.page_count:
            raise PageOutOfRange(page_id, self.page_count)

    def _allocate(self, page: memoryview, page_type: PageType) -> int:
        """`allocate_page` with the new page's bytes left in `page`."""
        page_id, following = self.page_count, 0
        if self._free_head:
            page_id = self._free_head
            self._read(page_id, page)
            verify_page(page, page_id)
            (following,) = NEXT_FREE.unpack_from(page, HEADER_SIZE)
        SlottedPage.format(page, page_id, page_type)
        self._write(page_id, page)
        if page_id == self.page_count:
            self.page_count += 1
        else:
            self._free_head = following
            self.free_count -= 1
        return page_id

    def _read(self, page_id: int, into: memoryview) -> None:
        if len(into) != self.page_size:
            raise ValueError(f"Expected a buffer of {self.page_size} bytes, got {len(into)}")
        target = self._bounce if self.direct else into
        start, done = page_id * self.page_size, 0
        while done < self.page_size:
            count = os.preadv(self._fd, [target[done:]], start + done)
            if count == 0:
                raise TruncatedFile(self.path, start + done, start + self.page_size)
            done += count
        if self.direct:
            into[:] = target

    def _write(self, page_id: int, page: memoryview) -> None:
        if len(page) != self.page_size:
            raise ValueError(f"Expected a page of {self.page_size} bytes, got {len(page)}")
        if not self._dirty_header:
            self._write_header(clean=False)
        seal(page)
        self._write_raw(page_id, page)

    def _write_raw(self, page_id: int, page: memoryview) -> None:
        if self.direct:  # the kernel takes only memory aligned to the device's blocks
            self._bounce[:] = page
            page = self._bounce
        done = 0
        while done < self.page_size:
            done += os.pwritev(self._fd, [page[done:]], page_id * self.page_size + done)

    def _write_header(self, *, clean: bool) -> None:
        page = bytearray(self.page_size)
        SlottedPage.format(page, 0, PageType.FILE_HEADER)
        counts = (self.page_count, self._free_head, self.free_count, int(clean))
        FILE_HEADER.pack_into(page, HEADER_SIZE, VERSION, self.page_size, *counts)
        seal(page)
        self._write_raw(0, memoryview(page))
        self._dirty_header = not clean

    ### END SOLUTION

    def _open(self, create: bool) -> None:
        """Lock the file, then read page 0, or write it into an empty file."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FileLocked(self.path) from None
        self._bounce = memoryview(mmap.mmap(-1, self.page_size))  # aligned, for direct I/O
        size_bytes = os.fstat(self._fd).st_size
        ### BEGIN SOLUTION #1: opening a file - page 0 into page_count, free_count, free list
        if size_bytes == 0:
            if not create:
                raise BadFormat(self.path, "it is empty")
            self._write_header(clean=True)
            return
        if size_bytes < self.page_size:
            raise TruncatedFile(self.path, size_bytes, self.page_size)
        page = bytearray(self.page_size)
        self._read(0, memoryview(page))
        verify_page(page, 0)
        version, page_size, *counts, flags = FILE_HEADER.unpack_from(page, HEADER_SIZE)
        if (version, page_size) != (VERSION, self.page_size):
            raise BadFormat(
                self.path,
                f"it has version {version} and pages of {page_size} bytes, "
                f"need version {VERSION} and {self.page_size}",
            )
        self.page_count, self._free_head, self.free_count = counts
        if size_bytes % self.page_size:
            raise TruncatedFile(self.path, size_bytes, size_bytes + -size_bytes % self.page_size)
        if size_bytes < self.page_count * self.page_size:
            raise TruncatedFile(self.path, size_bytes, self.page_count * self.page_size)
        if not flags & 1:
            # Not closed cleanly: page 0 is old. Pages added since are there; the free list may
            # name pages that are in use, so it is given up rather than trusted.
            self.page_count = size_bytes // self.page_size
            self._free_head, self.free_count = 0, 0
        ### END SOLUTION
