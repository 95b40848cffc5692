"""What an engine answers: one key, many, a range, the next one, and numbers about itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from meridian.checks import checked_int
from meridian.database.lsm.columns import Columns
from meridian.database.lsm.core import EngineCore
from meridian.database.lsm.state import TableSet
from meridian.database.lsm.stats import LsmStats
from meridian.database.lsm.types import (
    MAX_KEY,
    MAX_VALUE,
    MISSING,
    Buffer,
    Value,
    checked_key,
)

__all__ = ["EngineReads"]


class EngineReads:
    """The reading half of `LsmEngine`."""

    def __init__(self, core: EngineCore) -> None:
        self._core = core

    def get(self, key: Buffer) -> bytes | None:
        """The value under `key`, None if there is none. Takes no lock.

        Raises `TypeError` and `ValueError` for what is no key, `EngineClosed`, `CorruptTable` if
        the block that would say is damaged.
        """
        if type(key) is not bytes or not 0 < len(key) <= MAX_KEY:
            key = checked_key(key)
        core = self._core
        core.gets += 1
        state = core.state
        found = state.active.get(key)
        if found is MISSING:
            found = state.find(key, core.files.counters)
        return found if type(found) is bytes else None

    def get_many(self, keys: npt.NDArray[np.uint8] | Sequence[Buffer]) -> list[bytes | None]:
        """The values under keys: rows, uint8 (n, width), or a sequence of bytes. Raises as `get`.

        Fastest in ascending order.
        """
        from meridian.database.lsm.read_path import find_many

        core = self._core
        found = find_many(core.state, keys, core.files.counters)
        core.gets += len(found)
        return [one if type(one) is bytes else None for one in found]

    def get_many_fixed(
        self, keys: npt.NDArray[np.uint8], width: int
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
        """Values of `width` bytes under keys in rows, uint8 (n, any): uint8 (n, width), bool[n].

        A row that was not found is zero. Raises as `get`, and `ValueError` where a value has
        another width. Fastest in ascending order.
        """
        from meridian.database.lsm.read_path import find_rows

        if not isinstance(keys, np.ndarray):
            raise TypeError(f"Expected keys as rows of uint8, got {type(keys).__name__}")
        width = checked_int("width", width, most=MAX_VALUE)
        core = self._core
        found = find_rows(core.state, keys, width, core.files.counters)
        core.gets += len(keys)
        return found

    @overload
    def scan(
        self,
        start: Buffer | None = ...,
        end: Buffer | None = ...,
        *,
        limit: int | None = ...,
        keep_tombstones: Literal[False] = ...,
    ) -> Iterator[tuple[bytes, bytes]]: ...

    @overload
    def scan(
        self,
        start: Buffer | None = ...,
        end: Buffer | None = ...,
        *,
        limit: int | None = ...,
        keep_tombstones: bool,
    ) -> Iterator[tuple[bytes, Value]]: ...

    def scan(
        self,
        start: Buffer | None = None,
        end: Buffer | None = None,
        *,
        limit: int | None = None,
        keep_tombstones: bool = False,
    ) -> Iterator[Any]:
        """The pairs from `start` to `end`, both included, in order of keys; None: no bound.

        They are those of this moment, whatever is written or compacted while they are read; the
        tables stay until the iterator ends or is dropped. Blocks are read as it comes to them.
        Raises `TypeError`, `ValueError`, `EngineClosed` at once; `CorruptTable` on the way.
        """
        from meridian.database.lsm.scan import rows

        limit = None if limit is None else checked_int("limit", limit)
        low, high, memory, tables = self._moment(start, end, limit)
        return rows(memory, tables, low, high, limit, keep_tombstones=keep_tombstones)

    def scan_columns(self, start: Buffer | None = None, end: Buffer | None = None) -> Columns:
        """The same, all at once, as columns: far cheaper than pairs."""
        from meridian.database.lsm.scan import all_columns

        low, high, memory, tables = self._moment(start, end, None)
        return all_columns(memory, tables, low, high)

    def seek(self, start: Buffer, prefix: Buffer = b"") -> tuple[bytes, Value] | None:
        """The first entry from `start` on whose key begins with `prefix`; None if there is none.

        A deleted key counts as an entry, with `TOMBSTONE`. Where `LsmOptions.filter_key` is a
        `PrefixFilterKey` that the prefix determines, filters are asked first. Raises as `get`.
        """
        from meridian.database.lsm.scan import next_entry

        low = b"" if not len(start) else checked_key(start)
        wanted = b"" if not len(prefix) else checked_key(prefix)
        core = self._core
        core.check_open()
        return next_entry(core.state, low, wanted, core.files.counters)

    def _moment(
        self, start: Buffer | None, end: Buffer | None, limit: int | None
    ) -> tuple[bytes | None, bytes | None, list[Columns], TableSet]:
        """Bounds, checked, and all there is to read between them, as of now."""
        from meridian.database.lsm.scan import in_memory

        low = None if start is None or not len(start) else checked_key(start)
        high = None if end is None else checked_key(end) if len(end) else b""
        core = self._core
        with core.mutex:  # so that a batch that is being written is seen whole or not at all
            core.check_open()
            state = core.state
            if high is not None and (low or b"\0") > high:
                return low, high, [], TableSet.empty()
            memory = [in_memory(state.active, low, high, limit)]
        memory += [in_memory(each.memtable, low, high, limit) for each in state.frozen]
        return low, high, memory, state.tables

    def stats(self, *, space: bool = False) -> LsmStats:
        """What was done and what there is. `space`: count live bytes, too, by a scan of all."""
        core = self._core
        core.check_open()
        state = core.state
        levels = state.tables.version.levels
        cache, reads = core.files.cache.statistics(), core.files.counters
        return LsmStats(
            files_per_level=tuple(map(len, levels)),
            bytes_per_level=tuple(sum(meta.size_bytes for meta in level) for level in levels),
            memtable_bytes=state.active.size_bytes,
            immutables=len(state.frozen),
            immutable_bytes=sum(each.memtable.size_bytes for each in state.frozen),
            live_bytes=self._live_bytes() if space else None,
            block_reads=core.files.block_reads,
            cache_hits=cache.hits,
            cache_misses=cache.misses,
            gets=core.gets,
            user_bytes=core.user_bytes,
            **asdict(reads),
            **asdict(core.counters),
        )

    def _live_bytes(self) -> int:
        from meridian.database.lsm.scan import merged

        low, high, memory, tables = self._moment(None, None, None)
        chunks = merged(memory, tables, low, high, keep_tombstones=False)
        return sum(columns.nbytes for columns in chunks)
