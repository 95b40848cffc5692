"""The state of a tree, and its operations on one key."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, SupportsIndex

from meridian.checks import checked_int
from meridian.database.btree.errors import IndexNeedsRebuild, TreeCorrupt
from meridian.database.btree.layout import (
    MAX_HEIGHT,
    MAX_KEY,
    as_key,
    as_packed,
    internal_capacity,
    leaf_capacity,
    min_keys,
)
from meridian.database.btree.tree_latch import TreeLatch
from meridian.database.btree.tree_meta import (
    COUNT,
    HEIGHT,
    HITS,
    PATH,
    PATH_STEP,
    ROOT,
    SEEN,
    VERSION,
    TreeMeta,
)
from meridian.database.storage.errors import StorageClosed
from meridian.database.storage.file_header import ROOT_COUNT
from meridian.database.storage.rid import RecordId

if TYPE_CHECKING:
    from meridian.database.storage.buffer_pool import BufferPool

__all__ = ["TreeCore"]

_LEAST_CAP = 3  # below, the halves of a split node are no nodes
_ABSENT = -1


class TreeCore:
    """Hold what a tree is (root, height, count, latch), and find or change one key by kernels.

    A single key costs one call of a kernel under the pool's latch; only what that cannot do, for
    want of a page or of room, is done in Python (`descent`).
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
        floor = min_keys(self.leaf_cap) if rebalance == "eager" else 1
        self._meta = TreeMeta(size, self.leaf_cap, self.internal_cap, floor)
        self._unfreed: list[int] = []  # pages out of use that the file did not take back yet
        self._ready = False  # to change: see `_open_for_change`
        # `PageFile.set_root` takes longer than an insert. It has been called before any change
        # (`_open_for_change`), and the number in this list is what reaches the disk.
        self._roots = pool.file._space.header.roots
        self._count_slot = root_slot + 1
        self._bind()
        self._load(trust_unclean)

    def _bind(self) -> None:
        """Load the kernels, and put what each call needs one attribute away."""
        from meridian.database.btree import _edit_kernels as edit
        from meridian.database.btree import _search_kernels as search

        pool = self.pool
        self._search_kernel = search.get
        self._put_kernel = edit.put
        self._take_kernel = edit.take
        self._numbers = self._meta.numbers
        self._array = self._meta.array
        self._words = pool.arena.reshape(-1).view("<u4")
        self._acquire, self._release = pool.latch.acquire, pool.latch.release
        self._frames = pool._table
        self._touch = pool._table.policy.touch  # CLOCK has none: it needs the kernel's bits only
        self._stats = pool.stats
        self._seen = self._meta.look_at(pool)

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
        numbers = self._numbers
        numbers[ROOT], numbers[HEIGHT], numbers[COUNT] = root, height, count

    @property
    def root(self) -> int:
        """The page of the root, 0 for an empty tree."""
        return self._numbers[ROOT]

    @property
    def height(self) -> int:
        """Levels from the root to the leaves, 0 for an empty tree."""
        return self._numbers[HEIGHT]

    @property
    def count(self) -> int:
        """Keys in the tree."""
        return self._numbers[COUNT]

    @property
    def version(self) -> int:
        """A number that moves with every change of content or structure."""
        return self._numbers[VERSION]

    def __len__(self) -> int:
        return self._numbers[COUNT]

    def _get(self, key: SupportsIndex) -> int:
        """The packed record id of `key`, below 0 if there is none."""
        if type(key) is not int or not 0 <= key <= MAX_KEY:
            key = as_key(key)
        self._acquire()  # `with` costs twice as much, and this is a fifth of a hit
        try:
            if self._frames.page_table is not self._seen:
                self._seen = self._meta.look_at(self.pool)
            found: int = self._search_kernel(self._words, self._array, key)
            self._stats.hits += self._numbers[HITS]
            if self._touch is not None and found >= _ABSENT:
                self._touch_pages(SEEN, 1, range(self._numbers[HEIGHT]))
        finally:
            self._release()
        if found < _ABSENT:
            from meridian.database.btree.descent import lookup

            if self.latch.held():
                return lookup(self, key)
            with self.latch.read():
                return lookup(self, key)
        if found < 0 and self.pool.closed:
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
        self.latch.acquire_write()
        try:
            found = self._call(self._put_kernel, key, packed, replace)
            if found < _ABSENT:
                from meridian.database.btree.descent import change
                from meridian.database.btree.insert import make_room

                found = change(
                    self,
                    lambda: self._call(self._put_kernel, key, packed, replace),
                    lambda: make_room(self, key, packed),
                )
        finally:
            self.latch.release_write()
        return found

    def _take(self, key: SupportsIndex) -> int:
        """Remove `key`; return the packed record id that it had, below 0 if it had none."""
        key = as_key(key)
        if not (self._ready and self.pool._changeable):
            self._open_for_change()
        self.latch.acquire_write()
        try:
            found = self._call(self._take_kernel, key)
            if found < _ABSENT:
                from meridian.database.btree.delete import make_less
                from meridian.database.btree.descent import change

                found = change(
                    self, lambda: self._call(self._take_kernel, key), lambda: make_less(self)
                )
        finally:
            self.latch.release_write()
        return found

    def _call(self, kernel: Callable[..., int], *arguments: int) -> int:
        """Run a kernel that changes one leaf. The tree's latch is held for writing."""
        self._acquire()
        try:
            if self._frames.page_table is not self._seen:
                self._seen = self._meta.look_at(self.pool)
            found = kernel(self._words, self._array, *arguments)
            self._stats.hits += self._numbers[HITS]
            if found >= _ABSENT:
                self._roots[self._count_slot] = self._numbers[COUNT]
                if self._touch is not None:
                    self._touch_pages(PATH, PATH_STEP, range(self._numbers[HEIGHT]))
        finally:
            self._release()
        return found

    def _touch_pages(self, at: int, step: int, levels: Iterable[int]) -> None:
        """Tell the pool's policy of the pages that a kernel has used. The pool's latch is held."""
        assert self._touch is not None
        for level in levels:
            frame = self._frames.frame_of.get(self._numbers[at + step * level])
            if frame is not None:
                self._touch(frame)

    def _plant(self, root: int, height: int, count: int) -> None:
        """Set root page, height and number of keys in one step. Both latches are held.

        The caller has called `_open_for_change`, so that nothing here can fail.
        """
        numbers = self._numbers
        numbers[ROOT], numbers[HEIGHT], numbers[COUNT] = root, height, count
        numbers[VERSION] += 1
        self.pool.file.set_root(self.root_slot + 1, count)
        self.pool.file.set_root(self.root_slot, root | height << 32)

    def _changed(self, added: int) -> None:
        """The leaves hold `added` keys more (or fewer). Both latches are held, as for `_plant`."""
        numbers = self._numbers
        numbers[COUNT] += added
        numbers[VERSION] += 1
        self._roots[self._count_slot] = numbers[COUNT]

    def _open_for_change(self) -> None:
        """Raise what forbids a change, before it begins: closed, read-only, or a failing disk."""
        pool = self.pool
        if pool.closed:
            raise StorageClosed("The buffer pool")
        slot = self.root_slot
        pool.file.set_root(slot, pool.file.get_root(slot))  # takes the clean flag off the disk
        self._ready = True


def _cap(name: str, given: int | None, most: int) -> int:
    return most if given is None else checked_int(name, given, least=_LEAST_CAP, most=most)
