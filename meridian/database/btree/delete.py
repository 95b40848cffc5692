"""Take a key out of a leaf that would get too small: cut it off, or refill it from a sibling.

As in `insert`, each step leads from one valid tree to another with at most four pages pinned: an
ancestor that a merge would leave too small is refilled first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from meridian.database.btree.errors import TreeCorrupt
from meridian.database.btree.layout import min_children, min_keys
from meridian.database.btree.node import NodeView
from meridian.database.btree.node_pins import NodePins, give_back, pin_node
from meridian.database.btree.tree_meta import HEIGHT, MERGES, PATH, PATH_STEP, ROOT

if TYPE_CHECKING:
    from meridian.database.btree.tree_core import TreeCore

__all__ = ["make_less"]


def make_less(tree: TreeCore) -> int | None:
    """One step towards the removal of the entry that the last walk came to.

    Returns its packed record id if that removed it, else ``None``. Raises `PoolExhausted`,
    `OSError`, `TreeCorrupt`, the tree unchanged.
    """
    if tree.rebalance == "lazy" or tree.height == 1:
        return _cut_leaf(tree)
    _refill(tree)
    return None


def _cut_leaf(tree: TreeCore) -> int:
    """Take the leaf of the last walk, with its only entry, out of the tree.

    Ancestors that have no other child go with it. A root left with one child gives way to it.
    """
    numbers = tree._meta.numbers
    height = numbers[HEIGHT]
    top = 1  # the lowest ancestor with another child
    while top < height and not numbers[PATH + PATH_STEP * top + 2]:
        top += 1
    gone = [_place(tree, level)[0] for level in range(top)]
    page_id, i, root, levels = 0, 0, 0, 0
    if top < height:
        page_id, i, keys = _place(tree, top)
        root, levels = numbers[ROOT], height
        if top == height - 1 and keys == 1:
            gone.append(page_id)
            root, levels = _lower_root(tree, page_id, 1 - i, top, gone)
            page_id = 0
    with NodePins(tree) as pins:
        leaf = pins.node(gone[0], 0)
        before = pins.node(leaf.prev_leaf, 0) if leaf.prev_leaf else None
        after = pins.node(leaf.next_leaf, 0) if leaf.next_leaf else None
        if before is not None and before.next_leaf != leaf.page_id:
            raise TreeCorrupt(before.page_id, f"next is {before.next_leaf}, not {leaf.page_id}")
        if after is not None and after.prev_leaf != leaf.page_id:
            raise TreeCorrupt(after.page_id, f"prev is {after.prev_leaf}, not {leaf.page_id}")
        parent = pins.node(page_id, top) if page_id else None
        old = int(leaf.rids[0])
        with pins.editing():
            if before is not None:
                before.next_leaf = leaf.next_leaf
            if after is not None:
                after.prev_leaf = leaf.prev_leaf
            if parent is not None:
                parent.remove_child(i)
            numbers[MERGES] += len(gone)
            tree._plant(root, levels, len(tree) - 1)
    give_back(tree, gone)
    return old


def _lower_root(
    tree: TreeCore, page_id: int, i: int, level: int, gone: list[int]
) -> tuple[int, int]:
    """The root and height of a tree whose root has child `i` alone; nodes passed are `gone`.

    A root has several children: of a node below with only one, that one is taken.
    """
    while True:
        with pin_node(tree, page_id, level) as page:
            page_id = int(NodeView(memoryview(tree.pool.arena[page.frame])).children[i])
        level, i = level - 1, 0
        if level == 0:
            break
        with pin_node(tree, page_id, level) as page:
            if NodeView(memoryview(tree.pool.arena[page.frame])).count:
                break
        gone.append(page_id)
    return page_id, level + 1


def _refill(tree: TreeCore) -> None:
    """One step towards a leaf, that of the last walk, which can lose a key and stay half full."""
    numbers = tree._meta.numbers
    height = numbers[HEIGHT]
    least_children = min_children(tree.internal_cap)
    for level in range(height - 1):
        parent_keys = numbers[PATH + PATH_STEP * (level + 1) + 2]
        if not parent_keys:
            continue  # no sibling: first the parent needs one
        left, merges = _choose(tree, level, least_children if level else min_keys(tree.leaf_cap))
        if merges and level + 2 < height and parent_keys + 1 <= least_children:
            continue  # first the parent needs a child to spare
        if merges:
            _merge(tree, level, left)
        else:
            _balance(tree, level, left)
        return
    raise TreeCorrupt(numbers[ROOT], "the root has one child")


def _choose(tree: TreeCore, level: int, least: int) -> tuple[int, bool]:
    """Which two neighbours under one parent to work on, by the position of the left one.

    And whether they become one: only if no sibling has enough for both.
    """
    numbers = tree._meta.numbers
    parent_id, i, parent_keys = _place(tree, level + 1)
    mine = numbers[PATH + PATH_STEP * level + 2] + bool(level)
    with pin_node(tree, parent_id, level + 1) as page:
        children = NodeView(memoryview(tree.pool.arena[page.frame])).children.tolist()
    for j in (i - 1, i + 1):
        if 0 <= j <= parent_keys:
            with pin_node(tree, children[j], level) as page:
                node = NodeView(memoryview(tree.pool.arena[page.frame]))
                size = node.count + bool(level)
            if mine + size > 2 * least:
                return min(i, j), False
    return max(i - 1, 0), True


def _balance(tree: TreeCore, level: int, left_at: int) -> None:
    """Share what two neighbours hold, the larger half to the one that asked for it."""
    parent_id, i, _ = _place(tree, level + 1)
    with NodePins(tree) as pins:
        parent, left, right = _pin_pair(pins, parent_id, level, left_at)
        with pins.editing():
            keys, *columns = _joined(parent, left_at, left, right)
            size = len(columns[0])
            half = (size + 1) // 2 if i == left_at else size // 2
            # An internal node has a key less than children; the one between goes up.
            inner = int(level > 0)
            left.fill(keys[: half - inner], *(column[:half] for column in columns))
            right.fill(keys[half:], *(column[half:] for column in columns))
            parent.keys[left_at] = keys[half - inner]
            tree._changed(0)


def _merge(tree: TreeCore, level: int, left_at: int) -> None:
    """Make two neighbours one. A root that had only them gives way to it."""
    numbers = tree._meta.numbers
    parent_id, _, parent_keys = _place(tree, level + 1)
    with NodePins(tree) as pins:
        parent, left, right = _pin_pair(pins, parent_id, level, left_at)
        gone = [right.page_id]
        after = pins.node(right.next_leaf, 0) if level == 0 and right.next_leaf else None
        if after is not None and after.prev_leaf != right.page_id:
            raise TreeCorrupt(after.page_id, f"prev is {after.prev_leaf}, not {right.page_id}")
        with pins.editing():
            left.fill(*_joined(parent, left_at, left, right))
            if level == 0:
                left.next_leaf = right.next_leaf
            if after is not None:
                after.prev_leaf = left.page_id
            numbers[MERGES] += 1
            if parent_keys == 1 and level + 2 == numbers[HEIGHT]:
                gone.append(parent_id)
                tree._plant(left.page_id, level + 1, len(tree))
            else:
                parent.remove_child(left_at + 1)
                tree._changed(0)
    give_back(tree, gone)


def _place(tree: TreeCore, level: int) -> tuple[int, int, int]:
    """Of the last walk's node of `level`: page, position of the child taken, keys."""
    at = PATH + PATH_STEP * level
    page_id, i, keys = tree._meta.numbers[at : at + PATH_STEP]
    return page_id, i, keys


def _pin_pair(
    pins: NodePins, parent_id: int, level: int, left_at: int
) -> tuple[NodeView, NodeView, NodeView]:
    """Parent and two children that are neighbours; of leaves the chain says so as well."""
    parent = pins.node(parent_id, level + 1)
    left = pins.node(int(parent.children[left_at]), level)
    right = pins.node(int(parent.children[left_at + 1]), level)
    if left.page_id == right.page_id:
        raise TreeCorrupt(parent_id, f"it names {left.page_id} twice as its child")
    if level == 0 and left.next_leaf != right.page_id:
        raise TreeCorrupt(left.page_id, f"next is {left.next_leaf}, not {right.page_id}")
    if level == 0 and right.prev_leaf != left.page_id:
        raise TreeCorrupt(right.page_id, f"prev is {right.prev_leaf}, not {left.page_id}")
    return parent, left, right


def _joined(
    parent: NodeView, left_at: int, left: NodeView, right: NodeView
) -> list[npt.NDArray[Any]]:
    """The entries of two neighbours in one; keys of internal nodes with the one between them."""
    columns = [np.concatenate(pair) for pair in zip(left.columns, right.columns, strict=True)]
    if not left.is_leaf:
        between = parent.keys[left_at : left_at + 1]
        columns[0] = np.concatenate((left.keys, between, right.keys))
    return columns
