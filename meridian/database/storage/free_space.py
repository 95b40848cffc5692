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
        self._cursor = 0
        self._limit = -SLOT_SIZE  # no page has more room than this
        self._share()

    def _share(self) -> None:
        # The same memory for single values: a NumPy scalar costs three times a memoryview's.
        self.free_of = self.free.data
        self.holes_of = self.holes.data

    def add(self, page_id: int, free: int, holes: int) -> None:
        """Set the numbers of data page `page_id`."""
        if page_id >= len(self.free):
            self._grow(page_id + 1)
        self.is_data[page_id] = True
        self.free_of[page_id] = free
        self.holes_of[page_id] = holes
        self._limit = max(self._limit, self._room(page_id))

    def gained(self, page_id: int, length: int, *, hole: bool) -> None:
        """A record of `length` bytes was deleted, and its slot may be used again if `hole`."""
        self.free_of[page_id] += length
        self.holes_of[page_id] += hole
        self._limit = max(self._limit, self._room(page_id))

    def spent(self, page_id: int, size: int, *, hole: bool) -> None:
        """A record took `size` bytes, its slot included, and filled a `hole` or not."""
        self.free_of[page_id] -= size
        self.holes_of[page_id] -= hole

    def choose(self, length: int) -> int:
        """A page for a record of `length` bytes: the tail if it has room; 0 if none has."""
        tail = self.tail
        if tail and self.is_data[tail] and self._room(tail) >= length:
            return tail
        return next(iter(self.find(length)), 0)

    def close(self, page_id: int) -> None:
        """Offer page `page_id` no more: it is damaged, or no data page any longer."""
        if page_id < len(self.free):
            self.is_data[page_id] = False
            self.free_of[page_id] = self.holes_of[page_id] = 0

    def find(self, length: int, *, limit: int = 1) -> list[int]:
        """Up to `limit` pages that take a record of `length` bytes, perhaps after compaction."""
        if length > self._limit:
            return []
        size = len(self.free)
        found: list[int] = []
        largest = -SLOT_SIZE
        for step in range(0, size + _CHUNK, _CHUNK):
            first = (self._cursor + step) % size
            part = slice(first, min(first + _CHUNK, size))
            room = self.free[part].astype(np.int32) - SLOT_SIZE * (self.holes[part] == 0)
            hits = np.flatnonzero((room >= length) & self.is_data[part])
            found += [page for page in (first + hits).tolist() if page not in found]
            if len(found) >= limit:
                break
            largest = max(largest, int(room.max()))
        if not found:
            self._limit = largest
        else:
            self._cursor = found[0]
        return found[:limit]

    def data_pages(self) -> npt.NDArray[np.int64]:
        """Ids of all data pages, ascending."""
        return np.flatnonzero(self.is_data)

    def _room(self, page_id: int) -> int:
        return self.free_of[page_id] - (0 if self.holes_of[page_id] else SLOT_SIZE)

    def _grow(self, pages: int) -> None:
        capacity = max(2 * len(self.free), pages)
        for name in ("is_data", "free", "holes"):
            old = getattr(self, name)
            new = np.zeros(capacity, old.dtype)
            new[: len(old)] = old
            setattr(self, name, new)
        self._share()
