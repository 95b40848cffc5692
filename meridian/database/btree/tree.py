"""A B+ tree from 32-bit keys to record ids, on the pages of a buffer pool."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from meridian.database.btree.layout import MAX_KEY, as_key
from meridian.database.btree.point_access import PointAccess
from meridian.database.storage.rid import RecordId

if TYPE_CHECKING:
    from meridian.database.btree.check import TreeStats
    from meridian.database.storage.buffer_pool import BufferPool

__all__ = ["BPlusTree"]

Keys = npt.NDArray[np.uint32]
Rids = npt.NDArray[np.uint64]


class BPlusTree(PointAccess):
    """Find a record by its key in as many page reads as the tree has levels, and keys in order.

    Keys are whole numbers of 32 bits; each has one `RecordId`. All pages come from `pool`, whose
    frames may be fewer than the tree's pages: 8 suffice. Root page, height and number of keys
    stand in two root slots of the file and reach the disk as the pool's pages do; nothing here is
    crash-safe (`IndexNeedsRebuild`).

    Any number of threads may read while one writes. The rules, for all who work on the pages:

    - Who needs more than one call of a kernel holds `latch`: for writing to change anything, for
      reading to look at it.
    - A lookup, and a change inside one leaf, that is one call of a kernel holds only the pool's
      latch (such a change only while nobody holds `latch`). So whatever leads from one valid tree
      to another is done in one piece under the pool's latch, with all its pages pinned before.
    - The root is set last, by `_plant`, in the same piece; `_changed` counts what it leaves alone.

    One object per root slot: two would not know of each other's changes.
    """

    def min(self) -> tuple[int, RecordId] | None:
        """The lowest key and its record id, ``None`` in an empty tree."""
        from meridian.database.btree.descent import edge

        return edge(self, last=False)

    def max(self) -> tuple[int, RecordId] | None:
        """The highest key and its record id, ``None`` in an empty tree."""
        from meridian.database.btree.descent import edge

        return edge(self, last=True)

    # -- many keys at once ----------------------------------------------------------------------

    def get_many(self, keys: npt.NDArray[np.integer[Any]]) -> Rids:
        """Packed record ids (uint64) of `keys`, in their order; `NO_RID` where there is none.

        Raises `KeyRange` for what is no key, `ValueError` for an array that is not flat.
        """
        from meridian.database.btree.batch_read import get_many

        return get_many(self, keys)

    def put_many(
        self, keys: npt.NDArray[np.integer[Any]], rids: npt.NDArray[np.integer[Any]]
    ) -> int:
        """Insert or replace `keys` (the last of equal ones wins); return how many are new.

        `rids` are packed record ids, one per key. Raises `KeyRange` and `ValueError` before
        anything is changed.
        """
        from meridian.database.btree.batch_write import put_many

        return put_many(self, keys, rids)

    def delete_many(self, keys: npt.NDArray[np.integer[Any]]) -> int:
        """Remove `keys`; return how many were there."""
        from meridian.database.btree.batch_write import delete_many

        return delete_many(self, keys)

    def range(
        self, lo: SupportsIndex = 0, hi: SupportsIndex = MAX_KEY, *, reverse: bool = False
    ) -> Iterator[tuple[int, RecordId]]:
        """Keys from `lo` to `hi`, both included, with their record ids, in order.

        The tree may change meanwhile: no key comes twice or out of order, and every key that is
        there for the whole time comes. No page stays pinned between two steps.
        """
        from meridian.database.btree.scan import range_entries

        return range_entries(self, as_key(lo), as_key(hi), reverse)

    def items(
        self, lo: SupportsIndex = 0, hi: SupportsIndex = MAX_KEY
    ) -> Iterator[tuple[int, int]]:
        """`range` with packed record ids, a block at a time: faster."""
        from meridian.database.btree.scan import items

        return items(self, as_key(lo), as_key(hi))

    def range_arrays(self, lo: SupportsIndex = 0, hi: SupportsIndex = MAX_KEY) -> tuple[Keys, Rids]:
        """Keys (uint32) from `lo` to `hi`, both included, and their packed record ids (uint64)."""
        from meridian.database.btree.scan import range_arrays

        return range_arrays(self, as_key(lo), as_key(hi))

    def bulk_load(
        self,
        keys: npt.NDArray[np.integer[Any]],
        rids: npt.NDArray[np.integer[Any]],
        *,
        fill: float = 1.0,
    ) -> None:
        """Build the tree, which must be empty, from strictly ascending `keys`.

        `fill` (0.5 to 1.0) is how full its nodes become. Raises `ValueError` and `KeyRange`
        before any page is touched.
        """
        from meridian.database.btree.bulk import bulk_load

        bulk_load(self, keys, rids, fill)

    def vacuum(self) -> int:
        """Merge nodes that deletes have left less than half full; return the pages freed."""
        from meridian.database.btree.vacuum import vacuum

        return vacuum(self)

    @classmethod
    def rebuild(
        cls, pool: BufferPool, pairs: Iterable[tuple[Keys, Rids]], **options: Any
    ) -> BPlusTree:
        """A new tree from batches of keys and packed record ids, in the place of what was there.

        `options` as for the constructor. The old tree is not read: it may be damaged.
        """
        from meridian.database.btree.bulk import rebuild

        return rebuild(cls, pool, pairs, **options)

    # -- the whole tree -------------------------------------------------------------------------

    def check(self, *, strict: bool = False) -> TreeStats:
        """Walk every page and compare it with every rule; return what was found.

        `strict` asks of every node but those at the right edge that it is half full, as eager
        rebalancing keeps it. Raises `TreeCorrupt` with the page and the rule, and what
        `BufferPool.fetch` raises.
        """
        from meridian.database.btree.check import check

        return check(self, strict)

    def stats(self) -> TreeStats:
        """What the tree is made of, found by walking it: the price of `check`."""
        return self.check()

    def clear(self) -> None:
        """Remove every key and give all pages back. Raises what `check` raises."""
        from meridian.database.btree.check import clear

        clear(self)
