"""The page format, read and written byte by byte.

Offsets: magic 0..3, page id u32 4..7, type u8 8, record count u16 9..10, free space offset u16
11..12, checksum u32 13..16, body from 17. Everything little-endian.
"""

from __future__ import annotations

import binascii
from itertools import pairwise
from typing import NamedTuple

__all__ = [
    "HEADER_SIZE",
    "MAGIC",
    "PAGE_SIZE",
    "SLOT_SIZE",
    "TOMBSTONE",
    "DecodedPage",
    "FileHeader",
    "decode_file_header",
    "decode_page",
    "encode_page",
    "page_crc",
]

PAGE_SIZE = 4096
MAGIC = b"OOR1"
HEADER_SIZE = 17
SLOT_SIZE = 4
TOMBSTONE = 0xFFFF

_OVERFLOW_BIT = 0x8000


class DecodedPage(NamedTuple):
    """The fields of one page; `slots` and `records` have one entry per slot of the directory.

    A slot is (offset, length) as stored, a record its bytes, or ``None`` for a tombstone.
    Pages of another type than DATA (1) and INDEX (2) have no slots.
    """

    magic: bytes
    page_id: int
    page_type: int
    record_count: int
    free_space_offset: int
    checksum: int
    slots: list[tuple[int, int]]
    records: list[bytes | None]


class FileHeader(NamedTuple):
    """The body of page 0."""

    version: int
    page_size: int
    page_count: int
    free_head: int
    free_count: int
    flags: int
    roots: tuple[int, ...]


def _int(raw: bytes, start: int, stop: int) -> int:
    return int.from_bytes(raw[start:stop], "little")


def page_crc(raw: bytes | bytearray | memoryview) -> int:
    """CRC-32 of everything in the page but bytes 13..16."""
    page = bytes(raw)
    return binascii.crc32(page[:13] + page[17:])


def decode_page(raw: bytes | bytearray | memoryview) -> DecodedPage:
    """Take a page apart without judging it; `ValueError` if a slot points outside the page."""
    page = bytes(raw)
    if len(page) < HEADER_SIZE:
        raise ValueError(f"Expected a page, got {len(page)} bytes")
    count, page_type = _int(page, 9, 11), page[8]
    slots: list[tuple[int, int]] = []
    records: list[bytes | None] = []
    for i in range(count if page_type in (1, 2) else 0):
        at = HEADER_SIZE + SLOT_SIZE * i
        offset, length = _int(page, at, at + 2), _int(page, at + 2, at + 4)
        slots.append((offset, length))
        size = length % _OVERFLOW_BIT
        if at + SLOT_SIZE > len(page) or (offset != TOMBSTONE and offset + size > len(page)):
            raise ValueError(f"Slot {i} spans bytes {offset}..{offset + size} of {len(page)}")
        records.append(None if offset == TOMBSTONE else page[offset : offset + size])
    return DecodedPage(
        magic=page[:4],
        page_id=_int(page, 4, 8),
        page_type=page_type,
        record_count=count,
        free_space_offset=_int(page, 11, 13),
        checksum=_int(page, 13, 17),
        slots=slots,
        records=records,
    )


def decode_file_header(raw: bytes | bytearray | memoryview) -> FileHeader:
    """The fields of page 0."""
    page = bytes(raw)
    ends = (17, 19, 23, 27, 31, 35, 39)
    version, size, count, head, free, flags = (_int(page, a, b) for a, b in pairwise(ends))
    roots = tuple(_int(page, 39 + 8 * i, 47 + 8 * i) for i in range(16))
    return FileHeader(version, size, count, head, free, flags, roots)


def encode_page(
    page_id: int,
    body: bytes = b"",
    *,
    page_type: int = 1,
    record_count: int = 0,
    free_space_offset: int | None = None,
    page_size: int = PAGE_SIZE,
) -> bytes:
    """A sealed page: header, `body` (zeros after it), checksum."""
    if len(body) > page_size - HEADER_SIZE:
        raise ValueError(f"Expected at most {page_size - HEADER_SIZE} bytes, got {len(body)}")
    start = page_size if free_space_offset is None else free_space_offset
    head = MAGIC + page_id.to_bytes(4, "little") + bytes([page_type])
    head += record_count.to_bytes(2, "little") + start.to_bytes(2, "little")
    body = body.ljust(page_size - HEADER_SIZE, b"\0")
    return head + binascii.crc32(head + body).to_bytes(4, "little") + body
