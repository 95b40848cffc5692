"""What a valid tree is, rule by rule; and the walk that holds every page against it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meridian.database.btree.errors import TreeCorrupt
from meridian.database.btree.layout import MAX_KEY, min_children, min_keys
from meridian.database.btree.node import NodeView
from meridian.database.btree.node_pins import give_back, pin_node
from meridian.database.btree.tree_meta import MERGES, SPLITS
from meridian.database.storage.errors import StorageClosed
from meridian.database.storage.page import PageHeader

if TYPE_CHECKING:
    from meridian.database.btree.tree_core import TreeCore

__all__ = ["TreeStats", "check", "clear"]


@dataclass(frozen=True, slots=True)
class TreeStats:
    """What a tree is made of.

    Attributes:
        height: levels, 0 for an empty tree.
        leaf_count: leaves.
        internal_count: nodes above the leaves.
        count: keys.
        fill_factor: keys per place in the leaves, 0.0 for an empty tree.
        min_leaf_fill: the same for the emptiest leaf.
        splits: nodes split since the tree was opened.
        merges: nodes merged with another or cut off since then.
    """

    height: int
    leaf_count: int
    internal_count: int
    count: int
    fill_factor: float
    min_leaf_fill: float
    splits: int
    merges: int


def check(tree: TreeCore, strict: bool) -> TreeStats:
    """Hold every node against the rules; `TreeCorrupt` with the first page that breaks one."""
    with nullcontext() if tree.latch.held() else tree.latch.read():
        walk = _Walk(tree, strict)
        for _ in walk.nodes():
            pass
        return walk.stats()


def clear(tree: TreeCore) -> None:
    """Empty the tree and give its pages back, once all of them are known to be its own."""
    tree._open_for_change()
    with tree.latch.write():
        page_ids = list(_Walk(tree, strict=False).nodes())
        with tree.pool.latch:
            tree._plant(0, 0, 0)
        give_back(tree, page_ids)


class _Walk:
    """One pass over all nodes, each after its left neighbours and its parent."""

    def __init__(self, tree: TreeCore, strict: bool) -> None:
        self._tree = tree
        self._strict = strict
        self._seen: set[int] = set()
        self._last_leaf = 0
        self._next_leaf = 0  # that the last leaf names
        self._keys = 0
        self._leaves = 0
        self._emptiest = 0

    def nodes(self) -> Iterator[int]:
        """The page of each node. Raises `TreeCorrupt` instead for one that breaks a rule."""
        tree = self._tree
        if tree.pool.closed:
            raise StorageClosed("The buffer pool")
        # Page, level, the first key that may stand there, the last one, at the right edge.
        todo = [(tree.root, tree.height - 1, 0, MAX_KEY, True)] if tree.height else []
        while todo:
            page_id, level, low, high, edge = todo.pop()
            if page_id in self._seen:
                raise TreeCorrupt(page_id, "two nodes name it as their child")
            if page_id == 0:
                raise TreeCorrupt(page_id, f"a node of level {level + 1} names it as its child")
            self._seen.add(page_id)
            with pin_node(tree, page_id, level) as page, tree.pool.latch:
                image = bytes(tree.pool.arena[page.frame])
            node = NodeView(image, page_id)
            self._check_header(node, image)
            self._check_keys(node, low, high)
            if level:
                self._check_internal(node, edge)
                bounds = [low, *node.keys.tolist(), high + 1]
                children = node.children.tolist()
                todo += [
                    (children[i], level - 1, bounds[i], bounds[i + 1] - 1, edge and i == node.count)
                    for i in reversed(range(len(children)))
                ]
            else:
                self._check_leaf(node, edge)
            yield page_id
        if self._next_leaf:
            raise TreeCorrupt(self._last_leaf, f"the last leaf names {self._next_leaf} as next")
        if self._keys != tree.count:
            raise TreeCorrupt(tree.root, f"{self._keys} keys, root slot says {tree.count}")

    def stats(self) -> TreeStats:
        tree = self._tree
        places = self._leaves * tree.leaf_cap
        return TreeStats(
            height=tree.height,
            leaf_count=self._leaves,
            internal_count=len(self._seen) - self._leaves,
            count=self._keys,
            fill_factor=self._keys / places if places else 0.0,
            min_leaf_fill=self._emptiest / tree.leaf_cap,
            splits=tree._numbers[SPLITS],
            merges=tree._numbers[MERGES],
        )

    def _check_header(self, node: NodeView, image: bytes) -> None:
        header = PageHeader.unpack(image)
        if header.record_count != node.count:
            raise TreeCorrupt(
                node.page_id, f"{header.record_count} records in its header, {node.count} keys"
            )
        if header.free_space_offset != len(image):
            raise TreeCorrupt(
                node.page_id,
                f"free space from {header.free_space_offset}, in a node from {len(image)}",
            )
        if any(image[29:32]):
            raise TreeCorrupt(node.page_id, f"reserved bytes are {image[29:32].hex(' ')}")

    def _check_keys(self, node: NodeView, low: int, high: int) -> None:
        keys = node.keys.astype(np.int64)
        gaps = np.flatnonzero(np.diff(keys) <= 0)
        if len(gaps):
            i = int(gaps[0])
            raise TreeCorrupt(node.page_id, f"key {keys[i + 1]} follows {keys[i]}")
        for key in (*keys[:1], *keys[-1:]):
            if not low <= key <= high:
                raise TreeCorrupt(
                    node.page_id, f"key {key} is not from {low} to {high}, as the nodes above say"
                )

    def _check_internal(self, node: NodeView, edge: bool) -> None:
        tree = self._tree
        if node.next_leaf or node.prev_leaf:
            named = node.next_leaf or node.prev_leaf
            raise TreeCorrupt(node.page_id, f"it is no leaf, and names leaf {named} as neighbour")
        least = min_children(tree.internal_cap) if self._strict and not edge else 1
        if node.page_id == tree.root:
            least = 2
        if node.count + 1 < least:
            raise TreeCorrupt(node.page_id, f"{node.count + 1} children, at least {least} expected")

    def _check_leaf(self, node: NodeView, edge: bool) -> None:
        tree = self._tree
        if node.prev_leaf != self._last_leaf:
            raise TreeCorrupt(node.page_id, f"prev is {node.prev_leaf}, not {self._last_leaf}")
        if self._leaves and self._next_leaf != node.page_id:
            raise TreeCorrupt(self._last_leaf, f"next is {self._next_leaf}, not {node.page_id}")
        least = min_keys(tree.leaf_cap) if self._strict and not edge else 1
        if node.page_id == tree.root:
            least = 1
        if node.count < least:
            raise TreeCorrupt(node.page_id, f"{node.count} keys, at least {least} expected")
        self._last_leaf, self._next_leaf = node.page_id, node.next_leaf
        self._keys += node.count
        self._emptiest = min(self._emptiest, node.count) if self._leaves else node.count
        self._leaves += 1
