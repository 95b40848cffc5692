"""Put and remove many keys in one pass over the leaves they are in.

Batches are applied leaf by leaf in the order of the keys, each leaf in one piece: when a batch
fails (a page that cannot be read, a full disk), the tree is valid, all keys below some key of the
batch have been done, and no key from there on. The error says how many in a note.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from meridian.database.btree import _batch_kernels as kernels
from meridian.database.btree.batch_common import (
    Keys,
    Rids,
    State,
    as_keys,
    as_rids,
    groups_of_leaves,
    new_state,
    sort_keys,
    visit,
)
from meridian.database.btree.batch_split import put_in_new_leaves
from meridian.database.btree.bulk import build
from meridian.database.btree.delete import make_less
from meridian.database.btree.descent import change
from meridian.database.storage._kernels import read_only

if TYPE_CHECKING:
    from meridian.database.btree.tree import BPlusTree

__all__ = ["delete_many", "put_many"]

_SLICE = 1 << 16  # keys that go down the tree together
_EAGER_SLICE = 1 << 10  # the same where a removal may move the keys after it to other leaves


def put_many(tree: BPlusTree, keys: object, rids: object) -> int:
    given = as_keys(keys)
    packed = as_rids(rids, len(given))
    tree._open_for_change()
    if not len(given):
        return 0
    wanted, order = sort_keys(given)
    last = np.append(wanted[1:] != wanted[:-1], True)  # of equal keys, which stand in their order
    wanted, packed = read_only(wanted[last]), read_only(packed[order[last]])
    with tree.latch.write():
        if not tree.height:
            build(tree, wanted, packed, 1.0)
            return len(wanted)
        before = tree.count
        _in_slices(
            tree, wanted, _SLICE, lambda part, state: _put(tree, wanted[part], packed[part], state)
        )
        return tree.count - before


def delete_many(tree: BPlusTree, keys: object) -> int:
    wanted = read_only(np.unique(as_keys(keys)))
    tree._open_for_change()
    size = _EAGER_SLICE if tree.rebalance == "eager" else _SLICE
    with tree.latch.write():
        before = tree.count
        _in_slices(tree, wanted, size, lambda part, state: _take(tree, wanted[part], state))
        return before - tree.count


def _in_slices(tree: BPlusTree, keys: Keys, size: int, work: Callable[[slice, State], int]) -> None:
    """Do `keys` slice by slice; `work` returns how many of a slice it has done."""
    done, state = 0, new_state()
    try:
        while done < len(keys) and tree.height:
            state[kernels.KEY] = 0
            done += work(slice(done, min(done + size, len(keys))), state)
    except BaseException as error:
        done += int(state[kernels.KEY])
        if done:
            error.add_note(f"{done} of {len(keys)} keys are done, those below {keys[done]}")
        raise
    finally:
        with tree.pool.latch:
            tree._roots[tree._count_slot] = tree.count  # the kernels counted


def _put(tree: BPlusTree, keys: Keys, rids: Rids, state: State) -> int:
    page_ids, starts = groups_of_leaves(tree, keys)
    places = np.empty(len(keys), np.int32)
    args = (tree.pool.dirty_bits, keys, rids, places, page_ids, starts)
    g = 0
    while (g := visit(tree, page_ids, kernels.put_sorted, args, state, g)) < len(page_ids):
        start, end = int(starts[g]), int(starts[g + 1])
        done = start + put_in_new_leaves(tree, keys[start:end], rids[start:end])
        state[kernels.KEY] = done
        if done < end:
            return done  # those up to `end` may belong to other leaves now
        g += 1
    return len(keys)


def _take(tree: BPlusTree, keys: Keys, state: State) -> int:
    page_ids, starts = groups_of_leaves(tree, keys)
    args = (tree.pool.dirty_bits, keys, page_ids, starts)
    g = 0
    while (g := visit(tree, page_ids, kernels.take_sorted, args, state, g)) < len(page_ids):
        done = int(state[kernels.KEY]) + 1
        _take_one(tree, int(keys[done - 1]))
        state[kernels.KEY] = done
        if tree.rebalance == "eager":
            return done  # the keys after it may be in other leaves now
        g += 1  # the leaf is gone, for this was its last key
    return len(keys)


def _take_one(tree: BPlusTree, key: int) -> None:
    """Remove a key whose leaf would get too small; the latch is held for writing."""
    change(tree, lambda: tree._take_once(key), lambda: make_less(tree))
