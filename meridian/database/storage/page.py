"""A page: the unit that is read, written, checked and cached.

Every page opens with the same 17 bytes, little-endian::

    0    4    8    9             11                  13         17
    OOR1 | id | type | record_count | free_space_offset | checksum | body ...

The checksum is the CRC-32 of everything but its own four bytes, so a flipped bit in the header is
found like any other, and the page's own id in the header tells a page written in the wrong place
from the right one (Petrov, *Database Internals*, ch. 3).
"""

from __future__ import annotations

import operator
import re
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from meridian.database.storage.errors import (
    BadMagic,
    BadPageType,
    ChecksumMismatch,
    MisdirectedPage,
)

if TYPE_CHECKING:
    from meridian.database.storage.slotted_page import SlottedPage

__all__ = [
    "HEADER_SIZE",
    "MAGIC",
    "MAX_INLINE",
    "MAX_PAGE_SIZE",
    "MIN_PAGE_SIZE",
    "PAGE_SIZE",
    "SLOT_SIZE",
    "TOMBSTONE",
    "USABLE",
    "Buffer",
    "PageHeader",
    "PageType",
    "SlottedPage",
    "check_page_size",
    "format_page",
    "max_inline",
    "page_checksum",
    "seal",
    "verify",
]

Buffer = bytes | bytearray | memoryview

PAGE_SIZE = 4096
MIN_PAGE_SIZE = 512
MAX_PAGE_SIZE = 32768  # slot offsets are u16, and 0xFFFF marks a deleted slot
MAGIC = b"OOR1"
HEADER_SIZE = 17
SLOT_SIZE = 4
TOMBSTONE = 0xFFFF
USABLE = PAGE_SIZE - HEADER_SIZE
MAX_INLINE = USABLE - SLOT_SIZE

_REFERENCES = re.compile("[O&XPz]")  # in a buffer's format: objects, pointers, functions
_FIELD_NAMES = re.compile(":[^:]*:")
_HEADER = struct.Struct("<4sIBHHI")
_CHECKED_BEFORE = 13  # the checksum's own place is bytes 13..16
_CHECKSUM = struct.Struct("<I")


class PageType(IntEnum):
    """What a page holds."""

    FILE_HEADER = 0
    DATA = 1
    INDEX = 2
    FREE = 3
    OVERFLOW = 4


_LAST_TYPE = int(PageType.OVERFLOW)  # a member of an enum takes longer to find and to compare


@dataclass(frozen=True, slots=True)
class PageHeader:
    """The first 17 bytes of a page as values.

    In a slotted page `record_count` is the length of the slot directory, deleted slots included,
    and `free_space_offset` is where the record region starts: the page size while it is empty.
    """

    page_id: int
    page_type: PageType
    record_count: int = 0
    free_space_offset: int = HEADER_SIZE
    checksum: int = 0

    def pack(self) -> bytes:
        """The 17 bytes; `ValueError` if there is no such type, or a field exceeds its width."""
        try:
            return _HEADER.pack(
                MAGIC,
                self.page_id,
                PageType(self.page_type),
                self.record_count,
                self.free_space_offset,
                self.checksum,
            )
        except struct.error as error:
            raise ValueError(f"{self} does not fit the page header: {error}") from None

    def pack_into(self, buf: bytearray | memoryview) -> None:
        """Write the 17 bytes at the start of `buf`."""
        packed = self.pack()
        view = writable_view(buf, "a header's place")
        if len(view) < HEADER_SIZE:
            raise ValueError(f"Expected at least {HEADER_SIZE} bytes for a header, got {len(view)}")
        view[:HEADER_SIZE] = packed

    @classmethod
    def unpack(cls, buf: Buffer) -> PageHeader:
        """Read the header at the start of `buf`.

        Raises `ValueError` if `buf` is shorter than a header, `BadMagic` and `BadPageType` if
        these two fields are wrong. The checksum is not compared: that is `verify`.
        """
        view = byte_view(buf)
        if len(view) < HEADER_SIZE:
            raise ValueError(f"Expected at least {HEADER_SIZE} bytes of header, got {len(view)}")
        magic, page_id, page_type, count, offset, checksum = _HEADER.unpack_from(view)
        if magic != MAGIC:
            raise BadMagic(page_id, magic)
        if page_type > PageType.OVERFLOW:
            raise BadPageType(page_id, page_type)
        return cls(page_id, PageType(page_type), count, offset, checksum)


def page_checksum(page: Buffer) -> int:
    """CRC-32 (IEEE, as in zlib and Ethernet) of a whole page without its checksum field."""
    view = _page_view(page)
    return zlib.crc32(view[HEADER_SIZE:], zlib.crc32(view[:_CHECKED_BEFORE]))


def seal(page: bytearray | memoryview) -> int:
    """Compute the checksum of `page`, store it in the header, return it."""
    return seal_view(_page_view(page, "a page to seal"))


def seal_view(view: memoryview) -> int:
    """`seal` for a view known to be a writable page."""
    checksum = zlib.crc32(view[HEADER_SIZE:], zlib.crc32(view[:_CHECKED_BEFORE]))
    _CHECKSUM.pack_into(view, _CHECKED_BEFORE, checksum)
    return checksum


def verify(page: Buffer, page_id: int) -> PageHeader:
    """Check that `page` is whole and is page `page_id`; return its header.

    Raises, in this order of tests, `BadMagic`, `ChecksumMismatch`, `MisdirectedPage`,
    `BadPageType`.
    """
    view = _page_view(page)
    check_page(view, as_int(page_id, "page_id"))
    return PageHeader.unpack(view)


def check_page(view: memoryview, page_id: int) -> int:
    """`verify` for a view known to be a page; returns the type alone, which costs less."""
    magic, found_id, page_type, _, _, stored = _HEADER.unpack_from(view)
    if magic != MAGIC:
        raise BadMagic(page_id, magic)
    computed = zlib.crc32(view[HEADER_SIZE:], zlib.crc32(view[:_CHECKED_BEFORE]))
    if computed != stored:
        raise ChecksumMismatch(page_id, stored, computed)
    if found_id != page_id:
        raise MisdirectedPage(page_id, found_id)
    if page_type > _LAST_TYPE:
        raise BadPageType(page_id, page_type)
    return page_type  # type: ignore[no-any-return]


def format_page(page: bytearray | memoryview, page_id: int, page_type: PageType) -> None:
    """Make `page` an empty page: zeroed body, header, no records. Not sealed."""
    view = _page_view(page, "a page to format")
    format_view(view, page_id, PageType(page_type))


def format_view(view: memoryview, page_id: int, page_type: int) -> None:
    """`format_page` for a view known to be a writable page."""
    size = len(view)
    try:
        header = _HEADER.pack(MAGIC, page_id, page_type, 0, size, 0)
    except struct.error as error:
        raise ValueError(f"Page {page_id} of type {page_type}: {error}") from None
    view[:] = header + bytes(size - HEADER_SIZE)


def check_page_size(page_size: int) -> int:
    """Return `page_size`, or raise `ValueError` unless it is a power of two from 512 to 32768."""
    page_size = as_int(page_size, "page_size")
    if not MIN_PAGE_SIZE <= page_size <= MAX_PAGE_SIZE or page_size & (page_size - 1):
        raise ValueError(
            f"Expected page_size a power of two, {MIN_PAGE_SIZE}..{MAX_PAGE_SIZE}, got {page_size}"
        )
    return page_size


def max_inline(page_size: int) -> int:
    """The longest record that fits a page of `page_size` bytes, in bytes."""
    return page_size - HEADER_SIZE - SLOT_SIZE


def as_int(value: int, name: str) -> int:
    """`value` as Python's own int, NumPy's being as narrow as they are; `TypeError` if it is none.

    Of the arithmetic on ids and offsets none may wrap, so every public function converts first.
    """
    if type(value) is int:
        return value
    if not isinstance(value, bool):
        with suppress(TypeError):  # NumPy's bool and floats
            return operator.index(value)
    raise TypeError(f"Expected {name} as int, got {type(value).__name__}")


def byte_view(buf: Buffer) -> memoryview:
    """`buf` as a flat view of bytes; what cannot be viewed in place is copied.

    Raises `TypeError` if `buf` is not bytes-like, or holds references rather than values.
    """
    try:
        # A view is passed on as it is: when its owner releases it, we lose it too.
        view = buf if type(buf) is memoryview else memoryview(buf)
    except (TypeError, ValueError):  # NumPy has items that it does not lend, such as dates
        raise TypeError(f"Expected bytes-like, got {_kind(buf)}") from None
    if view.format == "B":
        if view.ndim == 1 and view.c_contiguous:
            return view
    elif _REFERENCES.search(_FIELD_NAMES.sub("", view.format)):
        raise TypeError(f"Expected bytes-like, got {_kind(buf)}")
    return view.cast("B") if view.c_contiguous else memoryview(view.tobytes())


def writable_view(buf: Buffer, what: str) -> memoryview:
    """`byte_view` of a buffer to change in place; `TypeError` naming `what` if that cannot be."""
    view = byte_view(buf)
    if view.readonly:
        whole = memoryview(buf)
        fault = "a read-only buffer" if whole.c_contiguous else "one with gaps between its bytes"
        raise TypeError(f"Expected {what} in a writable, contiguous buffer, got {fault}")
    return view


def _kind(buf: object) -> str:
    """How to call `buf` in a message: its type, and what its items are."""
    dtype = getattr(buf, "dtype", None)
    return type(buf).__name__ + (f" of {dtype}" if dtype is not None else "")


def _page_view(page: Buffer, to_change: str = "") -> memoryview:
    view = writable_view(page, to_change) if to_change else byte_view(page)
    if len(view) <= HEADER_SIZE:
        raise ValueError(f"Expected a page, got only {len(view)} bytes")
    return view


def __getattr__(name: str) -> object:
    # `SlottedPage` is part of the page format; its file imports this one, so it comes on demand.
    if name == "SlottedPage":
        from meridian.database.storage.slotted_page import SlottedPage

        return SlottedPage
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
