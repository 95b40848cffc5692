"""Merge what deletes have left thin: neighbours under one parent become as few as hold them."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from meridian.database.btree import _bulk_kernels as kernels
from meridian.database.btree.batch_common import Pages, new_state, pin_limit, visit
from meridian.database.btree.errors import TreeCorrupt
from meridian.database.btree.layout import internal_capacity, min_children, min_keys
from meridian.database.btree.node import NodeView
from meridian.database.btree.node_pins import NodePins, give_back, pin_node
from meridian.database.btree.tree_meta import MERGES

if TYPE_CHECKING:
    from meridian.database.btree.tree import BPlusTree

__all__ = ["nodes_of_level", "vacuum"]

_OTHERS = 2  # pages pinned beside those that are merged: their parent, the leaf after them


def vacuum(tree: BPlusTree) -> int:
    """Repack neighbours until no node that has a sibling is less than half full.

    Each step leads from one valid tree to another, so an error leaves the tree as the steps before
    it made it.
    """
    tree._open_for_change()
    freed, changed = 0, True
    with tree.latch.write():
        while changed:  # a parent that was merged gives its children new siblings
            changed = False
            for level in range(1, tree.height):
                for page_id in nodes_of_level(tree, level).tolist():
                    steps, gone = _tidy(tree, page_id, level)
                    changed |= steps > 0
                    freed += gone
            freed += _lower_root(tree)
        give_back(tree, [])  # what the file did not take back before
    return freed


def nodes_of_level(tree: BPlusTree, level: int) -> Pages:
    """The pages of all nodes of `level`, in the order of their keys. The tree's latch is held."""
    page_ids = np.array([tree.root] if tree.height else [], np.int64)
    for above in range(tree.height - 1, level, -1):
        page_ids = _children(tree, page_ids, above)
    return page_ids


def _children(tree: BPlusTree, page_ids: Pages, level: int) -> Pages:
    most = internal_capacity(tree.pool.file.page_size) + 1
    out, state = np.empty(len(page_ids) * most, np.int64), new_state()
    visit(tree, page_ids, kernels.children_of, (page_ids, level, out), state)
    return out[: int(state[1])]


def _tidy(tree: BPlusTree, parent_id: int, level: int) -> tuple[int, int]:
    """Repack the children of one node of `level`; how many steps it took, pages freed."""
    children = _children(tree, np.array([parent_id], np.int64), level)
    out = np.empty(len(children), np.int64)
    visit(tree, children, kernels.key_counts, (children, level - 1, out), new_state())
    if level == 1:
        sizes, least, most = out.tolist(), min_keys(tree.leaf_cap), tree.leaf_cap
    else:
        sizes = (out + 1).tolist()
        least, most = min_children(tree.internal_cap), tree.internal_cap + 1
    steps = freed = at = 0
    while len(sizes) > 1:
        thin = next((i for i in range(at, len(sizes)) if sizes[i] < least), None)
        if thin is None:
            break
        at = max(thin - 1, 0)
        end, limit = at + 2, at + max(2, min(pin_limit(tree.pool) - _OTHERS, 64))
        while end < min(len(sizes), limit) and sizes[end] < least:
            end += 1
        shared = _shared(sum(sizes[at:end]), most)
        _repack(tree, parent_id, level, at, end, shared)
        steps += 1
        freed += end - at - len(shared)
        sizes[at:end] = shared
    return steps, freed


def _shared(count: int, most: int) -> list[int]:
    """`count` in as few parts as possible, none above `most`, equal but for one."""
    number = max(1, -(-count // most))
    return [count // number + (i < count % number) for i in range(number)]


def _repack(
    tree: BPlusTree, parent_id: int, level: int, start: int, end: int, sizes: list[int]
) -> None:
    """Put what children `start` to `end` of a node hold into the first of them, in `sizes`."""
    with NodePins(tree) as pins:
        parent = pins.node(parent_id, level)
        keys, children = parent.columns
        nodes = [pins.node(int(child), level - 1) for child in children[start:end]]
        after = _chain_end(pins, nodes) if level == 1 else None
        columns = _joined(nodes, keys[start : end - 1])
        kept, gone = nodes[: len(sizes)], [node.page_id for node in nodes[len(sizes) :]]
        with pins.editing():
            if level == 1:
                kept[-1].next_leaf = nodes[-1].next_leaf
                if after is not None:
                    after.prev_leaf = kept[-1].page_id
            between = _deal(kept, columns, sizes)
            parent.fill(
                np.concatenate((keys[:start], np.array(between, np.uint32), keys[end - 1 :])),
                np.delete(children, slice(start + len(sizes), end)),
            )
            tree._numbers[MERGES] += len(gone)
            tree._changed(0)
    give_back(tree, gone)


def _chain_end(pins: NodePins, leaves: list[NodeView]) -> NodeView | None:
    """The leaf after the last of `leaves`, which are neighbours as their links say."""
    for left, right in pairwise(leaves):
        if left.next_leaf != right.page_id:
            raise TreeCorrupt(left.page_id, f"next is {left.next_leaf}, not {right.page_id}")
        if right.prev_leaf != left.page_id:
            raise TreeCorrupt(right.page_id, f"prev is {right.prev_leaf}, not {left.page_id}")
    last = leaves[-1]
    after = pins.node(last.next_leaf, 0) if last.next_leaf else None
    if after is not None and after.prev_leaf != last.page_id:
        raise TreeCorrupt(after.page_id, f"prev is {after.prev_leaf}, not {last.page_id}")
    return after


def _joined(nodes: list[NodeView], between: npt.NDArray[np.uint32]) -> list[npt.NDArray[Any]]:
    """The columns of neighbours in one; keys of internal nodes with those between them."""
    columns = [np.concatenate(parts) for parts in zip(*(n.columns for n in nodes), strict=True)]
    if not nodes[0].is_leaf:
        parts = [nodes[0].keys]
        for node, key in zip(nodes[1:], between, strict=True):
            parts += [np.array([key], np.uint32), node.keys]
        columns[0] = np.concatenate(parts)
    return columns


def _deal(nodes: list[NodeView], columns: list[npt.NDArray[Any]], sizes: list[int]) -> list[int]:
    """Fill `nodes` with so many entries (or children) each; the keys between them."""
    keys, *rest = columns
    inner = int(not nodes[0].is_leaf)  # an internal node has a key less than children
    between, start = [], 0
    for node, size in zip(nodes, sizes, strict=True):
        if start:
            between.append(int(keys[start - inner]))
        end = start + size
        node.fill(keys[start : end - inner], *(column[start:end] for column in rest))
        start = end
    return between


def _lower_root(tree: BPlusTree) -> int:
    """Let a root with one child give way to it; the pages freed."""
    page_id, level = tree.root, tree.height - 1
    gone = []
    while level > 0:
        with pin_node(tree, page_id, level) as page:
            node = NodeView(memoryview(tree.pool.arena[page.frame]), page_id)
            if node.count:
                break
            gone.append(page_id)
            page_id = int(node.children[0])
        level -= 1
    if gone:
        with tree.pool.latch:
            tree._numbers[MERGES] += len(gone)
            tree._plant(page_id, level + 1, len(tree))
        give_back(tree, gone)
    return len(gone)
