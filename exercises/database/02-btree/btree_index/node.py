"""The two kinds of node, and how each lies in a page of type INDEX.

After the 17 bytes that every page begins with, little-endian:

| Bytes | Leaf | Internal |
|---|---|---|
| 17 | node type u8 = 1 | node type u8 = 0 |
| 18..19 | number of keys u16 | number of keys u16 |
| 20..23, 24..27 | next leaf u32, previous leaf u32; 0: none | 0, 0 |
| 28, 29..31 | level u8 = 0, zeros | level u8, 1 above the leaves, zeros |
| 32.. | keys u32[406], pages u32[406], slots u16[406] | keys u32[507], children u32[508] |

The arrays have the page's capacity whatever they hold, so each begins at a fixed place. Of the
17 bytes before, the pool writes all but record_count, which repeats the number of keys.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from dataclasses import dataclass, field

from meridian.database.storage import RecordId

from .errors import KeyRange

Buffer = bytes | bytearray | memoryview

MAX_KEY = 0xFFFF_FFFF
NO_RID = 0xFFFF_FFFF_FFFF_FFFF  # in arrays of packed record ids: there is none
INTERNAL, LEAF = 0, 1

_COUNT_AT = 9  # record_count of the page's header
_NODE_AT = 17
_NODE = struct.Struct("<BHIIB3x")  # type, number of keys, next leaf, previous leaf, level
_COUNT = struct.Struct("<H")
_KEYS_AT = _NODE_AT + _NODE.size


def leaf_capacity(page_size: int) -> int:
    """Entries in a leaf: 406 in 4,096 bytes."""
    return (page_size - _KEYS_AT) // 10


def internal_capacity(page_size: int) -> int:
    """Keys in an internal node: 507 in 4,096 bytes, for 508 children."""
    return (page_size - _KEYS_AT - 4) // 8


def as_key(key: int) -> int:
    """`key`, or `KeyRange` for what is none."""
    if type(key) is not int or not 0 <= key <= MAX_KEY:
        raise KeyRange(key)
    return key


def is_leaf(buf: Buffer) -> bool:
    """Whether the page holds a leaf."""
    return buf[_NODE_AT] == LEAF


def _read(buf: Buffer, at: int, count: int, code: str) -> array[int]:
    """`count` numbers of the page from byte `at`, copied: nothing looks into the page later."""
    numbers = array(code)
    numbers.frombytes(buf[at : at + count * numbers.itemsize])
    return numbers


def _write(buf: bytearray | memoryview, at: int, numbers: array[int]) -> None:
    data = numbers.tobytes()
    buf[at : at + len(data)] = data


def _u32(numbers: object = ()) -> array[int]:
    return array("I", numbers)  # type: ignore[call-overload, no-any-return]


def _u16(numbers: object = ()) -> array[int]:
    return array("H", numbers)  # type: ignore[call-overload, no-any-return]


@dataclass(slots=True)
class LeafNode:
    """A leaf's entries, copied out of its page, so that no pin is held while they are worked on.

    Entry `i` is ``keys[i]`` and the record in page ``pages[i]``, slot ``slots[i]``. The three
    arrays are as long as each other, the keys ascend, and none comes twice.
    """

    page_id: int
    keys: array[int] = field(default_factory=_u32)
    pages: array[int] = field(default_factory=_u32)
    slots: array[int] = field(default_factory=_u16)
    next_leaf: int = 0
    prev_leaf: int = 0

    @property
    def values(self) -> list[RecordId]:
        """The record ids, in the order of the keys."""
        return list(map(RecordId, self.pages, self.slots))

    def value(self, i: int) -> RecordId:
        """The record id of entry `i`."""
        return RecordId(self.pages[i], self.slots[i])

    def insert(self, i: int, key: int, rid: RecordId) -> None:
        """Put an entry before entry `i`."""
        self.keys.insert(i, key)
        self.pages.insert(i, rid.page_id)
        self.slots.insert(i, rid.slot)

    def pop(self, i: int) -> tuple[int, RecordId]:
        """Take entry `i` out."""
        return self.keys.pop(i), RecordId(self.pages.pop(i), self.slots.pop(i))

    @classmethod
    def from_page(cls, buf: Buffer) -> LeafNode:
        """The leaf in a page; `ValueError` if there is none. Given, as a pattern."""
        kind, count, next_leaf, prev_leaf, _ = _NODE.unpack_from(buf, _NODE_AT)
        capacity = leaf_capacity(len(buf))
        page_id = int.from_bytes(buf[4:8], "little")
        if kind != LEAF or count > capacity:
            raise ValueError(f"Page {page_id} holds no leaf: node type {kind}, {count} keys")
        return cls(
            page_id,
            _read(buf, _KEYS_AT, count, "I"),
            _read(buf, _KEYS_AT + 4 * capacity, count, "I"),
            _read(buf, _KEYS_AT + 8 * capacity, count, "H"),
            next_leaf,
            prev_leaf,
        )

    def to_page(self, buf: bytearray | memoryview) -> None:
        """Write the leaf over a page of type INDEX. Given, as a pattern."""
        count, capacity = len(self.keys), leaf_capacity(len(buf))
        if count > capacity:
            raise ValueError(f"Leaf {self.page_id} has {count} entries, {capacity} fit")
        _COUNT.pack_into(buf, _COUNT_AT, count)
        _NODE.pack_into(buf, _NODE_AT, LEAF, count, self.next_leaf, self.prev_leaf, 0)
        _write(buf, _KEYS_AT, self.keys)
        _write(buf, _KEYS_AT + 4 * capacity, self.pages)
        _write(buf, _KEYS_AT + 8 * capacity, self.slots)

    def split(self, new_id: int, at: int | None = None) -> tuple[int, LeafNode]:
        """Move the entries from `at` (the middle, if not given) to a new leaf in page `new_id`.

        Returns the separator, which is the new leaf's first key, and the new leaf. Both know
        each other afterwards; the old right neighbour's `prev_leaf` is the tree's to mend.
        """
        raise NotImplementedError(
            "database/02-btree #3: LeafNode.split() - the upper half moves, its first key separates"
        )


@dataclass(slots=True)
class InternalNode:
    """Separators, and one child more than there are separators.

    Child `i` holds the keys ``k`` with ``keys[i - 1] <= k < keys[i]``. A separator need not be a
    key of the tree: the key may have been deleted since.
    """

    page_id: int
    level: int
    keys: array[int] = field(default_factory=_u32)
    children: array[int] = field(default_factory=_u32)

    @classmethod
    def from_page(cls, buf: Buffer) -> InternalNode:
        """The internal node in a page; `ValueError` if there is none."""
        raise NotImplementedError(
            "database/02-btree #1: InternalNode.from_page() - by the table, one child more than keys"
        )

    def to_page(self, buf: bytearray | memoryview) -> None:
        """Write the node over a page of type INDEX; `ValueError` if it does not fit."""
        raise NotImplementedError(
            "database/02-btree #1: InternalNode.to_page() - as LeafNode does it, the links are 0"
        )

    def find_child(self, key: int) -> int:
        """Which child holds `key`: its place in `children`, from 0."""
        raise NotImplementedError(
            "database/02-btree #1: InternalNode.find_child() - a key that equals a separator goes right"
        )

    def split(self, new_id: int) -> tuple[int, InternalNode]:
        """Move the upper half to a new node in page `new_id`.

        Returns the separator, which is in neither node afterwards, and the new node.
        """
        raise NotImplementedError(
            "database/02-btree #3: InternalNode.split() - the middle key moves up, it stays in no half"
        )


Node = LeafNode | InternalNode
