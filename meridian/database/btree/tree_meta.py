"""What kernels must know of a tree, as one array of int64."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from meridian.database.btree.layout import MAX_HEIGHT, internal_capacity, leaf_capacity

if TYPE_CHECKING:
    from meridian.database.storage.buffer_pool import BufferPool

__all__ = [
    "ARENA",
    "COUNT",
    "DIRTY",
    "FRAMES",
    "HEIGHT",
    "HITS",
    "INTERNAL_CAP",
    "INTERNAL_LIMIT",
    "LEAF_CAP",
    "LEAF_FLOOR",
    "LEAF_LIMIT",
    "MERGES",
    "META_SIZE",
    "MISS_LEVEL",
    "NEXT_LEVEL",
    "NEXT_PAGE",
    "PAGE_WORDS",
    "PATH",
    "PATH_STEP",
    "REFS",
    "ROOT",
    "SEEN",
    "SPLITS",
    "TABLE",
    "TABLE_SIZE",
    "VERSION",
    "TreeMeta",
]

# Places in the array. Addresses are those of the pool's own arrays. Kernels are compiled with these
# numbers, and numba's cache notices only changes of a kernel's own file: change those with this.
PAGE_WORDS = 0  # u32 words per page
LEAF_CAP = 1  # entries for which a leaf has room
INTERNAL_CAP = 2  # keys for which an internal node has room
LEAF_LIMIT = 3  # entries with which a leaf is full
INTERNAL_LIMIT = 4  # keys with which an internal node is full
LEAF_FLOOR = 5  # a leaf with so many entries is not made smaller in passing
ROOT = 6
HEIGHT = 7
COUNT = 8
VERSION = 9  # moves with every change
SPLITS = 10
MERGES = 11
TABLE = 12  # address of the page table, int32
TABLE_SIZE = 13  # its length
REFS = 14  # address of the reference bits, uint8
DIRTY = 15  # address of the dirty bits, uint8
FRAMES = 16  # length of both
MISS_LEVEL = 17  # of the page that a lookup did not find in memory; -1: it found all
NEXT_PAGE = 18  # where a descent for a change goes on, having met such a page; 0: at the root
NEXT_LEVEL = 19
HITS = 20  # nodes that the last call found in memory
ARENA = 21  # address of the pool's frames, as u32 words
PATH = 22  # of the last descent for a change, from the leaf up
PATH_STEP = 3  # per level: page, position (of child or entry), keys in the node
SEEN = PATH + PATH_STEP * MAX_HEIGHT  # of the last lookup: the page of each level
META_SIZE = SEEN + MAX_HEIGHT


class TreeMeta:
    """The numbers of one tree, read by kernels as `array` and by Python as `numbers`.

    Both are the same memory: reading a number from a NumPy array takes Python three times as long.
    One array instead of many arguments, because each array costs a call 0.05 us; the pool's own
    arrays are in it by address, and live as long as the pool.
    """

    __slots__ = ("_refs", "_table", "array", "numbers")

    def __init__(self, page_size: int, leaf_limit: int, internal_limit: int, floor: int) -> None:
        self.numbers = array("q", bytes(8 * META_SIZE))
        self.array: npt.NDArray[np.int64] = np.frombuffer(self.numbers, np.int64)
        numbers = self.numbers
        numbers[PAGE_WORDS] = page_size // 4
        numbers[LEAF_CAP] = leaf_capacity(page_size)
        numbers[INTERNAL_CAP] = internal_capacity(page_size)
        numbers[LEAF_LIMIT] = leaf_limit
        numbers[INTERNAL_LIMIT] = internal_limit
        numbers[LEAF_FLOOR] = floor

    def look_at(self, pool: BufferPool) -> npt.NDArray[np.int32]:
        """Note where the pool's tables are now; return the page table seen, which stays alive.

        The pool replaces its page table when that grows, so it is compared before every call.
        """
        self._table = pool.page_table
        self._refs = pool.ref_bits, pool.dirty_bits
        numbers = self.numbers
        numbers[TABLE] = self._table.ctypes.data
        numbers[TABLE_SIZE] = len(self._table)
        numbers[REFS] = pool.ref_bits.ctypes.data
        numbers[DIRTY] = pool.dirty_bits.ctypes.data
        numbers[FRAMES] = pool.frames
        numbers[ARENA] = pool.arena.ctypes.data
        return self._table
