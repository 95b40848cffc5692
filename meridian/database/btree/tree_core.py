"""The state of a tree: its root, its latch, and what kernels must know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meridian.checks import checked_int
from meridian.database.btree.errors import IndexNeedsRebuild, TreeCorrupt
from meridian.database.btree.layout import (
    MAX_HEIGHT,
    MAX_KEY,
    internal_capacity,
    leaf_capacity,
    min_keys,
)
from meridian.database.btree.tree_latch import TreeLatch
from meridian.database.btree.tree_meta import (
    COUNT,
    HEIGHT,
    ROOT,
    VERSION,
    TreeMeta,
)
from meridian.database.storage.errors import StorageClosed
from meridian.database.storage.file_header import ROOT_COUNT

if TYPE_CHECKING:
    from meridian.database.storage.buffer_pool import BufferPool

__all__ = ["TreeCore"]

_LEAST_CAP = 3  # below, the halves of a split node are no nodes


class TreeCore:
    """Hold what every operation needs, so that each of them can stand in a file of its own."""

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
        self.latch = TreeLatch(pool.latch)
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
        search.warmup()
        edit.warmup()
        self._get_kernel = search.direct(search.get)
        self._put_kernel = search.direct(edit.put)
        self._take_kernel = search.direct(edit.take)
        self._numbers = self._meta.numbers
        self._array = self._meta.array
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
