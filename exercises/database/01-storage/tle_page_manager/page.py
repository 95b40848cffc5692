"""One page as bytes: header, checksum, slotted records.

    0       4        8     9              11                   13          17
    | magic | page id | type | record count | free space offset | checksum | body ... |
      4s      u32       u8     u16            u16                 u32

All integers are little-endian. The body of a slotted page is two regions that grow towards each
other: the slot directory up from byte 17 (offset u16, length u16), the records down from the end.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from .errors import BadMagic, BadPageType, BadSlot, ChecksumMismatch, CorruptPage, MisdirectedPage

PAGE_SIZE = 4096
MAGIC = b"OOR1"
HEADER_SIZE = 17
SLOT_SIZE = 4
TOMBSTONE = 0xFFFF
USABLE = PAGE_SIZE - HEADER_SIZE
MAX_INLINE = USABLE - SLOT_SIZE

HEADER = struct.Struct("<4sIBHHI")
COUNT_AND_OFFSET = struct.Struct("<HH")  # record_count and free_space_offset, at byte 9
SLOT = struct.Struct("<HH")  # offset and length
CHECKSUM = struct.Struct("<I")  # at byte 13
COUNT_AT, CHECKSUM_AT = 9, 13
DEAD = SLOT.pack(TOMBSTONE, 0)
OVERFLOW_BIT = 0x8000  # in a slot's length: the slot holds a pointer to a chain of pages

Buffer = bytes | bytearray | memoryview


class PageType(IntEnum):
    FILE_HEADER = 0
    DATA = 1
    INDEX = 2
    FREE = 3
    OVERFLOW = 4


class RecordId(NamedTuple):
    """Where a record is: stays true until the record is deleted, also through compaction."""

    page_id: int
    slot: int


@dataclass(frozen=True, slots=True)
class PageHeader:
    """The first 17 bytes of every page. `record_count` is the length of the slot directory."""

    page_id: int
    page_type: PageType
    record_count: int = 0
    free_space_offset: int = HEADER_SIZE
    checksum: int = 0

    def pack(self) -> bytes:
        """The 17 bytes, magic first."""
        raise NotImplementedError(
            "database/01-storage #1: PageHeader.pack() - struct \"<4sIBHHI\", magic first, 17 bytes"
        )

    @classmethod
    def unpack(cls, buf: Buffer) -> PageHeader:
        """Read the header of `buf`; `CorruptPage` if it is too short, `BadMagic`, `BadPageType`."""
        raise NotImplementedError(
            "database/01-storage #1: PageHeader.unpack() - undo pack(); a wrong magic is BadMagic"
        )


def page_checksum(page: Buffer) -> int:
    """CRC-32 of the whole page except its checksum field, bytes 13..16."""
    raise NotImplementedError(
        "database/01-storage #2: page_checksum() - zlib.crc32 over bytes 0..12, continued over 17..end"
    )


def seal(page: bytearray | memoryview) -> int:
    """Write the checksum into bytes 13..16 of `page` and return it."""
    raise NotImplementedError(
        "database/01-storage #2: seal() - store page_checksum(page) little-endian at byte 13"
    )


def verify(page: Buffer, page_id: int) -> PageHeader:
    """Raise unless `page` is a whole page that belongs at `page_id`; return its header.

    In this order: `BadMagic`, `ChecksumMismatch`, `MisdirectedPage`, `BadPageType`.
    """
    raise NotImplementedError(
        "database/01-storage #2: verify() - magic, checksum, page id, type, in this order"
    )


class SlottedPage:
    """Records of any length inside one page, under slot numbers that never change.

    A view over a buffer that somebody else owns (a pinned frame, a bytearray): creating one reads
    nothing and copies nothing.
    """

    __slots__ = ("buf",)

    def __init__(self, buf: bytearray | memoryview) -> None:
        self.buf = buf if type(buf) is memoryview else memoryview(buf)

    @classmethod
    def format(
        cls, buf: bytearray | memoryview, page_id: int, page_type: PageType = PageType.DATA
    ) -> SlottedPage:
        """Make `buf` an empty page: a header, then zeros. An empty page starts its records at
        `len(buf)`, the page's end."""
        raise NotImplementedError(
            "database/01-storage #4: SlottedPage.format() - a header with free_space_offset=len(buf)"
        )

    @property
    def page_id(self) -> int:
        return int(HEADER.unpack_from(self.buf)[1])

    @property
    def slot_count(self) -> int:
        """Slots in the directory, tombstones included."""
        return int(COUNT_AND_OFFSET.unpack_from(self.buf, COUNT_AT)[0])

    @property
    def live_count(self) -> int:
        """Slots that hold a record."""
        raise NotImplementedError(
            "database/01-storage #5: live_count - slots that are not tombstones"
        )

    @property
    def free_contiguous(self) -> int:
        """Bytes between the end of the directory and the first record."""
        raise NotImplementedError(
            "database/01-storage #4: free_contiguous - from the directory's end to free_space_offset"
        )

    @property
    def free_total(self) -> int:
        """Bytes that hold neither header, directory nor a live record."""
        raise NotImplementedError(
            "database/01-storage #5: free_total - page size less header, directory and live records"
        )

    def insert(self, record: Buffer, *, reuse_slots: bool = True) -> int | None:
        """Store `record` and return its slot, or `None`, with no byte changed, if it does not fit.

        The lowest tombstone is taken again, which costs no directory space, unless `reuse_slots` is
        false. Only contiguous space counts: this method never compacts.
        """
        raise NotImplementedError(
            "database/01-storage #4: SlottedPage.insert() - lowest tombstone, else append; None if full"
        )

    def get(self, slot: int) -> memoryview | None:
        """The record's bytes without a copy; `None` for a tombstone or a slot that never was.

        `BadSlot` if the directory points outside the record region.
        """
        raise NotImplementedError(
            "database/01-storage #4: SlottedPage.get() - a slice of the page; no slot, no record: None"
        )

    def delete(self, slot: int) -> bool:
        """Turn the slot into a tombstone; `False` if there is no record. The bytes stay."""
        raise NotImplementedError(
            "database/01-storage #5: SlottedPage.delete() - offset 0xFFFF, length 0; False the second time"
        )

    def compact(self) -> int:
        """Move the live records together at the page's end, keeping every slot id.

        Freed bytes become zero. Returns by how much `free_contiguous` grew.
        """
        raise NotImplementedError(
            "database/01-storage #5: compact() - keep every slot id, zero what is freed"
        )

    def check(self) -> None:
        """`BadSlot` if a slot points outside the record region or two records overlap."""
        raise NotImplementedError(
            "database/01-storage #4: check() - every record inside the record region, none overlapping"
        )

    def _counts(self) -> tuple[int, int]:
        """record_count and free_space_offset; `BadSlot` if directory and records overlap."""
        count, start = COUNT_AND_OFFSET.unpack_from(self.buf, COUNT_AT)
        end = HEADER_SIZE + SLOT_SIZE * count
        if not end <= start <= len(self.buf):
            raise BadSlot(self.page_id, count, f"the directory ends at {end}, records at {start}")
        return count, start
