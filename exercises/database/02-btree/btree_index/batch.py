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
    raise NotImplementedError(
        "database/02-btree #batch: get_many() - each node is read once for all keys that pass it"
    )
