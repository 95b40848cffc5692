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
        ### BEGIN SOLUTION #1: PageHeader.pack() - struct "<4sIBHHI", magic first, 17 bytes
        return HEADER.pack(
            MAGIC,
            self.page_id,
            self.page_type,
            self.record_count,
            self.free_space_offset,
            self.checksum,
        )
        ### END SOLUTION

    @classmethod
    def unpack(cls, buf: Buffer) -> PageHeader:
        """Read the header of `buf`; `CorruptPage` if it is too short, `BadMagic`, `BadPageType`."""
        ### BEGIN SOLUTION #1: PageHeader.unpack() - undo pack(); a wrong magic is BadMagic
        if len(buf) < HEADER_SIZE:
            raise CorruptPage(-1, f"{len(buf)} bytes hold no header of {HEADER_SIZE}")
        magic, page_id, page_type, count, offset, checksum = HEADER.unpack_from(buf)
        if magic != MAGIC:
            raise BadMagic(page_id, magic)
        if page_type > PageType.OVERFLOW:
            raise BadPageType(page_id, page_type)
        return cls(page_id, PageType(page_type), count, offset, checksum)
        ### END SOLUTION


def page_checksum(page: Buffer) -> int:
    """CRC-32 of the whole page except its checksum field, bytes 13..16."""
    ### BEGIN SOLUTION #2: page_checksum() - zlib.crc32 over bytes 0..12, continued over 17..end
    view = memoryview(page)
    return zlib.crc32(view[HEADER_SIZE:], zlib.crc32(view[:CHECKSUM_AT]))
    ### END SOLUTION


def seal(page: bytearray | memoryview) -> int:
    """Write the checksum into bytes 13..16 of `page` and return it."""
    ### BEGIN SOLUTION #2: seal() - store page_checksum(page) little-endian at byte 13
    checksum = page_checksum(page)
    CHECKSUM.pack_into(page, CHECKSUM_AT, checksum)
    return checksum
    ### END SOLUTION


def verify(page: Buffer, page_id: int) -> PageHeader:
    """Raise unless `page` is a whole page that belongs at `page_id`; return its header.

    In this order: `BadMagic`, `ChecksumMismatch`, `MisdirectedPage`, `BadPageType`.
    """
    ### BEGIN SOLUTION #2: verify() - magic, checksum, page id, type, in this order
    if len(page) < HEADER_SIZE:
        raise CorruptPage(page_id, f"{len(page)} bytes hold no header of {HEADER_SIZE}")
    magic, found, page_type, count, offset, stored = HEADER.unpack_from(page)
    if magic != MAGIC:
        raise BadMagic(page_id, magic)
    computed = page_checksum(page)
    if stored != computed:
        raise ChecksumMismatch(page_id, stored, computed)
    if found != page_id:
        raise MisdirectedPage(page_id, found)
    if page_type > PageType.OVERFLOW:
        raise BadPageType(page_id, page_type)
    return PageHeader(found, PageType(page_type), count, offset, stored)
    ### END SOLUTION


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
        ### BEGIN SOLUTION #4: SlottedPage.format() - a header with free_space_offset=len(buf)
        view = memoryview(buf)
        view[:] = bytes(len(view))
        HEADER.pack_into(view, 0, MAGIC, page_id, page_type, 0, len(view), 0)
        return cls(view)
        ### END SOLUTION

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
        ### BEGIN SOLUTION #5: live_count - slots that are not tombstones
        return len(self._live())
        ### END SOLUTION

    @property
    def free_contiguous(self) -> int:
        """Bytes between the end of the directory and the first record."""
        ### BEGIN SOLUTION #4: free_contiguous - from the directory's end to free_space_offset
        count, start = self._counts()
        return start - HEADER_SIZE - SLOT_SIZE * count
        ### END SOLUTION

    @property
    def free_total(self) -> int:
        """Bytes that hold neither header, directory nor a live record."""
        ### BEGIN SOLUTION #5: free_total - page size less header, directory and live records
        end = HEADER_SIZE + SLOT_SIZE * self._counts()[0]
        sizes = (size & ~OVERFLOW_BIT for _, size in SLOT.iter_unpack(self.buf[HEADER_SIZE:end]))
        live: int = sum(sizes)  # a tombstone has length 0
        return len(self.buf) - end - live
        ### END SOLUTION

    def insert(self, record: Buffer, *, reuse_slots: bool = True) -> int | None:
        """Store `record` and return its slot, or `None`, with no byte changed, if it does not fit.

        The lowest tombstone is taken again, which costs no directory space, unless `reuse_slots` is
        false. Only contiguous space counts: this method never compacts.
        """
        ### BEGIN SOLUTION #4: SlottedPage.insert() - lowest tombstone, else append; None if full
        buf = self.buf
        count, start = COUNT_AND_OFFSET.unpack_from(buf, COUNT_AT)  # _counts(), but hot
        slot: int = count
        if reuse_slots:
            # Two live slots never contain these bytes, at any alignment.
            found = bytes(buf[HEADER_SIZE : HEADER_SIZE + SLOT_SIZE * count]).find(DEAD)
            if found >= 0:
                slot = found // SLOT_SIZE
        if slot == count:
            count += 1
        offset = start - len(record)
        if offset < HEADER_SIZE + SLOT_SIZE * count:
            return None
        if start > len(buf):
            self._counts()  # raises
        buf[offset:start] = record
        SLOT.pack_into(buf, HEADER_SIZE + SLOT_SIZE * slot, offset, start - offset)
        COUNT_AND_OFFSET.pack_into(buf, COUNT_AT, count, offset)
        return slot
        ### END SOLUTION

    def get(self, slot: int) -> memoryview | None:
        """The record's bytes without a copy; `None` for a tombstone or a slot that never was.

        `BadSlot` if the directory points outside the record region.
        """
        ### BEGIN SOLUTION #4: SlottedPage.get() - a slice of the page; no slot, no record: None
        buf = self.buf
        count, start = COUNT_AND_OFFSET.unpack_from(buf, COUNT_AT)  # _counts(), but hot
        if not 0 <= slot < count:
            return None
        at = HEADER_SIZE + SLOT_SIZE * slot
        if at >= start or start > len(buf):
            self._counts()  # raises
        offset, length = SLOT.unpack_from(buf, at)
        if offset == TOMBSTONE:
            return None
        end = offset + (length & ~OVERFLOW_BIT)
        if offset < start or end > len(buf):
            raise BadSlot(self.page_id, slot, f"bytes {offset}..{end} are no record")
        return buf[offset:end]
        ### END SOLUTION

    def delete(self, slot: int) -> bool:
        """Turn the slot into a tombstone; `False` if there is no record. The bytes stay."""
        ### BEGIN SOLUTION #5: SlottedPage.delete() - offset 0xFFFF, length 0; False the second time
        if self.get(slot) is None:
            return False
        SLOT.pack_into(self.buf, HEADER_SIZE + SLOT_SIZE * slot, TOMBSTONE, 0)
        return True
        ### END SOLUTION

    def compact(self) -> int:
        """Move the live records together at the page's end, keeping every slot id.

        Freed bytes become zero. Returns by how much `free_contiguous` grew.
        """
        ### BEGIN SOLUTION #5: compact() - keep every slot id, zero what is freed
        self.check()
        before = self.free_contiguous
        kept = [(slot, size, bytes(self.buf[at : at + size])) for slot, at, size in self._live()]
        count, start = self.slot_count, len(self.buf)
        for slot, size, record in kept:
            flag = OVERFLOW_BIT if self._is_overflow(slot) else 0
            start -= size
            self.buf[start : start + size] = record
            SLOT.pack_into(self.buf, HEADER_SIZE + SLOT_SIZE * slot, start, size | flag)
        end = HEADER_SIZE + SLOT_SIZE * count
        self.buf[end:start] = bytes(start - end)
        COUNT_AND_OFFSET.pack_into(self.buf, COUNT_AT, count, start)
        return self.free_contiguous - before
        ### END SOLUTION

    def check(self) -> None:
        """`BadSlot` if a slot points outside the record region or two records overlap."""
        ### BEGIN SOLUTION #4: check() - every record inside the record region, none overlapping
        _, start = self._counts()
        for slot, at, size in sorted(self._live(), key=lambda entry: (entry[1], entry[2])):
            if at < start or at + size > len(self.buf):
                raise BadSlot(self.page_id, slot, f"bytes {at}..{at + size} overlap or run out")
            start = at + size
        ### END SOLUTION

    def _counts(self) -> tuple[int, int]:
        """record_count and free_space_offset; `BadSlot` if directory and records overlap."""
        count, start = COUNT_AND_OFFSET.unpack_from(self.buf, COUNT_AT)
        end = HEADER_SIZE + SLOT_SIZE * count
        if not end <= start <= len(self.buf):
            raise BadSlot(self.page_id, count, f"the directory ends at {end}, records at {start}")
        return count, start

    ### BEGIN SOLUTION
    def _is_overflow(self, slot: int) -> bool:
        return bool(SLOT.unpack_from(self.buf, HEADER_SIZE + SLOT_SIZE * slot)[1] & OVERFLOW_BIT)

    def _mark_overflow(self, slot: int) -> None:
        at = HEADER_SIZE + SLOT_SIZE * slot
        offset, length = SLOT.unpack_from(self.buf, at)
        SLOT.pack_into(self.buf, at, offset, length | OVERFLOW_BIT)

    def _live(self) -> list[tuple[int, int, int]]:
        """(slot, offset, length) of every record."""
        end = HEADER_SIZE + SLOT_SIZE * self._counts()[0]
        entries = enumerate(SLOT.iter_unpack(self.buf[HEADER_SIZE:end]))
        return [(slot, at, size & ~OVERFLOW_BIT) for slot, (at, size) in entries if at != TOMBSTONE]

    ### END SOLUTION
