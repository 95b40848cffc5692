"""The engine: a memtable, sorted tables in levels, and the order in which they are asked."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

from .cache import BlockCache
from .codec import table_id, table_name
from .compaction import CompactionTask, compacted_rows, pick_leveled, pick_tiered
from .errors import EngineClosed, EngineFailed, ManifestMissing
from .keys import MISSING, Found, Row, check_row
from .manifest import Manifest
from .memtable import MemTable
from .merge_iter import merge_iterator
from .sstable import Counters, SsTableBuilder, SsTableReader

MAX_FROZEN = 2  # memtables that may wait for the thread before a writer waits for it
Level = tuple[SsTableReader, ...]


class State(NamedTuple):
    """Everything a read needs, newest first. Replaced as a whole, never changed."""

    memtable: MemTable
    frozen: tuple[MemTable, ...]  # full, not yet in a file
    levels: tuple[Level, ...]  # level 0 newest first; deeper ones by key


class LsmEngine:
    """A map of bytes to bytes in the folder `path`, made for writing.

    One thread writes; any thread may read. What was not flushed is lost with the process;
    `close()` flushes.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        memtable_bytes: int = 4 << 20,
        l0_trigger: int = 4,
        bits_per_key: int = 10,
        auto_compact: bool = True,
        level_bytes: int = 256 << 20,
        target_file_bytes: int = 64 << 20,
        strategy: str = "leveled",
        block_cache_bytes: int = 0,
        background: bool = False,
    ) -> None:
        """Open the engine in `path`; the folder is made if it is missing.

        `level_bytes` is what level 1 may hold, `target_file_bytes` what a table that compaction
        writes may, roughly. Bonuses: `strategy="tiered"`, `block_cache_bytes` above 0,
        `background=True`. Files named as tables that the manifest does not list are removed.
        Raises `ManifestMissing` when there are tables and no manifest.
        """
        if strategy not in ("leveled", "tiered"):
            raise ValueError(f"Expected leveled or tiered, got {strategy!r}")
        self.path = os.fspath(path)
        self.memtable_bytes, self.bits_per_key = memtable_bytes, bits_per_key
        self.l0_trigger, self.auto_compact = l0_trigger, auto_compact
        self.level_bytes, self.target_file_bytes = level_bytes, target_file_bytes
        self.strategy = strategy
        self.counters = Counters()
        self.cache = BlockCache(block_cache_bytes) if block_cache_bytes else None
        self.user_bytes = self.flush_bytes = self.compaction_bytes = self.compactions = 0
        self._closed = False
        os.makedirs(self.path, exist_ok=True)
        self._manifest = Manifest(self.path)
        # What is left to set: `self._state`, a State, which `stats()` looks at too.
        raise NotImplementedError(
            "database/03-lsm #2, #5: opening - manifest, orphans out, a reader for every table"
        )
        if background:
            self._start_thread()

    def put(self, key: bytes, value: bytes) -> None:
        """Store `value` under `key`; flush when the memtable is full.

        `TypeError` unless both are bytes, `ValueError` for a key without bytes or more than
        65,535 of either; then nothing has changed.
        """
        raise NotImplementedError(
            "database/03-lsm #2: put() - check_row, memtable, and what follows when it should flush"
        )

    def delete(self, key: bytes) -> None:
        """`get(key)` is `None` from now on, wherever an older version lies."""
        raise NotImplementedError(
            "database/03-lsm #5: delete() - a tombstone, even for a key that is not known"
        )

    def get(self, key: bytes) -> bytes | None:
        """The newest value; `None` if there is none or it was deleted."""
        raise NotImplementedError(
            "database/03-lsm #3, #5: get() - newest to oldest; the first value or tombstone ends it"
        )

    def scan(
        self, start: bytes | None = None, end: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Rows with start <= key <= end, ascending, as they are at this call.

        Later writes, flushes and compactions do not change what comes; start > end gives nothing.
        """
        raise NotImplementedError(
            "database/03-lsm #7: scan() - take the state now, not at the first next()"
        )

    def flush(self) -> None:
        """What is in memory becomes a table of level 0, on the device when this returns.

        Then, with `auto_compact`, whatever compaction is due is done.
        """
        raise NotImplementedError(
            "database/03-lsm #2: flush() - a sorted table; the manifest; then the new state"
        )

    def compact(self) -> None:
        """Flush, then merge every table into one level: at the bottom nothing is left to hide.

        Tombstones and all that they hid are gone afterwards.
        """
        raise NotImplementedError(
            "database/03-lsm #6: compact() - all tables, newest first, as one task"
        )

    def stats(self) -> dict[str, Any]:
        """Counts and ratios. Given, but for the state it looks at.

        `levels`: the numbers of the tables by level. `write_amp`: bytes flushed and compacted for
        each byte written by the user. `read_amp`: tables whose filter was asked, for each get.
        """
        state, counters = self._state, self.counters
        tables = [table for level in state.levels for table in level]
        written = self.flush_bytes + self.compaction_bytes
        return {
            "memtable_entries": len(state.memtable),
            "memtable_bytes": state.memtable.size_bytes,
            "frozen": len(state.frozen),
            "levels": [[table.meta.sst_id for table in level] for level in state.levels],
            "table_bytes": sum(table.meta.size_bytes for table in tables),
            "user_bytes": self.user_bytes,
            "flush_bytes": self.flush_bytes,
            "compaction_bytes": self.compaction_bytes,
            "compactions": self.compactions,
            "gets": counters.gets,
            "bloom_checked": counters.bloom_checked,
            "bloom_skipped": counters.bloom_skipped,
            "block_reads": counters.block_reads,
            "cache_bytes": self.cache.size_bytes if self.cache else 0,
            "cache_hits": self.cache.hits if self.cache else 0,
            "write_amp": written / self.user_bytes if self.user_bytes else 0.0,
            "read_amp": counters.bloom_checked / counters.gets if counters.gets else 0.0,
        }

    def close(self) -> None:
        """Flush, end the thread, release the files. Closing twice is harmless."""
        raise NotImplementedError(
            "database/03-lsm #5: close() - what was put and not flushed must be there when it opens"
        )

    def __enter__(self) -> LsmEngine:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _start_thread(self) -> None:
        """Bonus: from here on a thread flushes and compacts; a full memtable is only frozen.

        A writer waits only while more than MAX_FROZEN memtables wait for the thread. An error in
        the thread is raised by the next write, as `EngineFailed`.
        """
        raise NotImplementedError(
            "database/03-lsm #thread: _start_thread() - wait for a frozen memtable, flush, compact"
        )
