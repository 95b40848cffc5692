"""Page 0 of a page file: what the file says about itself.

Body from byte 17, little-endian: version u16, page_size u32, page_count u32, free_head u32
(0 = no free page), free_count u32, flags u32 (bit 0: closed cleanly), 16 roots u64.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from meridian.database.storage.errors import BadFormat, BadMagic, CorruptPage, TruncatedFile
from meridian.database.storage.page import (
    HEADER_SIZE,
    MAGIC,
    MAX_PAGE_SIZE,
    MIN_PAGE_SIZE,
    PageType,
    check_page,
    format_view,
    seal_view,
)

__all__ = ["ROOT_COUNT", "VERSION", "FileHeader"]

VERSION = 1
ROOT_COUNT = 16

_BODY = struct.Struct(f"<HIIIII{ROOT_COUNT}Q")
_CLEAN = 1


@dataclass(slots=True)
class FileHeader:
    """The values of page 0, kept in memory while the file is open.

    On disk they are only as new as the last ``sync`` or ``close``; the clean flag tells whether
    that was the end of the last session.
    """

    page_size: int
    page_count: int = 1
    free_head: int = 0
    free_count: int = 0
    clean: bool = False
    roots: list[int] = field(default_factory=lambda: [0] * ROOT_COUNT)

    def write_to(self, page: memoryview) -> None:
        """Fill `page` with page 0, sealed."""
        format_view(page, 0, PageType.FILE_HEADER)
        _BODY.pack_into(
            page,
            HEADER_SIZE,
            VERSION,
            self.page_size,
            self.page_count,
            self.free_head,
            self.free_count,
            _CLEAN if self.clean else 0,
            *self.roots,
        )
        seal_view(page)

    @classmethod
    def read_from(cls, head: memoryview, page_size: int, path: str) -> FileHeader:
        """Decode page 0 from `head`, the first bytes of the file (as many as it has, up to 32 KiB).

        Raises `BadMagic` for a foreign file, `TruncatedFile` if page 0 is cut short, `BadFormat`
        for a sound file of another page size or version, `CorruptPage` for anything else.
        """
        if bytes(head[:4]) != MAGIC:
            raise BadMagic(0, bytes(head[:4]), path)
        if len(head) < page_size:
            found = _other_page_size(head, page_size)
            if not found:
                raise TruncatedFile(path, page_size, len(head), "not even the file header is whole")
            raise _wrong_size(path, page_size, found)
        try:
            page_type = check_page(head[:page_size], 0)
        except CorruptPage:
            found = _other_page_size(head, page_size)
            if not found:
                raise
            raise _wrong_size(path, page_size, found) from None
        version, stored_size, count, free_head, free_count, flags, *roots = _BODY.unpack_from(
            head, HEADER_SIZE
        )
        if page_type != PageType.FILE_HEADER or stored_size != page_size:
            raise CorruptPage(0, "not a file header")
        if version != VERSION:
            fix = "open it with the release that wrote it"
            raise BadFormat(path, "version", VERSION, version, fix)
        if not (count >= 1 and free_head < count and free_count < count):
            raise CorruptPage(
                0, f"{count} pages cannot have {free_count} free ones from page {free_head}"
            )
        return cls(page_size, count, free_head, free_count, bool(flags & _CLEAN), roots)


def _other_page_size(head: memoryview, page_size: int) -> int:
    """The page size under which `head` opens with a sound page 0, or 0."""
    size = MIN_PAGE_SIZE
    while size <= min(len(head), MAX_PAGE_SIZE):
        if size != page_size and _BODY.unpack_from(head, HEADER_SIZE)[1] == size:
            try:
                check_page(head[:size], 0)
            except CorruptPage:
                return 0
            return size
        size *= 2
    return 0


def _wrong_size(path: str, expected: int, found: int) -> BadFormat:
    return BadFormat(path, "page size", expected, found, f"open it with page_size={found}")
