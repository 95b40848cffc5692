"""Build a tree from the bottom up: each page is made once, full, and written in long runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from meridian.database.btree import _bulk_kernels as kernels
from meridian.database.btree.batch_common import Keys, Rids, as_keys, as_rids, pin_limit, sort_keys
from meridian.database.btree.layout import min_children, min_keys
from meridian.database.btree.node import NodeView
from meridian.database.btree.node_pins import give_back
from meridian.database.storage._kernels import read_only
from meridian.database.storage.page import PageType

if TYPE_CHECKING:
    from meridian.database.btree.tree import BPlusTree
    from meridian.database.storage.buffer_pool import BufferPool

__all__ = ["build", "bulk_load", "rebuild", "shares"]

Pages = npt.NDArray[np.int64]
Frames = npt.NDArray[np.int32]


class _Stretch(NamedTuple):
    """New nodes to fill: their pages, their frames, and the place of the first among its level."""

    page_ids: Pages
    frames: Frames
    first: int
    before: int  # the page of the node before them, 0 for none
    after: int  # and of the one after them, if it comes where it is expected


Fill = Callable[[_Stretch], None]


def bulk_load(tree: BPlusTree, keys: object, rids: object, fill: float) -> None:
    given = as_keys(keys)
    packed = as_rids(rids, len(given))
    if isinstance(fill, bool) or not isinstance(fill, (int, float, np.floating)):
        raise TypeError(f"Expected fill as a number, got {type(fill).__name__}")
    if not 0.5 <= fill <= 1.0:  # NaN too
        raise ValueError(f"Expected 0.5 <= fill <= 1.0, got {fill}")
    wrong = given[1:] <= given[:-1]
    if wrong.any():
        i = int(np.argmax(wrong)) + 1
        raise ValueError(
            f"Expected strictly ascending keys, got {given[i]} after {given[i - 1]} at index {i}"
        )
    tree._open_for_change()
    with tree.latch.write():
        if tree.height:
            raise ValueError(f"The tree has {len(tree)} keys: clear() it first, or use put_many")
        if len(given):
            build(tree, read_only(given), read_only(packed), float(fill))


def rebuild(
    cls: type[BPlusTree], pool: BufferPool, pairs: Iterable[tuple[Keys, Rids]], **options: Any
) -> BPlusTree:
    slot = options.get("root_slot", 0)
    batches = []
    for keys, rids in pairs:
        given = as_keys(keys)
        batches.append((given, as_rids(rids, len(given))))
    old = pool.file.get_root(slot), pool.file.get_root(slot + 1)
    pool.file.set_root(slot, 0)
    pool.file.set_root(slot + 1, 0)
    try:
        tree = cls(pool, **options)
    except BaseException:
        pool.file.set_root(slot, old[0])
        pool.file.set_root(slot + 1, old[1])
        if not pool.file.was_clean:
            pool.file.doubt_root(slot)
        raise
    if batches:
        joined, packed = (np.concatenate(column) for column in zip(*batches, strict=True))
        ascending, order = sort_keys(joined)
        last = np.append(ascending[1:] != ascending[:-1], True)[: len(ascending)]
        bulk_load(tree, ascending[last], packed[order[last]], 1.0)
    return tree


def build(tree: BPlusTree, keys: Keys, rids: Rids, fill: float) -> None:
    """Make an empty tree one of `keys`, ascending, at least one; the write latch is held.

    Raises what `BufferPool.new_pages` raises, the tree then being empty and its pages free.
    """
    made: list[int] = []
    try:
        root, height = _levels(tree, keys, rids, fill, made)
        with tree.pool.latch:
            tree._plant(root, height, len(keys))
    except BaseException:
        give_back(tree, made)
        raise


def _levels(
    tree: BPlusTree, keys: Keys, rids: Rids, fill: float, made: list[int]
) -> tuple[int, int]:
    """Make all nodes, level by level; return the root and how many levels there are."""
    meta, words = tree._meta.array, tree.pool.arena.view(np.uint32).reshape(-1)
    sizes = shares(len(keys), int(tree.leaf_cap * fill), tree.leaf_cap, min_keys(tree.leaf_cap))
    starts = _starts(sizes)

    def leaves(new: _Stretch) -> None:
        kernels.fill_leaves(
            words,
            meta,
            new.frames,
            new.page_ids,
            starts[new.first :],
            keys,
            rids,
            new.before,
            new.after,
        )

    children, lowest, height = _make(tree, len(sizes), leaves, made), keys[starts[:-1]], 1
    while len(children) > 1:
        children, lowest = _level(tree, height, children, lowest, fill, made)
        height += 1
    return int(children[0]), height


def _level(
    tree: BPlusTree, level: int, children: Pages, lowest: Keys, fill: float, made: list[int]
) -> tuple[Pages, Keys]:
    """Make the nodes above `children`, whose lowest keys are `lowest`; the same of the nodes."""
    meta, words = tree._meta.array, tree.pool.arena.view(np.uint32).reshape(-1)
    most = tree.internal_cap + 1
    sizes = shares(len(children), int(most * fill), most, min_children(tree.internal_cap))
    starts = _starts(sizes)

    def nodes(new: _Stretch) -> None:
        kernels.fill_nodes(
            words, meta, new.frames, new.page_ids, starts[new.first :], lowest, children, level
        )

    return _make(tree, len(sizes), nodes, made), lowest[starts[:-1]]


def shares(count: int, per: int, most: int, least: int) -> npt.NDArray[np.int64]:
    """How many of `count` each node gets: `per`, and the last ones what keeps them half full."""
    full, rest = divmod(count, per)
    sizes = [per] * full + [rest] * bool(rest)
    if rest and full and rest < least:
        both = per + rest
        sizes[-2:] = [both] if both <= most else [both - both // 2, both // 2]
    return np.array(sizes, np.int64)


def _starts(sizes: npt.NDArray[np.int64]) -> Pages:
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes)))


def _make(tree: BPlusTree, count: int, fill: Fill, made: list[int]) -> Pages:
    """`count` new nodes, made in stretches of few enough to pin; their pages, in order.

    Free pages are used first; else the nodes are written at the end of the file with what is in
    them, once. Where a stretch of leaves is not followed by the page that was expected, the
    link is set right.
    """
    pool = tree.pool
    page_ids = np.empty(count, np.int64)
    done = before = expected = 0
    while done < count:
        some = min(count - done, pin_limit(pool))
        free = pool.file.free_count
        if free or pool.before_flush is not None:
            new = _allocate(tree, min(some, free or some), fill, done, count, before)
        else:
            new = _append(tree, some, fill, done, count, before)
        made += new
        if new[0] != expected and done:
            _link(tree, before, new[0])
        page_ids[done : done + len(new)] = new
        done += len(new)
        before, expected = new[-1], new[-1] + 1
    return page_ids


def _allocate(
    tree: BPlusTree, some: int, fill: Fill, done: int, count: int, before: int
) -> list[int]:
    pages = sorted(tree.pool.new_pages(some, PageType.INDEX), key=lambda page: page.page_id)
    page_ids = [page.page_id for page in pages]
    try:
        with tree.pool.latch:
            fill(_stretch(page_ids, [page.frame for page in pages], done, count, before))
    finally:
        for page in pages:
            page.mark_dirty()
            page.unpin()
    return page_ids


def _append(
    tree: BPlusTree, some: int, fill: Fill, done: int, count: int, before: int
) -> list[int]:
    def fill_frames(page_ids: range, frames: list[int]) -> None:
        fill(_stretch(list(page_ids), frames, done, count, before))

    return list(tree.pool._loader.append(some, fill_frames))


def _stretch(
    page_ids: list[int], frames: list[int], done: int, count: int, before: int
) -> _Stretch:
    after = page_ids[-1] + 1 if done + len(page_ids) < count else 0
    return _Stretch(np.array(page_ids, np.int64), np.array(frames, np.int32), done, before, after)


def _link(tree: BPlusTree, left_id: int, right_id: int) -> None:
    """Name leaf `right_id` as the one after leaf `left_id`."""
    with tree.pool.fetch(left_id) as page, tree.pool.latch:
        node = NodeView(memoryview(tree.pool.arena[page.frame]))
        if node.is_leaf:
            node.next_leaf = right_id
            page.mark_dirty()
