"""Read a table: one key with at most one block read, many in kernels, all of it in order."""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType

import numpy as np
import numpy.typing as npt

from meridian.checks import checked_int
from meridian.database.lsm import _batch_kernels as batch
from meridian.database.lsm import _read_kernels as kernels
from meridian.database.lsm.block_reader import BlockReader, entry_at
from meridian.database.lsm.cache import BlockCache
from meridian.database.lsm.cached_table import CachedTable
from meridian.database.lsm.columns import Columns
from meridian.database.lsm.errors import CorruptTable, EngineClosed
from meridian.database.lsm.filter_keys import checked_filter_key
from meridian.database.lsm.table_batch import Probe, get_rows, get_values
from meridian.database.lsm.table_file import TableFile
from meridian.database.lsm.table_format import BlockInfo
from meridian.database.lsm.table_parts import read_parts
from meridian.database.lsm.table_scan import decode, scan, trimmed, verify
from meridian.database.lsm.types import (
    MISSING,
    TOMBSTONE,
    Buffer,
    Found,
    Value,
    checked_key,
)
from meridian.fs import FileSystem, OsFileSystem

__all__ = ["DELETED", "FOUND", "OTHER", "PENDING", "Probe", "ReadCounters", "SSTable"]

PENDING = batch.PENDING
"""The table knows nothing of the key: ask an older one."""
FOUND = batch.FOUND
DELETED = batch.DELETED
OTHER = batch.OTHER
"""There is a value, of another width than was asked for."""


@dataclass(slots=True)
class ReadCounters:
    """What became of look-ups of single keys. Tables may share one.

    Counted without a lock: exact where one thread reads, close to it where many do.
    """

    range_skipped: int = 0
    """Keys below or above all of a table, or between two of its blocks."""
    bloom_checked: int = 0
    bloom_skipped: int = 0
    bloom_false_positives: int = 0
    """Keys that the filter let pass, and that were not there."""


class SSTable:
    """An open table. Index and filter are in memory; a look-up reads one block at most.

    Every part is checked when it is loaded: what is not as it was written raises `CorruptTable`,
    when the table is opened (footer, index, filter, props) or when a key of a bad block is asked
    for. Any number of threads may read. A table whose file is removed stays readable until `close`;
    after that, or in a scan that runs meanwhile, the next read raises `EngineClosed`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        cache: BlockCache | None = None,
        *,
        filter_key: Callable[[bytes], bytes] | None = None,
        counters: ReadCounters | None = None,
        fs: FileSystem | None = None,
    ) -> None:
        """Open the table at `path`; its blocks go through `cache`, if there is one.

        `filter_key` is the one that the table was built with. `meta` will be what the props say,
        with `level` as it was when the table was written. Raises `FileNotFoundError`,
        `CorruptTable` for what is no whole table, `OSError` as the file layer does.
        """
        self.path = os.fspath(path)
        if cache is not None and not isinstance(cache, BlockCache):
            raise TypeError(f"Expected cache as BlockCache, got {type(cache).__name__}")
        self.counters = ReadCounters() if counters is None else counters
        self._filter_key = checked_filter_key(filter_key)
        system: FileSystem = OsFileSystem() if fs is None else fs
        file = system.open_random(self.path, readonly=True)
        self._file = TableFile(file, self.path)
        try:
            self.meta, self.index, self.filter = read_parts(self._file, file.size())
            self._check_filter()
        except BaseException:
            self._file.close()
            raise
        self._first_keys, self._last_keys = self.index.first_keys, self.index.last_keys
        self._min_key, self._max_key = self.meta.min_key, self.meta.max_key
        self._cached = None if cache is None else self._attach(cache)
        self._reader = BlockReader(self._file, self.index, self._cached)

    def _check_filter(self) -> None:
        """See that it admits the table's ends: under another `filter_key` keys would be lost."""
        if not (self.may_contain(self.meta.min_key) and self.may_contain(self.meta.max_key)):
            raise CorruptTable(
                self.path,
                "filter",
                "it does not know the table's own keys: is filter_key another one?",
            )

    def _attach(self, cache: BlockCache) -> CachedTable:
        """What is cached of this table; and all that a look-up needs, one attribute away."""
        index = self.index
        cached = cache.attach(self.meta.sst_id, index.offsets, index.lengths, index.key_starts)
        self._acquire, self._release = cache.lock.acquire, cache.lock.release
        self._find = kernels.find_cached_directly()
        self._arena, self._memory, self._frame_size = cache.arena, cache.memory, cache.block_size
        self._frame_of, self._places, self._keys = cached.frame_of, cached.places, index.keys
        self._touch = cache.touch
        return cached

    def __repr__(self) -> str:
        return f"<SSTable {self.path}: {self.meta.entries:,} entries>"

    def __len__(self) -> int:
        """Entries, tombstones included."""
        return self.meta.entries

    @property
    def blocks(self) -> list[BlockInfo]:
        """What the index says of each block."""
        index = self.index
        return [
            BlockInfo(*info)
            for info in zip(
                index.first_keys,
                index.last_keys,
                index.offsets.tolist(),
                index.lengths.tolist(),
                strict=True,
            )
        ]

    @property
    def block_reads(self) -> int:
        """Blocks that were read from the file so far."""
        return self._reader.blocks_read

    def read_block(self, number: int) -> bytes:
        """The bytes of a block, as `Block.decode` takes them; `blocks` says what there is."""
        number = checked_int("the number of a block", number, most=len(self.index) - 1)
        self._check_open()
        with self._reader.loaded(np.array([number]), fill=False, cached=False) as loaded:
            return loaded.buffer.tobytes()

    def may_contain(self, key: bytes) -> bool:
        """What the filter says of a key; False is certain."""
        key_of = self._filter_key
        return self.filter.may_contain(key if key_of is None else key_of(key))

    def get(self, key: Buffer) -> Found:
        """What the table holds under `key`: a value, `TOMBSTONE`, or `MISSING`.

        Raises `TypeError` and `ValueError` for what is no key, `CorruptTable`, `EngineClosed`.
        """
        key = checked_key(key)
        counters = self.counters
        if not self._min_key <= key <= self._max_key:
            self._check_open()
            counters.range_skipped += 1
            return MISSING
        counters.bloom_checked += 1
        if not self.may_contain(key):
            self._check_open()
            counters.bloom_skipped += 1
            return MISSING
        found = self.find(key)
        if found is MISSING:
            counters.bloom_false_positives += 1
        return found

    def find(self, key: bytes) -> Found:
        """`get` for who asked range and filter already. Counts nothing but blocks."""
        if self._file.closed:
            raise EngineClosed(f"Table {self.path}")
        if self._cached is None:
            block = bisect_left(self._last_keys, key)
            if block == len(self._last_keys) or key < self._first_keys[block]:
                return MISSING
        else:
            self._acquire()  # `with` costs twice as much
            try:
                place = self._find(self._arena, self._frame_of, self._places, self._keys, key)
                if place >= 0:
                    begin = place >> 16
                    if self._touch is not None:
                        self._touch(begin // self._frame_size)
                    return self._memory[begin : begin + (place & 0xFFFF)]
                if place == -1:
                    return MISSING
                block, how = divmod(-2 - place, 4)
                if how != kernels.IN_FILE:
                    if self._touch is not None:
                        self._touch(self._frame_of[block])
                    return TOMBSTONE if how == kernels.DEAD else MISSING
            finally:
                self._release()
        data = self._reader.one(block)
        place = kernels.find_key(data, 0, len(data), key)
        if place < 0:
            return MISSING
        if place & 1:
            return TOMBSTONE
        begin = place >> 17
        return data[begin : begin + (place >> 1 & 0xFFFF)].tobytes()

    def seek(self, key: Buffer) -> tuple[bytes, Value] | None:
        """The first entry of the table that is not below `key`, tombstones too; None after all.

        Reads one block at most. Raises as `get`.
        """
        key = checked_key(key)
        self._check_open()
        block = bisect_left(self._last_keys, key)
        if block == len(self._last_keys):
            return None
        cached = self._cached
        if cached is not None:
            cache = cached.cache
            with cache.lock:
                frame = cached.frames[block]
                if frame >= 0:
                    cache.used(frame)
                    start = frame * cache.block_size
                    length = int(self.index.lengths[block])
                    at, _ = kernels.lower_bound(cache.arena, start, length, key, 0, len(key))
                    return entry_at(cache.memory, at)
        data = self._reader.one(block)
        at, _ = kernels.lower_bound(data, 0, len(data), key, 0, len(key))
        return entry_at(data.data, at)

    def get_rows(
        self,
        probe: Probe,
        todo: npt.NDArray[np.int64],
        out: npt.NDArray[np.uint8],
        status: npt.NDArray[np.uint8],
    ) -> None:
        """Look up the keys ``todo`` of `probe`, for values of one width.

        Those found are copied to the same rows of `out`, uint8 (n, width); `status`, uint8[n],
        becomes `FOUND`, `DELETED` or `OTHER` there, and stays as it is where the table knows
        nothing. Each block is loaded once, neighbours in one read, and kept in the cache. Raises
        as `get`, `out` and `status` may be filled in part then; and `TypeError` and `ValueError`
        for arrays that are not as said.
        """
        self._check_open()
        get_rows(self._reader, self.filter, probe, todo, out, status)

    def get_values(
        self,
        probe: Probe,
        todo: npt.NDArray[np.int64],
        out: list[Found],
    ) -> None:
        """The same for values of any length: ``out[i]`` becomes what `get` would answer, and stays
        as it is where the table knows nothing."""
        self._check_open()
        get_values(self._reader, self.filter, probe, todo, out)

    def iter(
        self,
        lo: Buffer | None = None,
        hi: Buffer | None = None,
        *,
        fill_cache: bool = False,
    ) -> Iterator[tuple[bytes, Value]]:
        """The entries from `lo` to `hi`, both included, tombstones too; None: from or to the end.

        Blocks are read as the scan comes to them, ever more at once. Raises as `get`, for wrong
        bounds at once, for bad blocks when it comes to them.
        """
        first, behind, low, high = self._range(lo, hi)
        return scan(self._reader, first, behind, low, high, fill=fill_cache)

    def columns(
        self, lo: Buffer | None = None, hi: Buffer | None = None, *, cached: bool = False
    ) -> Columns:
        """The entries from `lo` to `hi`, both included, as columns.

        `cached`: what is in the cache is taken from there, which counts as hits and misses; else
        all is read. The cache is not filled. Raises as `get`.
        """
        first, behind, low, high = self._range(lo, hi)
        return trimmed(decode(self._reader, first, behind, cached=cached), low, high)

    def verify(self) -> None:
        """Read the whole file again and compare its parts. Raises `CorruptTable`."""
        self._check_open()
        verify(self._reader, self.meta, self.filter, self._filter_key)

    def close(self) -> None:
        """Close the file, once no thread reads it, and leave the cache. Twice: nothing."""
        if self._cached is not None:
            self._cached.detach()
        self._file.close()

    @property
    def closed(self) -> bool:
        return self._file.closed

    def _range(
        self, lo: Buffer | None, hi: Buffer | None
    ) -> tuple[int, int, bytes | None, bytes | None]:
        """The blocks that a range of keys may touch, and its ends; no end where it is beyond."""
        low = None if lo is None else checked_key(lo)
        high = None if hi is None else checked_key(hi)
        self._check_open()
        first = 0 if low is None else bisect_left(self._last_keys, low)
        behind = len(self.index) if high is None else bisect_right(self._first_keys, high)
        return first, max(first, behind), low, high

    def _check_open(self) -> None:
        if self._file.closed:
            raise EngineClosed(f"Table {self.path}")

    def __enter__(self) -> SSTable:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
