"""One node through a view of its page: for structure changes, checks, and to look at."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from meridian.database.btree.layout import (
    INTERNAL,
    LEAF,
    NODE_HEADER,
    internal_capacity,
    leaf_capacity,
)
from meridian.database.storage.page import HEADER_SIZE, Buffer, byte_view

__all__ = ["NodeView"]

U16 = npt.NDArray[np.uint16]
U32 = npt.NDArray[np.uint32]

_FIELDS = struct.Struct("<BHIIB3s")  # type, keys, next, prev, level, reserved
_RECORDS = struct.Struct("<HH")  # in the page's header: record_count, free_space_offset
_RECORDS_AT = 9


class NodeView:
    """Read and write a node's fields and arrays where they lie.

    The arrays are NumPy views of the page, so they show later changes, and end where the node's
    count, as it is on reading, says: at most at the node's room. Looking is enough for searching
    in lessons; lookups use kernels, which take a tenth of the time.
    """

    __slots__ = ("_words", "page_id", "view")

    def __init__(self, page: Buffer, page_id: int = 0) -> None:
        """View `page`, a whole page; `page_id` is for messages."""
        self.view = byte_view(page)
        self.page_id = page_id
        self._words: U32 = np.frombuffer(self.view, "<u4")

    @property
    def level(self) -> int:
        """Levels below this node: 0 for a leaf."""
        return self.view[28]

    @property
    def is_leaf(self) -> bool:
        return self.view[HEADER_SIZE] == LEAF

    @property
    def count(self) -> int:
        """Keys in the node, as the page says."""
        view = self.view
        return view[18] | view[19] << 8

    @property
    def next_leaf(self) -> int:
        """The leaf with the next higher keys, 0 for none."""
        return int(self._words[5])

    @next_leaf.setter
    def next_leaf(self, page_id: int) -> None:
        self._words[5] = page_id

    @property
    def prev_leaf(self) -> int:
        """The leaf with the next lower keys, 0 for none."""
        return int(self._words[6])

    @prev_leaf.setter
    def prev_leaf(self, page_id: int) -> None:
        self._words[6] = page_id

    @property
    def room(self) -> int:
        """Keys for which the page has room."""
        size = len(self.view)
        return leaf_capacity(size) if self.is_leaf else internal_capacity(size)

    @property
    def keys(self) -> U32:
        """The keys, uint32, ascending."""
        return self._words[8 : 8 + min(self.count, self.room)]

    @property
    def children(self) -> U32:
        """An internal node's children, uint32, one more than keys."""
        room = internal_capacity(len(self.view))
        return self._words[8 + room : 8 + room + min(self.count, room) + 1]

    @property
    def rid_pages(self) -> U32:
        """The pages of a leaf's records, uint32."""
        room = leaf_capacity(len(self.view))
        return self._words[8 + room : 8 + room + min(self.count, room)]

    @property
    def rid_slots(self) -> U16:
        """The slots of a leaf's records, uint16."""
        room = leaf_capacity(len(self.view))
        count = min(self.count, room)
        return np.frombuffer(self.view, "<u2", count, NODE_HEADER + 8 * room)

    @property
    def rids(self) -> npt.NDArray[np.uint64]:
        """The packed record ids of a leaf, uint64, copied."""
        packed: npt.NDArray[np.uint64] = self.rid_pages.astype(np.uint64) << np.uint64(16)
        packed |= self.rid_slots
        return packed

    @property
    def columns(self) -> tuple[npt.NDArray[Any], ...]:
        """Keys and what belongs to them, copied: the arguments of `fill`."""
        if self.is_leaf:
            return self.keys.copy(), self.rid_pages.copy(), self.rid_slots.copy()
        return self.keys.copy(), self.children.copy()

    def format(self, level: int, prev_leaf: int = 0, next_leaf: int = 0) -> None:
        """Make a freshly formatted page an empty node."""
        kind = INTERNAL if level else LEAF
        _FIELDS.pack_into(self.view, HEADER_SIZE, kind, 0, next_leaf, prev_leaf, level, bytes(3))

    def fill(self, keys: npt.NDArray[Any], *columns: npt.NDArray[Any]) -> None:
        """Replace the entries: keys, pages and slots of a leaf; keys and children else."""
        self._set_count(len(keys))
        self.keys[:] = keys
        if self.is_leaf:
            self.rid_pages[:] = columns[0]
            self.rid_slots[:] = columns[1]
        else:
            self.children[:] = columns[0]

    def insert_child(self, i: int, key: int, child: int) -> None:
        """Put `child`, which holds the keys from `key` on, to the right of child `i`."""
        self._set_count(self.count + 1)
        keys, children = self.keys, self.children
        keys[i + 1 :] = keys[i:-1].copy()
        children[i + 2 :] = children[i + 1 : -1].copy()
        keys[i], children[i + 1] = key, child

    def remove_child(self, i: int) -> None:
        """Take child `i` out, and the key between it and a neighbour, who inherits its keys."""
        keys, children = self.keys, self.children
        k = max(i - 1, 0)
        keys[k:-1] = keys[k + 1 :].copy()
        children[i:-1] = children[i + 1 :].copy()
        self._set_count(self.count - 1)

    def _set_count(self, count: int) -> None:
        view = self.view
        _RECORDS.pack_into(view, _RECORDS_AT, count, len(view))
        view[18], view[19] = count & 0xFF, count >> 8

    def __repr__(self) -> str:
        kind = "leaf" if self.is_leaf else f"node of level {self.level}"
        return f"<{kind}, page {self.page_id}, {self.count} of {self.room} keys>"
