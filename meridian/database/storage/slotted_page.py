"""Records of any length inside one page, under ids that survive moving them.

The slot directory grows up from byte 17, four bytes per slot (offset u16, length u16); records
grow down from the end of the page::

    header | slot 0 | slot 1 | ... ->  free  <- ... | record 1 | record 0

A record is named by its slot, never by its offset, so compaction may move it (Petrov, *Database
Internals*, ch. 3, "Slotted pages"; Gray and Reuter, *Transaction Processing*, 14.4).
"""

from __future__ import annotations

import struct
from itertools import pairwise

from meridian.database.storage.errors import BadSlot
from meridian.database.storage.page import (
    HEADER_SIZE,
    SLOT_SIZE,
    TOMBSTONE,
    Buffer,
    PageType,
    as_int,
    byte_view,
    check_page_size,
    format_page,
)

__all__ = ["LENGTH_MASK", "OVERFLOW_BIT", "SlottedPage"]

OVERFLOW_BIT = 0x8000  # in a slot's length: the bytes are the stub of an overflow chain
LENGTH_MASK = 0x7FFF

_COUNTS = struct.Struct("<HH")  # at byte 9: slot count, start of the record region
_COUNTS_AT = 9
_SLOT = struct.Struct("<HH")
_DELETED = b"\xff\xff\x00\x00"


class SlottedPage:
    """A view on the bytes of one page that keeps its slot directory and records in order.

    It owns nothing: all state is in `buf`, a whole page that `format` or a page file made. The
    first free slot is reused, so whoever keeps record ids must forget an id before its slot is
    taken by another record.
    """

    __slots__ = ("_view",)

    def __init__(self, buf: Buffer) -> None:
        self._view = byte_view(buf)
        if self._view.readonly and not memoryview(buf).c_contiguous:  # that would be a copy
            raise TypeError("Expected a page in a contiguous buffer, got one with gaps")
        check_page_size(len(self._view))

    @classmethod
    def format(
        cls,
        buf: bytearray | memoryview,
        page_id: int,
        page_type: PageType = PageType.DATA,
    ) -> SlottedPage:
        """Turn `buf` into an empty slotted page and return a view on it."""
        page = cls(buf)
        format_page(page._view, page_id, page_type)
        return page

    @property
    def page_id(self) -> int:
        return int.from_bytes(self._view[4:8], "little")

    @property
    def slot_count(self) -> int:
        """Length of the slot directory, deleted slots included."""
        return self._counts()[0]

    @property
    def live_count(self) -> int:
        """Number of records."""
        return sum(1 for offset, _ in self._slots() if offset != TOMBSTONE)

    @property
    def free_contiguous(self) -> int:
        """Bytes between the slot directory and the record region."""
        count, start = self._counts()
        return start - HEADER_SIZE - SLOT_SIZE * count

    @property
    def free_total(self) -> int:
        """Bytes that are neither header, slot nor record: what `compact` makes contiguous."""
        slots = self._slots()
        live = sum(length & LENGTH_MASK for offset, length in slots if offset != TOMBSTONE)
        return len(self._view) - HEADER_SIZE - SLOT_SIZE * len(slots) - live

    def insert(
        self, record: Buffer, *, overflow: bool = False, reuse_slots: bool = True
    ) -> int | None:
        """Store `record` and return its slot, or ``None``, page unchanged, if it does not fit.

        Takes the lowest deleted slot unless `reuse_slots` is false; a new slot costs 4 bytes more.
        `overflow` marks the record as the stub of an overflow chain.
        """
        data = self._record(record)
        count, start = self._counts()
        slot = self._first_deleted(count) if reuse_slots else count
        directory_end = _slot_at(max(count, slot + 1))
        offset = start - len(data)
        if offset < directory_end:
            return None
        self._view[offset:start] = data
        self._set_slot(slot, offset, len(data) | (OVERFLOW_BIT if overflow else 0))
        _COUNTS.pack_into(self._view, _COUNTS_AT, max(count, slot + 1), offset)
        return slot

    def get(self, slot: int) -> memoryview | None:
        """The bytes of the record in `slot`, in place, or ``None`` if there is none.

        Raises `BadSlot` if the directory points outside the record region.
        """
        entry = self.locate(slot)
        return None if entry is None else self._view[entry[0] : entry[0] + entry[1]]

    def is_overflow(self, slot: int) -> bool:
        """Whether `slot` holds the stub of an overflow chain."""
        slot = as_int(slot, "slot")
        if self.locate(slot) is None:
            return False
        return bool(_SLOT.unpack_from(self._view, _slot_at(slot))[1] & OVERFLOW_BIT)

    def delete(self, slot: int) -> bool:
        """Mark `slot` as deleted; ``False`` if it holds no record."""
        slot = as_int(slot, "slot")
        if self.locate(slot) is None:
            return False
        self._set_slot(slot, TOMBSTONE, 0)
        return True

    def update(self, slot: int, record: Buffer, *, overflow: bool = False) -> bool:
        """Replace the record in `slot`; ``False``, page unchanged, if it is absent or too long.

        A record that is not longer stays where it is; a longer one moves inside the page, which
        is compacted if only that makes room.
        """
        data, slot = self._record(record), as_int(slot, "slot")
        entry = self.locate(slot)
        if entry is None:
            return False
        offset, old_length = entry
        flag = OVERFLOW_BIT if overflow else 0
        if len(data) <= old_length:
            self._view[offset : offset + len(data)] = data
            self._set_slot(slot, offset, len(data) | flag)
            return True
        if len(data) > self.free_total + old_length:
            return False
        if len(data) > self.free_contiguous:
            self.check()  # before the first byte changes
            data = memoryview(bytes(data))  # it may be a view into this very page
            self._set_slot(slot, TOMBSTONE, 0)
            self.compact()
        count, start = self._counts()
        self._view[start - len(data) : start] = data
        self._set_slot(slot, start - len(data), len(data) | flag)
        _COUNTS.pack_into(self._view, _COUNTS_AT, count, start - len(data))
        return True

    def compact(self) -> int:
        """Push all records to the end of the page; return the contiguous bytes gained.

        Slot ids stay, freed bytes are zeroed, a second call does nothing. Raises `BadSlot`, page
        unchanged, if the directory is corrupt.
        """
        self.check()
        count, start = self._counts()
        old = bytes(self._view)
        end = len(old)
        for slot, (offset, length) in enumerate(self._slots()):
            if offset == TOMBSTONE:
                continue
            size = length & LENGTH_MASK
            self._view[end - size : end] = old[offset : offset + size]
            end -= size
            self._set_slot(slot, end, length)
        directory_end = _slot_at(count)
        self._view[directory_end:end] = bytes(end - directory_end)
        _COUNTS.pack_into(self._view, _COUNTS_AT, count, end)
        return end - start

    def check(self) -> None:
        """Raise `BadSlot` if slots overlap each other, the directory, or leave the page."""
        _, start = self._counts()
        size = len(self._view)
        extents = []
        for slot, (offset, length) in enumerate(self._slots()):
            end = offset + (length & LENGTH_MASK)
            if offset == TOMBSTONE:
                if length:
                    raise BadSlot(self.page_id, slot, f"is deleted but has length {length}")
            elif offset < start or end > size:
                raise BadSlot(
                    self.page_id, slot, f"spans bytes {offset}..{end} outside {start}..{size}"
                )
            else:
                extents.append((offset, end, slot))
        extents.sort()
        for (_, end, slot), (offset, _, other) in pairwise(extents):
            if offset < end:
                raise BadSlot(self.page_id, slot, f"overlaps slot {other} at byte {offset}")

    def _counts(self) -> tuple[int, int]:
        """Slot count and start of the record region, checked to lie in this order in the page."""
        count, start = _COUNTS.unpack_from(self._view, _COUNTS_AT)
        if not HEADER_SIZE + SLOT_SIZE * count <= start <= len(self._view):
            raise BadSlot(self.page_id, count, f"ends a directory, but records start at {start}")
        return count, start

    def _slots(self) -> list[tuple[int, int]]:
        end = HEADER_SIZE + SLOT_SIZE * self._counts()[0]
        return list(_SLOT.iter_unpack(self._view[HEADER_SIZE:end]))

    def locate(self, slot: int) -> tuple[int, int] | None:
        """Offset and length of the record in `slot`, or ``None``; errors as in `get`."""
        slot = as_int(slot, "slot")
        count, _ = self._counts()
        if not 0 <= slot < count:
            return None
        size = len(self._view)
        offset, length = _SLOT.unpack_from(self._view, _slot_at(slot))
        if offset == TOMBSTONE:
            return None
        length &= LENGTH_MASK
        if offset < _slot_at(count) or offset + length > size:
            raise BadSlot(self.page_id, slot, f"spans bytes {offset}..{offset + length} of {size}")
        return offset, length

    def _first_deleted(self, count: int) -> int:
        """The lowest deleted slot, or `count` if there is none."""
        directory = bytes(self._view[HEADER_SIZE : HEADER_SIZE + SLOT_SIZE * count])
        at = directory.find(_DELETED)
        while at >= 0 and at % SLOT_SIZE:  # four matching bytes that straddle two slots
            at = directory.find(_DELETED, at + 1)
        return at // SLOT_SIZE if at >= 0 else count

    def _set_slot(self, slot: int, offset: int, length: int) -> None:
        _SLOT.pack_into(self._view, _slot_at(slot), offset, length)

    def _record(self, record: Buffer) -> memoryview:
        if self._view.readonly:
            raise TypeError("Expected a writable page, got a read-only buffer")
        return byte_view(record)


def _slot_at(slot: int) -> int:
    return HEADER_SIZE + SLOT_SIZE * slot
