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
        ### BEGIN SOLUTION #1: get() - from the root to the leaf, `height` pages; then look in it
        as_key(key)
        if not self.root:
            return None
        leaf, _ = self._descend(key)
        i = bisect_left(leaf.keys, key)
        return leaf.value(i) if i < len(leaf.keys) and leaf.keys[i] == key else None
        ### END SOLUTION

    def insert(self, key: int, rid: RecordId) -> None:
        """Add `key`. `DuplicateKey` if it is there, `KeyRange` for what is no key."""
        ### BEGIN SOLUTION #1, #3: insert() - into its leaf; a full leaf splits, and its parents may
        as_key(key)
        if not self.root:
            first = LeafNode(self._new_page())
            self._save(first)
            self._plant(first.page_id, 1)
        leaf, path = self._descend(key)
        i = bisect_left(leaf.keys, key)
        if i < len(leaf.keys) and leaf.keys[i] == key:
            raise DuplicateKey(key, leaf.value(i))
        leaf.insert(i, key, rid)
        if len(leaf.keys) <= self.leaf_cap:
            self._save(leaf)
        else:
            # Beyond all keys: a new leaf with one key, so that ascending keys fill their leaves.
            appended = not leaf.next_leaf and i == len(leaf.keys) - 1
            self._split_leaf(leaf, path, i if appended else None)
        self._counted(+1)
        ### END SOLUTION

    def delete(self, key: int) -> RecordId | None:
        """Remove `key` and return its record; `None` if it is not there."""
        ### BEGIN SOLUTION #5: delete() - out of its leaf; an empty node goes, up to the root
        as_key(key)
        if not self.root:
            return None
        leaf, path = self._descend(key)
        i = bisect_left(leaf.keys, key)
        if i == len(leaf.keys) or leaf.keys[i] != key:
            return None
        _, rid = leaf.pop(i)
        node: Node | None = leaf
        if leaf.keys:
            self._save(leaf)
        else:
            node = self._drop(leaf, path)
        if self.rebalance == "eager" and node is not None:
            mend(self, node, path)
        self._counted(-1)
        return rid
        ### END SOLUTION

    def range(
        self, lo: int = 0, hi: int = MAX_KEY, *, reverse: bool = False
    ) -> Iterator[tuple[int, RecordId]]:
        """Keys from `lo` to `hi`, both included, ascending, each with its record.

        The tree may change between two items: the keys stay in order, none comes twice, and one
        that was there all the time is not missed. `reverse=True` (bonus) gives them descending.
        `KeyRange`, at once, for bounds that are no keys.
        """
        ### BEGIN SOLUTION #2: range() - find the leaf of `lo`, follow next_leaf until past `hi`
        as_key(lo), as_key(hi)
        return self._backward(lo, hi) if reverse else self._forward(lo, hi)
        ### END SOLUTION

    def bulk_load(self, pairs: Iterable[tuple[int, RecordId]]) -> None:
        """Fill the empty tree from pairs with ascending keys, from the leaves up.

        `ValueError` if the tree has keys, or the keys do not ascend strictly; nothing is changed.
        """
        ### BEGIN SOLUTION #4: bulk_load() - check all keys, full leaves side by side, levels above
        if self.root:
            raise ValueError(f"bulk_load needs an empty tree, this one has {self.count} keys")
        entries, last = LeafNode(0), -1
        for key, rid in pairs:
            if as_key(key) <= last:
                raise ValueError(f"bulk_load needs ascending keys: {key} comes after {last}")
            entries.insert(len(entries.keys), key, rid)
            last = key
        if not entries.keys:
            return
        level = self._load_leaves(entries)
        height = 1
        while len(level) > 1:
            level = self._load_level(level, height)
            height += 1
        self._plant(level[0][1], height)
        self._counted(len(entries.keys))
        ### END SOLUTION

    def stats(self) -> TreeStats:
        """Height, nodes, keys and fill, as they stand now."""
        ### BEGIN SOLUTION #4: stats() - the lowest internal nodes have the leaves for children
        level, internal = [self.root] if self.root else [], 0
        for _ in range(self.height - 1):
            internal += len(level)
            level = [child for page_id in level for child in self._internal(page_id).children]
        fill = self.count / (len(level) * self.leaf_cap) if level else 0.0
        return TreeStats(self.height, len(level), internal, self.count, fill)
        ### END SOLUTION

    def get_many(self, keys: npt.NDArray[np.integer]) -> npt.NDArray[np.uint64]:
        """Bonus: packed record ids of many keys, in their order; `NO_RID` where there is none."""
        ### BEGIN SOLUTION #batch: get_many() - sort the keys, split them among the children
        from .batch import get_many  # NumPy is loaded for those who ask for it

        return get_many(self, keys)
        ### END SOLUTION

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

    ### BEGIN SOLUTION
    # -- down -------------------------------------------------------------------------------------

    def _descend(self, key: int) -> tuple[LeafNode, Path]:
        """The leaf that has `key` if any has, and the way there."""
        page_id, path = self.root, []
        for _ in range(self.height - 1):
            node = self._internal(page_id)
            i = node.find_child(key)
            path.append((page_id, i))
            page_id = node.children[i]
        return self._leaf(page_id), path

    def _leaf(self, page_id: int) -> LeafNode:
        with self.pool.fetch(page_id) as page:
            return LeafNode.from_page(page.data)

    def _internal(self, page_id: int) -> InternalNode:
        with self.pool.fetch(page_id) as page:
            return InternalNode.from_page(page.data)

    def _forward(self, lo: int, hi: int) -> Iterator[tuple[int, RecordId]]:
        leaf, version = None, -1
        while lo <= hi and self.root:
            if version != self._version:  # the leaf may be another by now: find it again
                leaf, version = self._descend(lo)[0], self._version
            assert leaf is not None
            end = bisect_right(leaf.keys, hi)
            for i in range(bisect_left(leaf.keys, lo), end):
                lo = leaf.keys[i] + 1
                yield leaf.keys[i], leaf.value(i)
                if version != self._version:
                    break
            else:
                if end < len(leaf.keys) or not leaf.next_leaf:
                    return
                leaf = self._leaf(leaf.next_leaf)

    def _backward(self, lo: int, hi: int) -> Iterator[tuple[int, RecordId]]:
        leaf, version = None, -1
        while lo <= hi and self.root:
            if version != self._version:
                leaf, version = self._descend(hi)[0], self._version
            assert leaf is not None
            start = bisect_left(leaf.keys, lo)
            for i in reversed(range(start, bisect_right(leaf.keys, hi))):
                hi = leaf.keys[i] - 1
                yield leaf.keys[i], leaf.value(i)
                if version != self._version:
                    break
            else:
                if start > 0 or not leaf.prev_leaf:
                    return
                leaf = self._leaf(leaf.prev_leaf)

    # -- up ---------------------------------------------------------------------------------------

    def _split_leaf(self, leaf: LeafNode, path: Path, at: int | None) -> None:
        separator, right = leaf.split(self._new_page(), at)
        if right.next_leaf:  # its neighbour has pointed to the left half until now
            neighbour = self._leaf(right.next_leaf)
            neighbour.prev_leaf = right.page_id
            self._save(neighbour)
        self._save(right)
        self._save(leaf)
        self._add_child(path, separator, right.page_id)

    def _add_child(self, path: Path, separator: int, page_id: int) -> None:
        """Enter a new node to the right of the child that `path` leads to."""
        while path:
            parent, i = path.pop()
            node = self._internal(parent)
            node.keys.insert(i, separator)
            node.children.insert(i + 1, page_id)
            if len(node.keys) <= self.internal_cap:
                self._save(node)
                return
            separator, right = node.split(self._new_page())
            self._save(right)
            self._save(node)
            page_id = right.page_id
        root = InternalNode(self._new_page(), self.height)
        root.keys.append(separator)
        root.children.extend((self.root, page_id))
        self._save(root)
        self._plant(root.page_id, self.height + 1)  # last: the root is complete

    def _unchain(self, leaf: LeafNode) -> None:
        """Take a leaf out of the chain, in both directions."""
        if leaf.prev_leaf:
            before = self._leaf(leaf.prev_leaf)
            before.next_leaf = leaf.next_leaf
            self._save(before)
        if leaf.next_leaf:
            after = self._leaf(leaf.next_leaf)
            after.prev_leaf = leaf.prev_leaf
            self._save(after)

    def _drop(self, leaf: LeafNode, path: Path) -> InternalNode | None:
        """Free an empty leaf to which `path` leads, and those above that have no child left.

        Returns the node that lost one child of several, with `path` leading to it.
        """
        self._unchain(leaf)
        self.pool.free_page(leaf.page_id)
        while path:
            page_id, i = path.pop()
            node = self._internal(page_id)
            del node.children[i]
            if node.children:
                del node.keys[max(i - 1, 0)]
                self._save(node)
                self._lower_root()
                return node
            self.pool.free_page(page_id)
        self._plant(0, 0)
        return None

    def _lower_root(self) -> None:
        """A root with one child is none."""
        while self.height > 1:
            root = self._internal(self.root)
            if len(root.children) > 1:
                return
            self._plant(root.children[0], self.height - 1)
            self.pool.free_page(root.page_id)

    # -- bulk -------------------------------------------------------------------------------------

    def _load_leaves(self, entries: LeafNode) -> list[tuple[int, int]]:
        """Write full leaves; first key and page of each."""
        level: list[tuple[int, int]] = []
        leaf: LeafNode | None = None
        for start in range(0, len(entries.keys), self.leaf_cap):
            part = slice(start, start + self.leaf_cap)
            page_id, before = self._new_page(), leaf
            columns = (entries.keys[part], entries.pages[part], entries.slots[part])
            leaf = LeafNode(page_id, *columns, prev_leaf=before.page_id if before else 0)
            if before:
                before.next_leaf = page_id
                self._save(before)
            level.append((leaf.keys[0], page_id))
        assert leaf is not None
        self._save(leaf)
        return level

    def _load_level(self, below: list[tuple[int, int]], level: int) -> list[tuple[int, int]]:
        """Write the nodes above `below`: as few as can be, their children shared out evenly."""
        nodes = -(-len(below) // (self.internal_cap + 1))
        above: list[tuple[int, int]] = []
        for n in range(nodes):
            part = below[len(below) * n // nodes : len(below) * (n + 1) // nodes]
            keys = array("I", [key for key, _ in part[1:]])
            children = array("I", [page_id for _, page_id in part])
            node = InternalNode(self._new_page(), level, keys, children)
            self._save(node)
            above.append((part[0][0], node.page_id))
        return above

    ### END SOLUTION
