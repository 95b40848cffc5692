"""One open table's part in the block cache."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from meridian.database.lsm.cache import BlockCache

__all__ = ["CachedTable"]

_I64 = npt.NDArray[np.int64]


class CachedTable:
    """What a cache holds of one open table."""

    __slots__ = (
        "attached",
        "cache",
        "frame_of",
        "frames",
        "lengths",
        "offsets",
        "places",
        "reader",
        "sst_id",
    )

    def __init__(
        self,
        cache: BlockCache,
        reader: int,
        sst_id: int,
        offsets: _I64,
        lengths: _I64,
        key_starts: _I64,
    ) -> None:
        self.cache = cache
        self.reader = reader
        self.sst_id = sst_id
        self.offsets = offsets
        self.lengths = lengths
        self.frames = array("i", [-1]) * len(offsets)
        """Where each block is, -1 for one that is not in a frame. Read it with the cache's lock."""
        self.frame_of: npt.NDArray[np.int32] = np.frombuffer(self.frames, np.int32)
        head = np.array([cache.block_size, cache.frames * cache.block_size, 0])
        self.places: _I64 = np.concatenate([head, lengths, key_starts])
        """For `find_cached`, which counts hits in the third."""
        self.attached = True

    def key(self, block: int) -> tuple[int, int]:
        """What the policy knows the block as."""
        return self.reader, block

    def missed(self, block: int) -> npt.NDArray[np.uint8] | None:
        """A look-up did not find its block in a frame: it may be beside them."""
        cache = self.cache
        with cache.lock:
            held = cache.oversized.get((self.reader, block))
            if held is None:
                cache.counters.misses += 1
                return None
            cache.counters.hits += 1
            cache.oversized.move_to_end((self.reader, block))
        return held[1]

    def insert(self, block: int, data: memoryview, *, scan: bool = False) -> None:
        """Keep a copy of a block that was checked. `scan`: it will hardly be used again."""
        with self.cache.lock:
            self.cache._insert(self, block, data, scan)

    def insert_many(
        self, blocks: Sequence[int], views: Sequence[memoryview], *, scan: bool = False
    ) -> None:
        """Keep copies of blocks that were checked."""
        for block, data in zip(blocks, views, strict=True):
            self.insert(block, data, scan=scan)  # one at a time: others want the lock as well

    def pin(self, blocks: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
        """The frame of each block, -1 for what is not in one; those stay until `unpin`.

        Counts hits and misses.
        """
        cache = self.cache
        with cache.lock:
            frames = self.frame_of[blocks]
            pins, refs, touch = cache.pins, cache.refs, cache.touch
            held = frames[frames >= 0].tolist()
            for frame in held:
                pins[frame] += 1
                refs[frame] = 1
                if touch is not None:
                    touch(frame)
            cache.counters.hits += len(held)
            cache.counters.misses += len(frames) - len(held)
        return frames

    def unpin(self, frames: npt.NDArray[np.int32]) -> None:
        """Give the frames from `pin` back."""
        with self.cache.lock:
            self.cache._unpin(frames[frames >= 0].tolist())

    def oversized(self, blocks: Sequence[int]) -> list[tuple[int, npt.NDArray[np.uint8]]]:
        """Which of `blocks`, by position, are kept beside the frames, with their bytes.

        Counts hits, of what `pin` counted as misses.
        """
        cache, found = self.cache, []
        with cache.lock:
            for position, block in enumerate(blocks):
                held = cache.oversized.get((self.reader, block))
                if held is not None:
                    cache.oversized.move_to_end((self.reader, block))
                    found.append((position, held[1]))
            cache.counters.hits += len(found)
            cache.counters.misses -= len(found)
        return found

    def detach(self) -> None:
        """Forget all blocks of this table, and take no more."""
        with self.cache.lock:
            self.cache._detach(self)
