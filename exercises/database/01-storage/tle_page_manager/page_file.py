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
        raise NotImplementedError(
            "database/01-storage #1: read_page() - preadv at page_id * page_size until full, verify"
        )

    def write_page(self, page_id: int, page: bytearray | memoryview) -> None:
        """Seal `page` (in place) and write its page_size bytes as page `page_id`."""
        raise NotImplementedError(
            "database/01-storage #1: write_page() - seal, then os.pwritev at page_id * page_size"
        )

    def allocate_page(self, page_type: PageType = PageType.DATA) -> int:
        """The id of a page that is empty, formatted and sealed on disk.

        The page freed last is used first; only without a free page does the file grow.
        """
        raise NotImplementedError(
            "database/01-storage #1: allocate_page() - pop the free list, else extend; write a sealed page"
        )

    def free_page(self, page_id: int) -> None:
        """Give the page back to `allocate_page`; `ValueError` if it is free already."""
        raise NotImplementedError(
            "database/01-storage #1: free_page() - type FREE, the old free_head at byte 17, new free_head"
        )

    def close(self) -> None:
        """Write page 0, flush to the device, release the file. Closing twice is harmless."""
        raise NotImplementedError(
            "database/01-storage #1: PageFile.close() - page 0 with counts and free list, fsync, os.close"
        )

    def __enter__(self) -> PageFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


    def _open(self, create: bool) -> None:
        """Lock the file, then read page 0, or write it into an empty file."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FileLocked(self.path) from None
        self._bounce = memoryview(mmap.mmap(-1, self.page_size))  # aligned, for direct I/O
        size_bytes = os.fstat(self._fd).st_size
        raise NotImplementedError(
            "database/01-storage #1: opening a file - page 0 into page_count, free_count, free list"
        )
