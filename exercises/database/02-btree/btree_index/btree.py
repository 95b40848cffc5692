"""The tree: find a key in as many page reads as it has levels, and keys in order."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meridian.database.storage import BufferPool, PageType, RecordId

from .errors import DuplicateKey
from .node import (
    MAX_KEY,
    InternalNode,
    LeafNode,
    Node,
    as_key,
    internal_capacity,
    is_leaf,
    leaf_capacity,
)
from .rebalance import mend

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

ROOT, COUNT = 0, 1  # root slots of the file: root page | height << 32, and the number of keys

Path = list[tuple[int, int]]  # internal nodes from the root down, and the child taken in each


@dataclass(frozen=True, slots=True)
class TreeStats:
    """What `stats` reports. `fill_factor`: count / (leaf_count x leaf_cap), 0.0 without leaves."""

    height: int
    leaf_count: int
    internal_count: int
    count: int
    fill_factor: float


class BPlusTree:
    """An index from keys (u32) to record ids, on the pages of a buffer pool.

    Root page, height and number of keys stand in root slots 0 and 1 of the file; zeros mean an
    empty tree. Nodes that became empty are given back to the file. No pin outlives a call, and
    none is held while `range` waits to be asked for more.
    """

    def __init__(
        self,
        pool: BufferPool,
        *,
        leaf_cap: int | None = None,
        internal_cap: int | None = None,
        rebalance: str = "lazy",
    ) -> None:
        """Open the tree of `pool`'s file.

        `leaf_cap` entries fill a leaf, `internal_cap` keys an internal node: less than a page
        holds, for tests and pictures, and at least 3. `rebalance="eager"` is a bonus.
        """
        if rebalance not in ("lazy", "eager"):
            raise ValueError(f"Expected rebalance 'lazy' or 'eager', got {rebalance!r}")
        size = pool.file.page_size
        self.pool = pool
        self.leaf_cap = leaf_cap or leaf_capacity(size)
        self.internal_cap = internal_cap or internal_capacity(size)
        self.rebalance = rebalance
        packed = pool.file.get_root(ROOT)
        self.root, self.height = packed & MAX_KEY, packed >> 32
        self.count = pool.file.get_root(COUNT)
        self._version = 0  # moves with every change

    def get(self, key: int) -> RecordId | None:
        """The record of `key`; `None` if there is none. `KeyRange` for what is no key."""
        raise NotImplementedError(
            "database/02-btree #1: get() - from the root to the leaf, `height` pages; then look in it"
        )

    def insert(self, key: int, rid: RecordId) -> None:
        """Add `key`. `DuplicateKey` if it is there, `KeyRange` for what is no key."""
        raise NotImplementedError(
            "database/02-btree #1, #3: insert() - into its leaf; a full leaf splits, and its parents may"
        )

    def delete(self, key: int) -> RecordId | None:
        """Remove `key` and return its record; `None` if it is not there."""
        raise NotImplementedError(
            "database/02-btree #5: delete() - out of its leaf; an empty node goes, up to the root"
        )

    def range(
        self, lo: int = 0, hi: int = MAX_KEY, *, reverse: bool = False
    ) -> Iterator[tuple[int, RecordId]]:
        """Keys from `lo` to `hi`, both included, ascending, each with its record.

        The tree may change between two items: the keys stay in order, none comes twice, and one
        that was there all the time is not missed. `reverse=True` (bonus) gives them descending.
        `KeyRange`, at once, for bounds that are no keys.
        """
        raise NotImplementedError(
            "database/02-btree #2: range() - find the leaf of `lo`, follow next_leaf until past `hi`"
        )

    def bulk_load(self, pairs: Iterable[tuple[int, RecordId]]) -> None:
        """Fill the empty tree from pairs with ascending keys, from the leaves up.

        `ValueError` if the tree has keys, or the keys do not ascend strictly; nothing is changed.
        """
        raise NotImplementedError(
            "database/02-btree #4: bulk_load() - check all keys, full leaves side by side, levels above"
        )

    def stats(self) -> TreeStats:
        """Height, nodes, keys and fill, as they stand now."""
        raise NotImplementedError(
            "database/02-btree #4: stats() - the lowest internal nodes have the leaves for children"
        )

    def get_many(self, keys: npt.NDArray[np.integer]) -> npt.NDArray[np.uint64]:
        """Bonus: packed record ids of many keys, in their order; `NO_RID` where there is none."""
        raise NotImplementedError(
            "database/02-btree #batch: get_many() - sort the keys, split them among the children"
        )

    # -- pages: given -----------------------------------------------------------------------------

    def _load(self, page_id: int) -> Node:
        """The node in a page, copied out: the pin ends with this call."""
        with self.pool.fetch(page_id) as page:
            buf = page.data
            return LeafNode.from_page(buf) if is_leaf(buf) else InternalNode.from_page(buf)

    def _save(self, node: Node) -> None:
        """Write a node to its page."""
        with self.pool.fetch(node.page_id) as page:
            node.to_page(page.data_mut())

    def _new_page(self) -> int:
        """A new page for a node."""
        with self.pool.new_page(PageType.INDEX) as page:
            return page.page_id

    def _plant(self, root: int, height: int) -> None:
        """Make page `root` the root of a tree of `height` levels; 0, 0 for an empty one."""
        self.root, self.height = root, height
        self.pool.file.set_root(ROOT, root | height << 32)

    def _counted(self, more: int) -> None:
        """Note that the tree has `more` keys than before."""
        self.count += more
        self._version += 1
        self.pool.file.set_root(COUNT, self.count)
