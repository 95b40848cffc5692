"""A B+ tree over catalog numbers for the Orbital Object Registry: the names that the grader calls.

Given: nothing to write here. Pages, pool and record ids are module 1's.
"""

from __future__ import annotations

from meridian.database.storage import BufferPool, PageFile, PageType, RecordId

from .acceptance import run_acceptance
from .btree import BPlusTree, TreeStats
from .errors import DuplicateKey, KeyRange
from .node import (
    MAX_KEY,
    NO_RID,
    InternalNode,
    LeafNode,
    internal_capacity,
    leaf_capacity,
)
from .show import show_tree

__all__ = [
    "MAX_KEY",
    "NO_RID",
    "BPlusTree",
    "BufferPool",
    "DuplicateKey",
    "InternalNode",
    "KeyRange",
    "LeafNode",
    "PageFile",
    "PageType",
    "RecordId",
    "TreeStats",
    "internal_capacity",
    "leaf_capacity",
    "run_acceptance",
    "show_tree",
]
