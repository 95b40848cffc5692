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
        raise NotImplementedError(
            "database/03-lsm #cache: BlockCache.get() - count, and make it the newest"
        )

    def put(self, sst_id: int, offset: int, block: Entries) -> None:
        """Keep `block`; the oldest go until there is room."""
        raise NotImplementedError(
            "database/03-lsm #cache: BlockCache.put() - never more than capacity_bytes"
        )

    def drop(self, sst_id: int) -> None:
        """Forget every block of a table that was merged away."""
        raise NotImplementedError(
            "database/03-lsm #cache: BlockCache.drop() - all keys of this table, and their bytes"
        )
