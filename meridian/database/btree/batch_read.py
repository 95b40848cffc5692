"""Look many keys up in one pass over the leaves they are in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meridian.database.btree import _batch_kernels as kernels
from meridian.database.btree.batch_common import (
    Keys,
    Rids,
    as_keys,
    check_open,
    groups_of_leaves,
    new_state,
    reading,
    sort_keys,
    visit,
)
from meridian.database.btree.layout import NO_RID

if TYPE_CHECKING:
    from meridian.database.btree.tree import BPlusTree

__all__ = ["get_many"]

_SLICE = 1 << 16  # keys that go down the tree together


def get_many(tree: BPlusTree, keys: object) -> Rids:
    wanted, order = sort_keys(as_keys(keys))
    out = np.full(len(wanted), NO_RID, np.uint64)
    check_open(tree.pool)
    with reading(tree):
        for first in range(0, len(wanted) if tree.height else 0, _SLICE):
            part = slice(first, first + _SLICE)
            _find(tree, wanted[part], order[part], out)
    return out


def _find(tree: BPlusTree, keys: Keys, order: Keys, out: Rids) -> None:
    page_ids, starts = groups_of_leaves(tree, keys)
    args = (keys, order, page_ids, starts, out)
    visit(tree, page_ids, kernels.find, args, new_state())
