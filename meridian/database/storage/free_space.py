"""Which data page has room for a record: a map in memory, rebuilt whenever a file is opened."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from meridian.database.storage.page import SLOT_SIZE

__all__ = ["FreeSpaceMap"]

_CHUNK = 4096  # pages looked at per step of a search


class FreeSpaceMap:
    """Answer "which page takes `n` bytes?" without reading pages.

    Two numbers per page: free bytes in total, which compaction can make contiguous, and deleted
    slots, each of which spares a record the cost of a new slot. They are hints: the page itself
    has the last word. A search goes on where the last one ended, and remembers when it found
    nothing, so that appending to a full file does not search it again for every page.
    """

    def __init__(self, pages: int) -> None:
        capacity = max(64, pages)
        self.is_data: npt.NDArray[np.bool_] = np.zeros(capacity, np.bool_)
        self.free: npt.NDArray[np.uint16] = np.zeros(capacity, np.uint16)
        self.holes: npt.NDArray[np.uint16] = np.zeros(capacity, np.uint16)
        self.tail = 0  # the page that took the last record
        self.append_to = 0  # the same if records can only go behind its others, else 0
        self.tail_spent = 0  # bytes that went into the tail, not yet in `free`
        self._cursor = 0
        self._limit = -SLOT_SIZE  # no page but the tail has more room than this
        self._share()

    def _share(self) -> None:
        # The same memory for single values: a NumPy scalar costs three times a memoryview's.
        self._free_of = self.free.data
        self._holes_of = self.holes.data

    def add(self, page_id: int, free: int, holes: int) -> None:
        """Set the numbers of data page `page_id`."""
        self._reach(page_id)
        if page_id == self.tail:
            self.tail_spent = 0
        self.is_data[page_id] = True
        self._free_of[page_id] = free
        self._holes_of[page_id] = holes
        self._changed(page_id)

    def extend(self, first: int, free: npt.NDArray[np.uint16]) -> None:
        """Set the free bytes of new data pages from `first` on; the last one is the tail."""
        last = first + len(free) - 1
        self._reach(last)
        pages = slice(first, last + 1)
        self.is_data[pages], self.free[pages], self.holes[pages] = True, free, 0
        self._limit = max(self._limit, int(free.max()) - SLOT_SIZE)
        self.make_tail(last)

    def change(self, page_id: int, free: int, holes: int) -> None:
        """Add to the numbers of data page `page_id`."""
        self._settle()
        self._free_of[page_id] += free
        self._holes_of[page_id] += holes
        self._changed(page_id)

    def close(self, page_id: int) -> None:
        """Offer page `page_id` no more: it is damaged, or no data page any longer."""
        if page_id == self.tail:
            self.tail = self.append_to = self.tail_spent = 0
        if page_id < len(self.free):
            self.is_data[page_id] = False
            self._free_of[page_id] = self._holes_of[page_id] = 0

    def make_tail(self, page_id: int) -> None:
        """`page_id` takes the next records, as long as it has room."""
        self._reach(page_id)
        self._settle()
        old, self.tail = self.tail, page_id
        if old:
            self._changed(old)
        self._changed(page_id)

    def choose(self, length: int) -> int:
        """A page for a record of `length` bytes: the tail if it has room; 0 if none has."""
        self._settle()
        if self.tail and self._room(self.tail) >= length:
            return self.tail
        return next(iter(self.find(length)), 0)

    def find(self, length: int, *, limit: int = 1) -> list[int]:
        """Up to `limit` pages that take a record of `length` bytes, perhaps after compaction."""
        self._settle()
        found = [self.tail] if self.tail and self._room(self.tail) >= length else []
        if length > self._limit:
            return found
        size, largest = len(self.free), -SLOT_SIZE
        for step in range(0, size + _CHUNK, _CHUNK):
            if len(found) >= limit:
                return found[:limit]
            first = (self._cursor + step) % size
            part = slice(first, min(first + _CHUNK, size))
            room = self.free[part].astype(np.int32) - SLOT_SIZE * (self.holes[part] == 0)
            hits = first + np.flatnonzero((room >= length) & self.is_data[part])
            if len(hits):
                self._cursor = int(hits[0])
                found += [page for page in hits.tolist() if page not in found]
            largest = max(largest, int(room.max()))
        self._limit = largest  # the whole map was seen
        return found[:limit]

    def data_pages(self) -> npt.NDArray[np.int64]:
        """Ids of all data pages, ascending."""
        return np.flatnonzero(self.is_data)

    def _settle(self) -> None:
        if self.tail_spent:
            self._free_of[self.tail] -= self.tail_spent
            self.tail_spent = 0

    def _changed(self, page_id: int) -> None:
        if page_id == self.tail:
            self.append_to = 0 if self._holes_of[page_id] else page_id
        else:
            self._limit = max(self._limit, self._room(page_id))

    def _room(self, page_id: int) -> int:
        return self._free_of[page_id] - (0 if self._holes_of[page_id] else SLOT_SIZE)

    def _reach(self, page_id: int) -> None:
        """Make the map large enough for `page_id`."""
        if page_id < len(self.free):
            return
        capacity = max(2 * len(self.free), page_id + 1)
        for name in ("is_data", "free", "holes"):
            old = getattr(self, name)
            new = np.zeros(capacity, old.dtype)
            new[: len(old)] = old
            setattr(self, name, new)
        self._share()
