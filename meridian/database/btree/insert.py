"""Make room for a key: split full nodes from the top down, one at a time.

Each split leads from one valid tree to another, so whatever fails between two of them has changed
nothing that a reader could see. A bottom-up split would need all pages of the path at once; this
needs four (Guibas and Sedgewick 1978 split on the way down; here only nodes that a full child is
about to fill over are split).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meridian.database.btree.errors import BTreeError, TreeCorrupt
from meridian.database.btree.layout import MAX_HEIGHT
from meridian.database.btree.node import NodeView
from meridian.database.btree.node_pins import NodePins
from meridian.database.btree.tree_meta import HEIGHT, PATH, PATH_STEP, SPLITS

if TYPE_CHECKING:
    from meridian.database.btree.tree_core import TreeCore

__all__ = ["make_room"]

_ABSENT = -1


def make_room(tree: TreeCore, key: int, rid: int) -> int | None:
    """One step towards room for `key` in the leaf that the last walk came to.

    Returns `ABSENT` if the entry, with the packed record id `rid`, went in on the way, else
    ``None``. Raises `PoolExhausted`, `OSError`, `TreeCorrupt`, the tree unchanged.
    """
    numbers = tree._meta.numbers
    height = numbers[HEIGHT]
    if height == 0:
        _first_leaf(tree, key, rid)
        return _ABSENT
    at_the_end = tree.append_split and all(
        numbers[PATH + PATH_STEP * level + 1] == numbers[PATH + PATH_STEP * level + 2]
        for level in range(height)
    )
    level = 0
    while level + 1 < height and _keys_at(tree, level + 1) >= tree.internal_cap:
        level += 1
    if level:
        _split_internal(tree, level, at_the_end)
        return None
    if at_the_end:
        _split_leaf(tree, key, rid)
        return _ABSENT
    _split_leaf(tree)
    return None


def _keys_at(tree: TreeCore, level: int) -> int:
    return tree._meta.numbers[PATH + PATH_STEP * level + 2]


def _first_leaf(tree: TreeCore, key: int, rid: int) -> None:
    with NodePins(tree) as pins:
        (leaf,) = pins.create(0)
        with pins.editing():
            leaf.fill(*_entry(key, rid))
            tree._plant(leaf.page_id, 1, 1)


def _split_leaf(tree: TreeCore, key: int = -1, rid: int = 0) -> None:
    """Halve the leaf; or, given a key beyond all others, open a new leaf with its entry alone."""
    with NodePins(tree) as pins:
        left = pins.node(tree._meta.numbers[PATH], 0)
        after = pins.node(left.next_leaf, 0) if left.next_leaf else None
        if after is not None and after.prev_leaf != left.page_id:
            raise TreeCorrupt(after.page_id, f"prev is {after.prev_leaf}, not {left.page_id}")
        if key >= 0 and after is not None:
            raise TreeCorrupt(left.page_id, f"next is {after.page_id} after the last leaf")
        parent, right = _parent_and_new(tree, pins, 0)
        with pins.editing():
            right.next_leaf, right.prev_leaf = left.next_leaf, left.page_id
            left.next_leaf = right.page_id
            if after is not None:
                after.prev_leaf = right.page_id
            if key >= 0:
                right.fill(*_entry(key, rid))
                tree._changed(1)
            else:
                columns = left.columns
                half = (left.count + 1) // 2
                left.fill(*(column[:half] for column in columns))
                right.fill(*(column[half:] for column in columns))
            _link(tree, 0, parent, left, int(right.keys[0]), right)


def _split_internal(tree: TreeCore, level: int, at_the_end: bool) -> None:
    """Split a full node: its middle key goes up. At the end of ascending keys, nearly the last."""
    with NodePins(tree) as pins:
        left = pins.node(tree._meta.numbers[PATH + PATH_STEP * level], level)
        parent, right = _parent_and_new(tree, pins, level)
        with pins.editing():
            keys, children = left.columns
            middle = len(keys) - 2 if at_the_end else len(keys) // 2
            left.fill(keys[:middle], children[: middle + 1])
            right.fill(keys[middle + 1 :], children[middle + 1 :])
            _link(tree, level, parent, left, int(keys[middle]), right)


def _parent_and_new(tree: TreeCore, pins: NodePins, level: int) -> tuple[NodeView, NodeView]:
    """Pin the parent of the node to split, which has room, or make a new root; and a new node."""
    numbers = tree._meta.numbers
    if level + 1 < numbers[HEIGHT]:
        parent = pins.node(numbers[PATH + PATH_STEP * (level + 1)], level + 1)
        (right,) = pins.create(level)
        return parent, right
    if level + 1 == MAX_HEIGHT:
        raise BTreeError(f"The tree in root slot {tree.root_slot} has {MAX_HEIGHT} levels")
    right, parent = pins.create(level, level + 1)
    return parent, right


def _link(
    tree: TreeCore, level: int, parent: NodeView, left: NodeView, separator: int, right: NodeView
) -> None:
    """Hang the new node `right` under the parent; both latches are held."""
    numbers = tree._meta.numbers
    numbers[SPLITS] += 1
    if level + 1 < numbers[HEIGHT]:
        parent.insert_child(numbers[PATH + PATH_STEP * (level + 1) + 1], separator, right.page_id)
        tree._changed(0)
    else:
        parent.fill(
            np.array([separator], np.uint32), np.array([left.page_id, right.page_id], np.uint32)
        )
        tree._plant(parent.page_id, level + 2, len(tree))


def _entry(key: int, rid: int) -> tuple[np.ndarray, ...]:
    return (
        np.array([key], np.uint32),
        np.array([rid >> 16], np.uint32),
        np.array([rid & 0xFFFF], np.uint16),
    )
