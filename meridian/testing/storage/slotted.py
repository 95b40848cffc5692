"""What a slotted page must answer, as a list of records and one number."""

from __future__ import annotations

from meridian.testing.storage.format import HEADER_SIZE, PAGE_SIZE, SLOT_SIZE

__all__ = ["SlottedPageModel"]


class SlottedPageModel:
    """The records of one page, and where the record region starts.

    Which bytes a record occupies is left to the implementation; how much space there is, is not.
    """

    def __init__(self, page_size: int = PAGE_SIZE) -> None:
        self.page_size = page_size
        self.records: list[bytes | None] = []
        self._start = page_size

    @property
    def slot_count(self) -> int:
        return len(self.records)

    @property
    def live_count(self) -> int:
        return sum(record is not None for record in self.records)

    @property
    def free_contiguous(self) -> int:
        return self._start - HEADER_SIZE - SLOT_SIZE * len(self.records)

    @property
    def free_total(self) -> int:
        live = sum(len(record) for record in self.records if record is not None)
        return self.page_size - HEADER_SIZE - SLOT_SIZE * len(self.records) - live

    def insert(self, record: bytes, *, reuse_slots: bool = True) -> int | None:
        """The slot of the new record, or ``None`` if it does not fit contiguously."""
        if reuse_slots and None in self.records:
            slot, need = self.records.index(None), len(record)
        else:
            slot, need = len(self.records), len(record) + SLOT_SIZE
        if need > self.free_contiguous:
            return None
        if slot == len(self.records):
            self.records.append(None)
        self.records[slot] = bytes(record)
        self._start -= len(record)
        return slot

    def get(self, slot: int) -> bytes | None:
        return self.records[slot] if 0 <= slot < len(self.records) else None

    def delete(self, slot: int) -> bool:
        if self.get(slot) is None:
            return False
        self.records[slot] = None
        return True

    def update(self, slot: int, record: bytes) -> bool:
        """Not longer: in place. Longer: moved, after compaction if only that makes room."""
        old = self.get(slot)
        if old is None:
            return False
        if len(record) > len(old):
            if len(record) > self.free_total + len(old):
                return False
            self.records[slot] = None
            if len(record) > self.free_contiguous:
                self.compact()
            self._start -= len(record)
        self.records[slot] = bytes(record)
        return True

    def compact(self) -> int:
        """By how much `free_contiguous` grew."""
        gained = self.free_total - self.free_contiguous
        self._start += gained
        return gained
