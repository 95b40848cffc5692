"""A node as bytes: where its fields and arrays stand in a page of type INDEX.

After the 17 bytes of every page, little-endian::

    17             18         20          24          28      29..31
    node_type u8 | keys u16 | next u32 | prev u32 | level u8 | 0       then from byte 32
    leaf (type 1):      keys u32[n], then the record's page u32[n], then its slot u16[n]
    internal (type 0):  keys u32[n], then children u32[n + 1]

The arrays have the node's full capacity whatever it holds, so that each begins at a fixed word and
one ``uint32`` view of the pool's arena serves every search. `next` and `prev` chain the leaves (0:
none); they are 0 in internal nodes. Child `i` holds the keys with ``K[i-1] <= k < K[i]``
(Comer 1979, *The Ubiquitous B-Tree*; Petrov, *Database Internals*, ch. 2 and 4).
"""

from __future__ import annotations

from operator import index
from typing import SupportsIndex

from meridian.database.btree.errors import KeyRange
from meridian.database.storage.rid import RecordId

__all__ = [
    "INTERNAL",
    "LEAF",
    "MAX_HEIGHT",
    "MAX_KEY",
    "NODE_HEADER",
    "NO_RID",
    "as_key",
    "as_packed",
    "internal_capacity",
    "leaf_capacity",
    "min_children",
    "min_keys",
]

INTERNAL = 0
LEAF = 1
NODE_HEADER = 32
"""Bytes before a node's keys."""
MAX_KEY = 0xFFFF_FFFF
MAX_HEIGHT = 32
"""More levels than any tree of 2**32 pages needs."""
NO_RID = 0xFFFF_FFFF_FFFF_FFFF
"""In arrays of packed record ids: there is none. No record has this id."""


def leaf_capacity(page_size: int) -> int:
    """Entries in a leaf of `page_size` bytes: 406 in 4,096."""
    return (page_size - NODE_HEADER) // 10


def internal_capacity(page_size: int) -> int:
    """Keys in an internal node of `page_size` bytes: 507 in 4,096, with 508 children."""
    return (page_size - NODE_HEADER - 4) // 8


def min_keys(leaf_cap: int) -> int:
    """Entries that a leaf which is not the root keeps when underfull nodes are rebalanced."""
    return leaf_cap // 2


def min_children(internal_cap: int) -> int:
    """Children that an internal node which is not the root keeps when nodes are rebalanced."""
    return (internal_cap + 1) // 2


def as_key(key: SupportsIndex) -> int:
    """`key` as Python's int; `KeyRange` for what is no whole number of 32 bits."""
    if isinstance(key, bool):
        raise KeyRange(key)
    try:
        number = index(key)
    except TypeError:  # NumPy's bool and floats, None, text
        raise KeyRange(key) from None
    if not 0 <= number <= MAX_KEY:
        raise KeyRange(key)
    return number


def as_packed(rid: RecordId) -> int:
    """`rid` in its packed form.

    Raises `TypeError` for what is no record id, `ValueError` for a part beyond its 32 or 16 bits.
    """
    if not isinstance(rid, RecordId):
        raise TypeError(f"Expected a RecordId, got {type(rid).__name__}")
    page_id, slot = rid
    whole = type(page_id) is int and type(slot) is int
    if whole and 0 <= page_id <= 0xFFFF_FFFF and 0 <= slot <= 0xFFFF:
        return page_id << 16 | slot
    return rid.pack()  # raises, or converts NumPy's integers
