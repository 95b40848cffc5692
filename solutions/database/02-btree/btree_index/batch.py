"""Bonus: many lookups at once. The only place where NumPy is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .errors import KeyRange
from .node import MAX_KEY, NO_RID, LeafNode

if TYPE_CHECKING:
    from .btree import BPlusTree


def get_many(tree: BPlusTree, keys: npt.NDArray[np.integer]) -> npt.NDArray[np.uint64]:
    """Packed record ids (``page << 16 | slot``, uint64) of `keys`, in their order.

    `NO_RID` where there is none. `keys` is a flat array of any integer type and byte order:
    `ValueError` for another, `KeyRange` for a number that is no key.
    """
    ### BEGIN SOLUTION #batch: get_many() - each node is read once for all keys that pass it
    keys = np.asarray(keys)
    if keys.ndim != 1 or keys.dtype.kind not in "iu":
        raise ValueError(f"Expected a flat array of integers, got {keys.dtype}{keys.shape}")
    wrong = keys[(keys < 0) | (keys > MAX_KEY)]
    if len(wrong):
        raise KeyRange(int(wrong[0]))
    found = np.full(len(keys), NO_RID, np.uint64)
    order = np.argsort(keys, kind="stable")
    wanted = keys[order].astype(np.uint32)

    def visit(page_id: int, start: int, stop: int) -> None:
        node, part = tree._load(page_id), wanted[start:stop]
        here = np.asarray(node.keys)
        if isinstance(node, LeafNode):
            at = np.minimum(np.searchsorted(here, part), len(here) - 1)
            hit = np.flatnonzero(here[at] == part)
            pages, slots = np.asarray(node.pages), np.asarray(node.slots)
            rids = pages[at[hit]].astype(np.uint64) << np.uint64(16) | slots[at[hit]]
            found[order[start + hit]] = rids
            return
        ends = start + np.searchsorted(part, here)  # a key that equals a separator goes right
        bounds = [start, *ends.tolist(), stop]
        for child, first, last in zip(node.children, bounds, bounds[1:], strict=False):
            if first < last:
                visit(child, first, last)

    if tree.root and len(wanted):
        visit(tree.root, 0, len(wanted))
    return found
    ### END SOLUTION
