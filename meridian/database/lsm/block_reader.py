"""Bring blocks of a table into memory: from the cache, or from the file, neighbours together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from mmap import mmap
from typing import Final

import numpy as np
import numpy.typing as npt

from meridian.database.lsm import _read_kernels as kernels
from meridian.database.lsm._crc_kernels import crc_tables
from meridian.database.lsm.cached_table import CachedTable
from meridian.database.lsm.errors import CorruptTable
from meridian.database.lsm.table_file import TableFile
from meridian.database.lsm.table_parts import TableIndex
from meridian.database.lsm.types import TOMBSTONE, Value

__all__ = ["BATCH_BLOCKS", "BlockReader", "Loaded", "entry_at"]

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]

BATCH_BLOCKS: Final = 1024
"""How many blocks are in memory for one call at the same time, and pinned in the cache."""

_REASONS: Final = {
    kernels.BAD_LENGTH: "its length is impossible",
    kernels.BAD_CHECKSUM: "its checksum is wrong",
    kernels.BAD_OFFSETS: "its offsets are not where its entries begin",
    kernels.BAD_ENTRY: "an entry does not fit into it",
    kernels.BAD_ORDER: "its keys do not ascend",
    kernels.BAD_BOUNDS: "its keys are not those that the index names",
}


class Loaded:
    """Blocks in memory for one call: block b begins at ``at[b]`` of `arena`, or at ``~at[b]`` of
    `buffer`."""

    __slots__ = ("arena", "at", "buffer", "lengths")

    def __init__(self, arena: U8, buffer: U8, at: I64, lengths: I64) -> None:
        self.arena = arena
        self.buffer = buffer
        self.at = at
        self.lengths = lengths


def entry_at(data: mmap | memoryview, at: int) -> tuple[bytes, Value]:
    """The entry that begins at `at` of a block that was checked."""
    key_len, begin = int.from_bytes(data[at : at + 2], "little"), at + 2
    end = begin + key_len
    stop = end + 3 + int.from_bytes(data[end + 1 : end + 3], "little")
    key = bytes(data[begin:end])
    return key, TOMBSTONE if data[end] else bytes(data[end + 3 : stop])


class BlockReader:
    """Bring blocks of a table into memory, each checked before anybody sees it."""

    __slots__ = ("_alone", "_arena", "_no_frames", "blocks_read", "cached", "file", "index")

    def __init__(self, file: TableFile, index: TableIndex, cached: CachedTable | None) -> None:
        self.file = file
        self.index = index
        self.cached = cached
        self.blocks_read = 0
        """Blocks that came from the file."""
        self._alone = np.full(len(index), ~0)  # where a block is that was read by itself
        self._no_frames = np.zeros(1, np.uint8)
        self._arena: U8 = self._no_frames if cached is None else cached.cache.arena

    def one(self, block: int) -> U8:
        """A block that is not in a frame of the cache: from beside them, or from the file."""
        cached = self.cached
        held = cached.missed(block) if cached is not None else None
        if held is not None:
            return held
        index = self.index
        data = np.empty(index.lengths[block], np.uint8)
        self.file.read(data.data, int(index.offsets[block]), f"block {block}")
        self.blocks_read += 1
        self._check(data, self._alone, np.array([block]))
        if cached is not None:
            cached.insert(block, data.data)
        return data

    @contextmanager
    def loaded(self, blocks: I64, *, fill: bool, cached: bool = True) -> Iterator[Loaded]:
        """Have `blocks` (ascending, each once, `BATCH_BLOCKS` at most) in memory for a while.

        `fill`: put what was read into the cache. ``cached=False`` reads all of them.
        """
        table = self.cached if cached else None
        if table is None:
            yield self._load(blocks, np.full(len(blocks), -1, np.int32), None, fill=fill)
            return
        frames = table.pin(blocks)
        try:
            yield self._load(blocks, frames, table, fill=fill)
        finally:
            table.unpin(frames)

    def _load(
        self, blocks: I64, frames: npt.NDArray[np.int32], table: CachedTable | None, *, fill: bool
    ) -> Loaded:
        lengths = self.index.lengths
        at = np.empty(len(lengths), np.int64)
        if table is not None:
            at[blocks] = frames * np.int64(table.cache.block_size)
        arena = self._arena if table is not None else self._no_frames
        rest = blocks[frames < 0]
        if not len(rest):
            return Loaded(arena, self._no_frames, at, lengths)
        sizes = lengths[rest]
        ends = np.cumsum(sizes)
        begins = ends - sizes
        at[rest] = ~begins
        buffer = np.empty(int(ends[-1]), np.uint8)
        unread = np.ones(len(rest), np.bool_)
        if table is not None and int(sizes.max()) > table.cache.block_size:
            for k, data in table.oversized(rest.tolist()):
                buffer[begins[k] : ends[k]] = data
                unread[k] = False
        todo = np.flatnonzero(unread)
        if len(todo):
            self._read(buffer, rest, begins, ends, todo)
            self._check(buffer, at, rest[todo])
            if fill and self.cached is not None:
                view = buffer.data
                views = [view[begins[k] : ends[k]] for k in todo.tolist()]
                self.cached.insert_many(rest[todo].tolist(), views)
        return Loaded(arena, buffer, at, lengths)

    def _read(self, buffer: U8, blocks: I64, begins: I64, ends: I64, todo: I64) -> None:
        """Read ``blocks[todo]`` to their places in `buffer`, neighbours in one call."""
        view = buffer.data
        apart = (np.diff(todo) != 1) | (np.diff(blocks[todo]) != 1)
        cuts = [0, *(np.flatnonzero(apart) + 1).tolist(), len(todo)]
        for first, behind in pairwise(cuts):
            a, b = todo[first], todo[behind - 1]
            offset = int(self.index.offsets[blocks[a]])
            self.file.read(view[begins[a] : ends[b]], offset, f"block {blocks[a]}")
        self.blocks_read += len(todo)

    def _check(self, data: U8, at: I64, blocks: I64) -> None:
        index = self.index
        bad, reason = kernels.check_blocks(
            data, at, blocks, index.lengths, index.keys, index.key_starts, crc_tables()
        )
        if reason:
            raise CorruptTable(self.file.path, f"block {bad}", _REASONS[reason])
