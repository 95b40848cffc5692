"""Bonus: blocks that were read lately."""

from __future__ import annotations

import threading
from collections import OrderedDict

from .codec import Entries


class BlockCache:
    """Checked blocks by table and offset, least recently used first to go.

    At most `capacity_bytes` of block bytes; a block that is larger is not kept. Several threads
    may ask at once.
    """

    def __init__(self, capacity_bytes: int) -> None:
        self.capacity_bytes = capacity_bytes
        self.size_bytes = self.hits = self.misses = 0
        self._blocks: OrderedDict[tuple[int, int], Entries] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, sst_id: int, offset: int) -> Entries | None:
        """The block, or `None`; counts a hit or a miss."""
        ### BEGIN SOLUTION #cache: BlockCache.get() - count, and make it the newest
        with self._lock:
            block = self._blocks.get((sst_id, offset))
            if block is None:
                self.misses += 1
                return None
            self._blocks.move_to_end((sst_id, offset))
            self.hits += 1
            return block
        ### END SOLUTION

    def put(self, sst_id: int, offset: int, block: Entries) -> None:
        """Keep `block`; the oldest go until there is room."""
        ### BEGIN SOLUTION #cache: BlockCache.put() - never more than capacity_bytes
        size = len(block.raw)
        with self._lock:
            if size > self.capacity_bytes or (sst_id, offset) in self._blocks:
                return
            self._blocks[sst_id, offset] = block
            self.size_bytes += size
            while self.size_bytes > self.capacity_bytes:
                _, gone = self._blocks.popitem(last=False)
                self.size_bytes -= len(gone.raw)
        ### END SOLUTION

    def drop(self, sst_id: int) -> None:
        """Forget every block of a table that was merged away."""
        ### BEGIN SOLUTION #cache: BlockCache.drop() - all keys of this table, and their bytes
        with self._lock:
            for key in [key for key in self._blocks if key[0] == sst_id]:
                self.size_bytes -= len(self._blocks.pop(key).raw)
        ### END SOLUTION
