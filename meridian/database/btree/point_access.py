"""Operations on one key: as little Python as possible around one call of a kernel.

What the call cannot do, for want of a page in memory or of room in a leaf, `descent` does. Each
line here was measured; a lookup takes less than a microsecond, half of which is the call.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import SupportsIndex

from meridian.database.btree.errors import DuplicateKey
from meridian.database.btree.layout import MAX_KEY, as_key, as_packed
from meridian.database.btree.tree_core import TreeCore
from meridian.database.btree.tree_meta import COUNT, HEIGHT, HITS, NEXT_PAGE, PATH, PATH_STEP, SEEN
from meridian.database.storage.errors import StorageClosed
from meridian.database.storage.rid import RecordId

__all__ = ["PointAccess"]

_ABSENT = -1
_LATER = -2  # as good as a page that is not in memory: the slow path finds out

_make = tuple.__new__  # the constructor of a NamedTuple takes twice as long


class PointAccess(TreeCore):
    """Find, insert, replace and delete one key."""

    def get(self, key: SupportsIndex) -> RecordId | None:
        """The record id of `key`, or ``None``.

        Raises `KeyRange`, `StorageClosed`, and for pages it has to load what `BufferPool.fetch`
        raises, or `TreeCorrupt`.
        """
        if type(key) is not int or not 0 <= key <= MAX_KEY:
            key = as_key(key)
        self._acquire()  # `with` costs twice as much
        try:
            if self._frames.page_table is not self._seen:
                self._seen = self._meta.look_at(self.pool)
            found: int = self._get_kernel(self._array, key)
            self._stats.hits += self._numbers[HITS]
            if self._touch is not None and found >= _ABSENT:
                self._touch_pages(SEEN, 1)
        finally:
            self._release()
        if found < 0:
            found = self._get_slowly(key, found)
            if found < 0:
                return None
        return _make(RecordId, (found >> 16, found & 0xFFFF))

    def __contains__(self, key: SupportsIndex) -> bool:
        return self.get(key) is not None

    def insert(self, key: SupportsIndex, rid: RecordId) -> None:
        """Add `key`. Raises `DuplicateKey` if it is there, and what `upsert` raises."""
        old = self._put(key, rid, False)
        if old >= 0:
            raise DuplicateKey(as_key(key), old >> 16, old & 0xFFFF)

    def upsert(self, key: SupportsIndex, rid: RecordId) -> RecordId | None:
        """Give `key` the record id `rid`; return the one that it had, or ``None``.

        Raises `KeyRange`, `TypeError` or `ValueError` for what is no record id, `StorageClosed`,
        `io.UnsupportedOperation` for a read-only file, `PoolExhausted`, `CorruptPage`, `OSError`:
        the key is then as it was.
        """
        old = self._put(key, rid, True)
        return None if old < 0 else _make(RecordId, (old >> 16, old & 0xFFFF))

    def delete(self, key: SupportsIndex) -> RecordId | None:
        """Remove `key`; return its record id, or ``None`` if it is not there.

        Raises what `upsert` raises, the key then being there as before.
        """
        old = self._take(key)
        return None if old < 0 else _make(RecordId, (old >> 16, old & 0xFFFF))

    def _get_slowly(self, key: int, found: int) -> int:
        """The packed record id of `key`, below 0 if there is none; `found` stopped `get`."""
        if found < _ABSENT:
            from meridian.database.btree.descent import lookup

            with nullcontext() if self.latch.held() else self.latch.read():
                return lookup(self, key)
        if self.pool.closed:
            raise StorageClosed("The buffer pool")
        return found

    def _put(self, key: SupportsIndex, rid: RecordId, replace: bool) -> int:
        """Give `key` the record id `rid`, if it has one only if `replace`; return the one it had.

        Packed; below 0 if it had none.
        """
        if type(key) is not int or not 0 <= key <= MAX_KEY:
            key = as_key(key)
        packed = as_packed(rid)
        if not (self._ready and self.pool._changeable):
            self._open_for_change()
        self._acquire()
        try:  # `_put_once` without the call
            found: int = _LATER
            if not self.latch.busy:
                if self._frames.page_table is not self._seen:
                    self._seen = self._meta.look_at(self.pool)
                found = self._put_kernel(self._array, key, packed, replace)
                self._stats.hits += self._numbers[HITS]
                if found == _ABSENT:
                    self._roots[self._count_slot] = self._numbers[COUNT]
                elif found < _ABSENT:
                    self._numbers[NEXT_PAGE] = 0  # begin again: another writer may come first
                if self._touch is not None and found >= _ABSENT:
                    self._touch_pages(PATH, PATH_STEP)
        finally:
            self._release()
        return found if found >= _ABSENT else self._put_slowly(key, packed, replace)

    def _put_slowly(self, key: int, packed: int, replace: bool) -> int:
        """`_put`, where a page is not in memory, a leaf is full, or somebody holds the latch."""
        from meridian.database.btree.descent import change
        from meridian.database.btree.insert import make_room

        with self.latch.write():
            return change(
                self,
                lambda: self._put_once(key, packed, replace),
                lambda: make_room(self, key, packed),
            )

    def _put_once(self, key: int, packed: int, replace: bool) -> int:
        """Call the kernel. The pool's latch is held, and the tree's, or nobody holds that."""
        if self._frames.page_table is not self._seen:
            self._seen = self._meta.look_at(self.pool)
        found: int = self._put_kernel(self._array, key, packed, replace)
        self._stats.hits += self._numbers[HITS]
        if found == _ABSENT:
            self._roots[self._count_slot] = self._numbers[COUNT]
        if self._touch is not None and found >= _ABSENT:
            self._touch_pages(PATH, PATH_STEP)
        return found

    def _take(self, key: SupportsIndex) -> int:
        """Remove `key`; return the packed record id that it had, below 0 if it had none."""
        key = as_key(key)
        if not (self._ready and self.pool._changeable):
            self._open_for_change()
        self._acquire()
        try:
            found = _LATER if self.latch.busy else self._take_once(key)
            if found < _ABSENT:
                self._numbers[NEXT_PAGE] = 0  # begin again: another writer may come first
        finally:
            self._release()
        if found < _ABSENT:
            from meridian.database.btree.delete import make_less
            from meridian.database.btree.descent import change

            with self.latch.write():
                found = change(self, lambda: self._take_once(key), lambda: make_less(self))
        return found

    def _take_once(self, key: int) -> int:
        """Call the kernel, as `_put_once` does."""
        if self._frames.page_table is not self._seen:
            self._seen = self._meta.look_at(self.pool)
        found: int = self._take_kernel(self._array, key)
        self._stats.hits += self._numbers[HITS]
        self._roots[self._count_slot] = self._numbers[COUNT]
        if self._touch is not None and found >= _ABSENT:
            self._touch_pages(PATH, PATH_STEP)
        return found

    def _touch_pages(self, at: int, step: int) -> None:
        """Tell the pool's policy of the pages that a kernel used, on all levels. Latch held."""
        assert self._touch is not None
        for level in range(self._numbers[HEIGHT]):
            frame = self._frames.frame_of.get(self._numbers[at + step * level])
            if frame is not None:
                self._touch(frame)
