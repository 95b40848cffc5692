"""A B+ tree on the page layer: lookups in as many page reads as there are levels, ranges in order.

Read in this order: `layout` and `node` (a node as bytes), `tree` (what can be asked), `tree_core`
and `point_access` (one key, one call of a kernel), `descent` (what to do when that does not
suffice), `insert` and `delete` (how nodes split and merge), `check` (what a valid tree is). Names
are loaded when first used: importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meridian.lazy import lazy_names

if TYPE_CHECKING:
    from meridian.database.btree.catalog import TleIndex as TleIndex
    from meridian.database.btree.check import TreeStats as TreeStats
    from meridian.database.btree.errors import *  # noqa: F403
    from meridian.database.btree.layout import *  # noqa: F403
    from meridian.database.btree.node import NodeView as NodeView
    from meridian.database.btree.tree import BPlusTree as BPlusTree

_EXPORTS = {
    "catalog": ("TleIndex",),
    "check": ("TreeStats",),
    "errors": (
        "BTreeError",
        "DuplicateKey",
        "IndexNeedsRebuild",
        "KeyRange",
        "LatchHeld",
        "TreeCorrupt",
    ),
    "layout": ("MAX_KEY", "NO_RID", "internal_capacity", "leaf_capacity"),
    "node": ("NodeView",),
    "tree": ("BPlusTree",),
}
__all__ = sorted(name for names in _EXPORTS.values() for name in names)

__getattr__, __dir__ = lazy_names(__name__, _EXPORTS)
