"""Keys in order: one by one, in blocks, or all at once as arrays.

Each step goes down from the root to the first key not seen yet and copies what it is to hand out,
so nothing is pinned, latched or remembered of the pages between two steps, and a change of the
tree costs nothing special: the next step finds the tree as it is then.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from meridian.database.btree import _bulk_kernels as kernels
from meridian.database.btree._batch_kernels import DONE
from meridian.database.btree.batch_common import Keys, Rids, check_open, new_state, reading, visit
from meridian.database.btree.descent import raise_broken
from meridian.database.btree.errors import TreeCorrupt
from meridian.database.btree.layout import MAX_KEY, leaf_capacity
from meridian.database.btree.node_pins import pin_node
from meridian.database.btree.tree_meta import VERSION
from meridian.database.storage.rid import RecordId

if TYPE_CHECKING:
    from meridian.database.btree.tree import BPlusTree

__all__ = ["items", "range_arrays", "range_entries"]

_MOST_LEAVES = 16  # in a block of `items`: enough for its price to be that of the Python integers

_make_rid = tuple.__new__  # the constructor of a NamedTuple checks what is known here
_SLOT = np.uint64(0xFFFF)


class _Leaves(NamedTuple):
    """Leaves side by side; all keys from `low` to below `high` that the tree has are in them."""

    page_ids: npt.NDArray[np.int64]
    low: int
    high: int


def range_arrays(tree: BPlusTree, lo: int, hi: int) -> tuple[Keys, Rids]:
    with reading(tree):
        found = [np.empty(0, np.int64)]
        most = tree.pool.file.page_size  # more than one node names
        at = lo
        check_open(tree.pool)
        while at <= hi and tree.height:
            leaves = _seek(tree, at, hi, most)
            found.append(leaves.page_ids)
            at = leaves.high
        page_ids = np.concatenate(found) if len(found) > 2 else found[-1]
        return _copy(tree, page_ids, lo, hi, scan=2 * len(page_ids) > tree.pool.frames)


def range_entries(
    tree: BPlusTree, lo: int, hi: int, reverse: bool
) -> Iterator[tuple[int, RecordId]]:
    numbers = tree._numbers
    while lo <= hi:
        with reading(tree):
            check_open(tree.pool)
            if not tree.height:
                return
            leaves = _seek(tree, lo, hi, 1, back=reverse)
            keys, rids = _copy(tree, leaves.page_ids, lo, hi)
            version = numbers[VERSION]
        if reverse:
            keys, rids = keys[::-1], rids[::-1]
            hi = leaves.low - 1
        else:
            lo = leaves.high
        pairs = zip((rids >> np.uint64(16)).tolist(), (rids & _SLOT).tolist(), strict=True)
        for entry in zip(keys.tolist(), map(_make_rid, repeat(RecordId), pairs), strict=False):
            yield entry
            if numbers[VERSION] != version:  # the rest of what was copied may have changed
                if reverse:
                    hi = entry[0] - 1
                else:
                    lo = entry[0] + 1
                break


def items(tree: BPlusTree, lo: int, hi: int) -> Iterator[tuple[int, int]]:
    most = 1  # who takes three entries pays for one leaf
    while lo <= hi:
        with reading(tree):
            check_open(tree.pool)
            if not tree.height:
                return
            leaves = _seek(tree, lo, hi, most)
            keys, rids = _copy(tree, leaves.page_ids, lo, hi)
        lo = leaves.high
        most = min(2 * most, _MOST_LEAVES)
        yield from zip(keys.tolist(), rids.tolist(), strict=True)


def _seek(tree: BPlusTree, lo: int, hi: int, most: int, *, back: bool = False) -> _Leaves:
    """Up to `most` leaves of one parent from that of `lo` on; going `back`, that of `hi`.

    The tree is not empty; its latch is held. At most one page is pinned at a time.
    """
    pool = tree.pool
    state = np.array([tree.root, tree.height - 1, 0, MAX_KEY + 1], np.int64)
    out = np.empty(most, np.int64)
    page = None
    try:
        while True:
            with pool.latch:
                words = pool.arena.view(np.uint32).reshape(-1)
                memory = (words, pool.page_table, pool.ref_bits, tree._meta.array)
                level = int(state[kernels.LEVEL])
                found = int(kernels.seek(*memory, lo, hi, back, out, state))
                pool.stats.hits += level - int(state[kernels.LEVEL]) + (found > 0)
            if found > 0:
                break
            if found < -1:
                raise_broken(found)
            if page is not None:
                page.unpin()
                page = None
            page = pin_node(tree, int(state[kernels.PAGE]), int(state[kernels.LEVEL]))
    finally:
        if page is not None:
            page.unpin()
    low, high = int(state[kernels.LOW]), int(state[kernels.HIGH])
    if not (low <= hi if back else lo < high):
        raise TreeCorrupt(int(state[kernels.PAGE]), "its keys are not ascending")
    return _Leaves(out[:found], low, high)


def _copy(
    tree: BPlusTree, page_ids: npt.NDArray[np.int64], lo: int, hi: int, *, scan: bool = False
) -> tuple[Keys, Rids]:
    """The entries of leaves from `lo` to `hi`."""
    most = len(page_ids) * leaf_capacity(tree.pool.file.page_size)
    keys, rids = np.empty(most, np.uint32), np.empty(most, np.uint64)
    state = new_state()
    visit(tree, page_ids, kernels.copy_entries, (page_ids, lo, hi, keys, rids), state, scan=scan)
    done = int(state[DONE])
    if 2 * done < most:  # what is not used would live as long as what is
        return keys[:done].copy(), rids[:done].copy()
    return keys[:done], rids[:done]
