"""A leaf that gets more keys than it has room for becomes as many leaves as it takes, at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meridian.database.btree import _search_kernels as search
from meridian.database.btree._bulk_kernels import fill_leaves, merge_leaf
from meridian.database.btree.batch_common import Keys, Pages, Rids, pin_limit
from meridian.database.btree.descent import change
from meridian.database.btree.errors import TreeCorrupt
from meridian.database.btree.insert import make_room
from meridian.database.btree.node import NodeView
from meridian.database.btree.node_pins import NodePins
from meridian.database.btree.tree_meta import HEIGHT, PATH, PATH_STEP, SPLITS
from meridian.database.storage._kernels import read_only

if TYPE_CHECKING:
    from meridian.database.btree.tree import BPlusTree

__all__ = ["put_in_new_leaves"]

_OTHERS = 3  # pages that a split pins beside the new ones: the leaf, the next one, the parent


def put_in_new_leaves(tree: BPlusTree, keys: Keys, rids: Rids) -> int:
    """Put sorted, distinct `keys` of one leaf, which has no room for all of them.

    Splits the leaf into equal ones; where keys are added beyond all others, into full ones, if the
    tree's `append_split` is set. Returns how many keys went in, from the first on: all that the
    pages that can be pinned, and the parent, have room for. Raises `PoolExhausted`, `OSError`,
    `TreeCorrupt`, the entries of the tree unchanged.
    """
    numbers = tree._numbers
    first = int(keys[0])
    parent_step = PATH + PATH_STEP
    while True:
        _walk(tree, first)
        room = tree.internal_cap - numbers[parent_step + 2] if numbers[HEIGHT] > 1 else 1
        if room > 0:
            return _split(tree, keys, rids, min(room, max(1, pin_limit(tree.pool) - _OTHERS)))
        make_room(tree, first, int(rids[0]))  # splits an ancestor, for the parent is full


def _walk(tree: BPlusTree, key: int) -> None:
    """Note the path to the leaf of `key`."""
    pool = tree.pool

    def walk() -> int:
        if tree._frames.page_table is not tree._seen:
            tree._seen = tree._meta.look_at(pool)
        words = pool.arena.view(np.uint32).reshape(-1)
        return search.walk(words, tree._array, key)  # type: ignore[no-any-return]

    change(tree, walk, lambda: None)


def _split(tree: BPlusTree, keys: Keys, rids: Rids, most: int) -> int:
    """Share the leaf's entries and as many keys as fit among it and up to `most` new leaves."""
    numbers = tree._numbers
    with NodePins(tree) as pins:
        left = pins.node(numbers[PATH], 0)
        after = pins.node(left.next_leaf, 0) if left.next_leaf else None
        if after is not None and after.prev_leaf != left.page_id:
            raise TreeCorrupt(after.page_id, f"prev is {after.prev_leaf}, not {left.page_id}")
        held = left.count
        count = min(len(keys), (1 + most) * tree.leaf_cap - held)
        at_the_end = after is None and (not held or keys[0] > left.keys[-1])
        merged, packed = _merged(tree, left, keys[:count], rids[:count])
        starts = _starts(len(merged), tree.leaf_cap, full=at_the_end and tree.append_split)
        levels = [0] * (len(starts) - 2)
        parent: NodeView | None = None
        new: list[NodeView] = []
        if levels and numbers[HEIGHT] == 1:
            *new, parent = pins.create(*levels, 1)
        elif levels:  # else what fits for now only replaces
            parent = pins.node(numbers[PATH + PATH_STEP], 1)
            new = pins.create(*levels)
        page_ids = np.array([left.page_id, *(leaf.page_id for leaf in new)], np.int64)
        with pins.editing():
            frames = tree.pool.page_table[page_ids]
            words = tree.pool.arena.view(np.uint32).reshape(-1)
            links = left.prev_leaf, left.next_leaf
            fill_leaves(words, tree._array, frames, page_ids, starts, merged, packed, *links)
            if after is not None:
                after.prev_leaf = int(page_ids[-1])
            numbers[SPLITS] += len(new)
            if parent is None:
                tree._changed(len(merged) - held)
            else:
                _hang(tree, parent, page_ids, merged[starts[1:-1]], len(merged) - held)
    return count


def _merged(tree: BPlusTree, leaf: NodeView, keys: Keys, rids: Rids) -> tuple[Keys, Rids]:
    """The entries of a leaf with `keys` among them, which win over equal ones."""
    pool = tree.pool
    words = pool.arena.view(np.uint32).reshape(-1)
    frame = int(pool.page_table[leaf.page_id])
    merged = np.empty(leaf.count + len(keys), np.uint32)
    packed = np.empty(len(merged), np.uint64)
    count = merge_leaf(words, tree._array, frame, keys, rids, merged, packed)
    return read_only(merged[:count]), read_only(packed[:count])


def _starts(count: int, cap: int, *, full: bool) -> Pages:
    """Where each leaf's entries start, of as few as hold `count`: equal ones, or the first full."""
    number = -(-count // cap)
    if full:
        return np.append(np.arange(number) * cap, count)
    return np.arange(number + 1) * count // number


def _hang(tree: BPlusTree, parent: NodeView, page_ids: Pages, lowest: Keys, added: int) -> None:
    """Name the new leaves, all but the first, in the parent or new root; both latches are held."""
    numbers = tree._numbers
    if numbers[HEIGHT] == 1:
        parent.fill(lowest, page_ids)
        tree._plant(parent.page_id, 2, len(tree) + added)
        return
    i = numbers[PATH + PATH_STEP + 1]
    keys, children = parent.columns
    parent.fill(
        np.concatenate((keys[:i], lowest, keys[i:])),
        np.concatenate((children[: i + 1], page_ids[1:].astype(np.uint32), children[i + 1 :])),
    )
    tree._changed(added)
