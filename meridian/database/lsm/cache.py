"""Blocks of tables in memory: hot ones cost no read and no checksum.

The frames are one array, so that a kernel can search blocks where they lie. Which block leaves is
for the policies of the page layer to say (`meridian.database.storage.policies`).
"""

from __future__ import annotations

import heapq
import mmap
import threading
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from meridian.checks import checked_int
from meridian.database.lsm.cached_table import CachedTable
from meridian.database.lsm.table_format import MAX_BLOCK_SIZE, MIN_BLOCK_SIZE
from meridian.database.storage.policies import Policy, make_policy

__all__ = ["BlockCache", "CacheStatistics"]

_I64 = npt.NDArray[np.int64]

_MAX_FRAMES: Final = 2**31 - 1  # a table notes the frame of each block in 32 bits
_OVERSIZED_SHARE: Final = 8


class CacheStatistics(NamedTuple):
    """What a cache has done since it was made, and what it holds."""

    hits: int
    misses: int
    evictions: int
    """Blocks that left to make room; those of dropped tables do not count."""
    blocks: int
    """Blocks in memory, oversized ones included."""
    bytes: int
    """Their lengths added up."""
    capacity_bytes: int

    @property
    def hit_rate(self) -> float:
        """Hits per look-up, 0.0 before the first."""
        return self.hits / (self.hits + self.misses) if self.hits + self.misses else 0.0


@dataclass(slots=True)
class _Counters:
    hits: int = 0
    misses: int = 0
    evictions: int = 0
    bytes: int = 0


class BlockCache:
    """Frames that the tables of one engine share; a block in one was checked when it came.

    All of it may be used from several threads. `lock` guards the frames and all that says what is
    in them; no file is read under it. Who reads a frame without it has pinned it before.
    """

    def __init__(
        self, capacity_bytes: int = 32 << 20, *, block_size: int = 4096, policy: str = "clock"
    ) -> None:
        """A cache of ``capacity_bytes // block_size`` frames, with policy lru, clock or 2q.

        Blocks longer than `block_size` are kept beside the frames, the last used ones, as many as
        fit into another eighth of `capacity_bytes`. With 0 bytes nothing is kept.
        """
        self.capacity_bytes = checked_int("capacity_bytes", capacity_bytes)
        self.block_size = checked_int(
            "block_size", block_size, least=MIN_BLOCK_SIZE, most=MAX_BLOCK_SIZE
        )
        self.frames = checked_int(
            "the number of frames", capacity_bytes // block_size, most=_MAX_FRAMES
        )
        self.lock = threading.Lock()
        self.memory = _map_memory(self.frames * (block_size + 1))
        """All frames, one behind the other, then `refs`: a slice of it is bytes."""
        self.arena: npt.NDArray[np.uint8] = np.frombuffer(self.memory, np.uint8)
        """The same memory, uint8."""
        self._view = memoryview(self.memory)
        self.pins = array("i", bytes(4 * self.frames))
        self.refs = self._view[self.frames * block_size : self.frames * (block_size + 1)]
        """1 for each frame that was used since the clock's hand passed it."""
        self.policy: Policy = make_policy(policy, self.pins, cast(bytearray, self.refs))
        self.touch = self.policy.touch
        self.counters = _Counters()
        self.oversized: OrderedDict[tuple[int, int], tuple[CachedTable, npt.NDArray[np.uint8]]] = (
            OrderedDict()
        )
        """By the number of the table's reader and of the block, the last used one at the end."""
        self._oversized_bytes = 0
        self._free = list(range(self.frames))  # a heap: the lowest free frame is filled first
        self._owner: list[CachedTable | None] = [None] * self.frames
        self._block_of = [0] * self.frames
        self._tables: dict[int, CachedTable] = {}
        self._next = 0

    def __repr__(self) -> str:
        return (
            f"BlockCache({self.capacity_bytes}, block_size={self.block_size}, "
            f"policy={self.policy.name!r})"
        )

    def attach(self, sst_id: int, offsets: _I64, lengths: _I64, key_starts: _I64) -> CachedTable:
        """What is cached of a table with this index (see `TableIndex`). Nothing yet, though the
        table be open twice: each reader believes only what it checked itself."""
        with self.lock:
            self._next += 1
            table = CachedTable(self, self._next, sst_id, offsets, lengths, key_starts)
            self._tables[table.reader] = table
        return table

    def drop(self, sst_id: int) -> int:
        """Forget the blocks of a table, and take no more of it; return how many there were."""
        with self.lock:
            dropped = [table for table in self._tables.values() if table.sst_id == sst_id]
            return sum(self._detach(table) for table in dropped)

    def resident(self) -> list[tuple[int, int]]:
        """The blocks in memory, as (sst_id, offset), ascending."""
        with self.lock:
            held = [
                (owner, block)
                for owner, block in zip(self._owner, self._block_of, strict=True)
                if owner is not None
            ]
            held += [(table, block) for (_, block), (table, _) in self.oversized.items()]
        return sorted((table.sst_id, int(table.offsets[block])) for table, block in held)

    def __contains__(self, block: object) -> bool:
        """Whether the block ``(sst_id, offset)`` is in memory."""
        return block in self.resident()

    def statistics(self) -> CacheStatistics:
        """How it did so far."""
        with self.lock:
            c = self.counters
            blocks = self.frames - len(self._free) - self._orphans() + len(self.oversized)
            hits = c.hits + sum(int(table.places[2]) for table in self._tables.values())
            return CacheStatistics(
                hits, c.misses, c.evictions, blocks, c.bytes, self.capacity_bytes
            )

    def used(self, frame: int) -> None:
        """A look-up found its block in `frame`. With the lock held."""
        self.counters.hits += 1
        self.refs[frame] = 1
        if self.touch is not None:
            self.touch(frame)

    # -- for `CachedTable`, with the lock held ---------------------------------------------------

    def _orphans(self) -> int:
        """Frames that are pinned but hold a block no more."""
        return self._owner.count(None) - len(self._free)

    def _detach(self, table: CachedTable) -> int:
        if self._tables.pop(table.reader, None) is None:
            return 0
        count = 0
        for block, frame in enumerate(table.frames):
            if frame >= 0:
                self.policy.drop(frame, table.key(block))
                self._empty(frame)
                count += 1
                if not self.pins[frame]:
                    heapq.heappush(self._free, frame)
        for key in [key for key in self.oversized if key[0] == table.reader]:
            self._forget_oversized(key)
            count += 1
        self.counters.hits += int(table.places[2])
        table.attached = False
        return count

    def _empty(self, frame: int) -> None:
        table, block = self._owner[frame], self._block_of[frame]
        assert table is not None
        table.frames[block] = -1
        self._owner[frame] = None
        self.refs[frame] = 0
        self.counters.bytes -= int(table.lengths[block])

    def _unpin(self, frames: Sequence[int]) -> None:
        pins, owner = self.pins, self._owner
        for frame in frames:
            pins[frame] -= 1
            if not pins[frame] and owner[frame] is None:  # its table was dropped meanwhile
                heapq.heappush(self._free, frame)

    def _insert(self, table: CachedTable, block: int, data: memoryview, scan: bool) -> None:
        """Keep a block, if there is room for it."""
        if not table.attached or table.frames[block] >= 0:
            return
        if len(data) > self.block_size:
            self._insert_oversized(table, block, data)
            return
        if self._free:
            frame = heapq.heappop(self._free)
        else:
            frame = self.policy.victim()
            if frame < 0:  # all are being read
                return
            leaving = self._owner[frame]
            assert leaving is not None
            self.policy.evict(frame, leaving.key(self._block_of[frame]))
            self._empty(frame)
            self.counters.evictions += 1
        start = frame * self.block_size
        self._view[start : start + len(data)] = data
        self._owner[frame] = table
        self._block_of[frame] = block
        table.frames[block] = frame
        self.policy.load(frame, table.key(block), scan=scan)
        self.counters.bytes += len(data)

    def _insert_oversized(self, table: CachedTable, block: int, data: memoryview) -> None:
        limit = self.capacity_bytes // _OVERSIZED_SHARE
        key = table.reader, block
        if len(data) > limit or key in self.oversized:
            return
        while self._oversized_bytes + len(data) > limit:
            self._forget_oversized(next(iter(self.oversized)))
            self.counters.evictions += 1
        self.oversized[key] = table, np.frombuffer(bytearray(data), np.uint8)
        self._oversized_bytes += len(data)
        self.counters.bytes += len(data)

    def _forget_oversized(self, key: tuple[int, int]) -> None:
        _, data = self.oversized.pop(key)
        self._oversized_bytes -= len(data)
        self.counters.bytes -= len(data)


def _map_memory(size: int) -> mmap.mmap:
    try:
        memory = mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, OverflowError) as error:
        raise MemoryError(f"No {size:,} bytes of memory for the blocks: {error}") from None
    return memory
