"""A B+ tree from 32-bit keys to record ids, on the pages of a buffer pool."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from meridian.checks import checked_int
from meridian.database.btree.errors import IndexNeedsRebuild, TreeCorrupt
from meridian.database.btree.layout import (
    MAX_HEIGHT,
    MAX_KEY,
    as_key,
    internal_capacity,
    leaf_capacity,
    min_keys,
)
from meridian.database.btree.tree_latch import TreeLatch
from meridian.database.btree.tree_meta import COUNT, HEIGHT, ROOT, VERSION, TreeMeta
from meridian.database.storage.errors import StorageClosed
from meridian.database.storage.file_header import ROOT_COUNT
from meridian.database.storage.rid import RecordId

if TYPE_CHECKING:
    from meridian.database.storage.buffer_pool import BufferPool

__all__ = ["BPlusTree"]

Keys = npt.NDArray[np.uint32]
Rids = npt.NDArray[np.uint64]

_make_rid = tuple.__new__  # the constructor of a NamedTuple checks what is known here
_LEAST_CAP = 3  # below, the halves of a split node are no nodes


class BPlusTree:
    """Find a record by its key in as many page reads as the tree has levels, and keys in order.

    Keys are whole numbers of 32 bits; each has one `RecordId`. All pages come from `pool`, whose
    frames may be fewer than the tree's pages: 8 suffice. Root page, height and number of keys
    stand in two root slots of the file and reach the disk as the pool's pages do; nothing here is
    crash-safe (`IndexNeedsRebuild`).

    Any number of threads may read while one writes. The rules, for all who work on the pages:

    - Who changes anything holds `latch` for writing. Who looks at more than one page holds it for
      reading, except during a kernel's call under the pool's latch.
    - Single lookups hold only the pool's latch, so each change that leads from one valid tree to
      another is made in one piece under the pool's latch, with all its pages pinned before.
    - The root is set last, by `_plant`, in the same piece.

    One object per root slot: two would not know of each other's changes.
    """

    def __init__(
        self,
        pool: BufferPool,
        *,
        root_slot: int = 0,
        rebalance: str = "lazy",
        append_split: bool = True,
        leaf_cap: int | None = None,
        internal_cap: int | None = None,
        trust_unclean: bool = False,
    ) -> None:
        """Open the tree of `root_slot` and the slot after it; it is empty if they are 0.

        `rebalance` says when a delete makes nodes fewer: ``"lazy"`` when one is empty, ``"eager"``
        when one is less than half full. `append_split` opens a new leaf for a key beyond all
        others instead of halving the last one. `leaf_cap` (entries) and `internal_cap` (keys)
        make nodes full earlier than their page, for tests and pictures. `trust_unclean` opens
        the tree of a file that was not closed cleanly, to look at the damage.

        Raises `IndexNeedsRebuild`, `TreeCorrupt` for a root that cannot be, `StorageClosed`,
        `ValueError` and `TypeError` for options.
        """
        size = pool.file.page_size
        root_slot = checked_int("root_slot", root_slot, most=ROOT_COUNT - 2)
        if rebalance not in ("lazy", "eager"):
            raise ValueError(f"Expected rebalance 'lazy' or 'eager', got {rebalance!r}")
        self.pool = pool
        self.root_slot = root_slot
        self.rebalance = rebalance
        self.append_split = bool(append_split)
        self.leaf_cap = _cap("leaf_cap", leaf_cap, leaf_capacity(size))
        self.internal_cap = _cap("internal_cap", internal_cap, internal_capacity(size))
        self.latch = TreeLatch()
        eager = rebalance == "eager"
        floor = min_keys(self.leaf_cap) if eager else 1
        self._meta = TreeMeta(size, self.leaf_cap, self.internal_cap, floor)
        self._unfreed: list[int] = []  # pages out of use that the file did not take back yet
        # `PageFile.set_root` takes longer than an insert. It has been called before any change
        # (`_open_for_change`), and the number in this list is what reaches the disk.
        self._roots = pool.file._space.header.roots
        self._load(trust_unclean)

    def _load(self, trust_unclean: bool) -> None:
        file, slot = self.pool.file, self.root_slot
        packed, count = file.get_root(slot), file.get_root(slot + 1)
        root, height = packed & MAX_KEY, packed >> 32
        if packed and not file.was_clean and not trust_unclean:
            raise IndexNeedsRebuild(file.path, slot)
        if height > MAX_HEIGHT or bool(root) != bool(height) or root >= file.page_count:
            raise TreeCorrupt(root, f"root slot {slot} names it as root of {height} levels")
        if count >= 2**63 or bool(count) != bool(height):
            raise TreeCorrupt(root, f"root slot {slot + 1} has {count} keys for {height} levels")
        numbers = self._meta.numbers
        numbers[ROOT], numbers[HEIGHT], numbers[COUNT] = root, height, count

    @property
    def root(self) -> int:
        """The page of the root, 0 for an empty tree."""
        return self._meta.numbers[ROOT]

    @property
    def height(self) -> int:
        """Levels from the root to the leaves, 0 for an empty tree."""
        return self._meta.numbers[HEIGHT]

    @property
    def count(self) -> int:
        """Keys in the tree."""
        return self._meta.numbers[COUNT]

    @property
    def version(self) -> int:
        """A number that moves with every change of content or structure."""
        return self._meta.numbers[VERSION]

    def __len__(self) -> int:
        return self._meta.numbers[COUNT]

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

    # -- the root -------------------------------------------------------------------------------

    def _plant(self, root: int, height: int, count: int) -> None:
        """Set root page, height and number of keys in one step. Both latches are held.

        The caller has called `_open_for_change`, so that nothing here can fail.
        """
        numbers = self._meta.numbers
        numbers[ROOT], numbers[HEIGHT], numbers[COUNT] = root, height, count
        numbers[VERSION] += 1
        self.pool.file.set_root(self.root_slot + 1, count)
        self.pool.file.set_root(self.root_slot, root | height << 32)

    def _changed(self, added: int) -> None:
        """The leaves hold `added` keys more (or fewer). Both latches are held, as for `_plant`."""
        numbers = self._meta.numbers
        numbers[COUNT] += added
        numbers[VERSION] += 1
        self._roots[self.root_slot + 1] = numbers[COUNT]

    def _open_for_change(self) -> None:
        """Raise what forbids a change, before it begins: closed, read-only, or a failing disk."""
        pool = self.pool
        if pool.closed:
            raise StorageClosed("The buffer pool")
        slot = self.root_slot
        pool.file.set_root(slot, pool.file.get_root(slot))  # takes the clean flag off the disk


def _cap(name: str, given: int | None, most: int) -> int:
    return most if given is None else checked_int(name, given, least=_LEAST_CAP, most=most)
