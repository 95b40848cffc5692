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
        ### BEGIN SOLUTION #2, #5: opening - manifest, orphans out, a reader for every table
        self._turn = b""
        self._thread: threading.Thread | None = None
        self._change = threading.Condition()  # around every new state
        self._working = threading.Lock()  # one flush or compaction at a time
        self._failed: BaseException | None = None
        listed = self._manifest.load()
        files = [name for name in os.listdir(self.path) if table_id(name.removesuffix(".tmp"))]
        tables = [name for name in files if table_id(name)]
        if listed is None and tables:
            raise ManifestMissing(self._manifest.path, len(tables))
        self._next_id, numbers = listed or (1, [])
        names = [[table_name(number) for number in level] for level in numbers]
        known = {name for level in names for name in level}
        for name in files:
            if name not in known:
                os.unlink(os.path.join(self.path, name))
        self._state = State(
            MemTable(memtable_bytes),
            (),
            tuple(
                tuple(self._reader(os.path.join(self.path, name)) for name in level)
                for level in names
            ),
        )
        ### END SOLUTION
        if background:
            self._start_thread()

    def put(self, key: bytes, value: bytes) -> None:
        """Store `value` under `key`; flush when the memtable is full.

        `TypeError` unless both are bytes, `ValueError` for a key without bytes or more than
        65,535 of either; then nothing has changed.
        """
        ### BEGIN SOLUTION #2: put() - check_row, memtable, and what follows when it should flush
        check_row(key, value)
        self._check_open()
        self.user_bytes += len(key) + len(value)
        memtable = self._state.memtable
        memtable.put(key, value)
        if memtable.size_bytes >= self.memtable_bytes:
            self._freeze()
        ### END SOLUTION

    def delete(self, key: bytes) -> None:
        """`get(key)` is `None` from now on, wherever an older version lies."""
        ### BEGIN SOLUTION #5: delete() - a tombstone, even for a key that is not known
        check_row(key)
        self._check_open()
        self.user_bytes += len(key)
        memtable = self._state.memtable
        memtable.delete(key)
        if memtable.size_bytes >= self.memtable_bytes:
            self._freeze()
        ### END SOLUTION

    def get(self, key: bytes) -> bytes | None:
        """The newest value; `None` if there is none or it was deleted."""
        ### BEGIN SOLUTION #3, #5: get() - newest to oldest; the first value or tombstone ends it
        check_row(key)
        self._check_open()
        self.counters.gets += 1
        found = self._find(self._state, key)
        return found if isinstance(found, bytes) else None
        ### END SOLUTION

    def scan(
        self, start: bytes | None = None, end: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Rows with start <= key <= end, ascending, as they are at this call.

        Later writes, flushes and compactions do not change what comes; start > end gives nothing.
        """
        ### BEGIN SOLUTION #7: scan() - take the state now, not at the first next()
        self._check_open()
        state = self._state
        memory = [table.items(start, end) for table in (state.memtable, *state.frozen)]
        files = [table.iter(start, end) for level in state.levels for table in level]
        return merge_iterator([*memory, *files])  # type: ignore[return-value]
        ### END SOLUTION

    def flush(self) -> None:
        """What is in memory becomes a table of level 0, on the device when this returns.

        Then, with `auto_compact`, whatever compaction is due is done.
        """
        ### BEGIN SOLUTION #2: flush() - a sorted table; the manifest; then the new state
        self._check_open()
        self._freeze(most_waiting=0)
        ### END SOLUTION

    def compact(self) -> None:
        """Flush, then merge every table into one level: at the bottom nothing is left to hide.

        Tombstones and all that they hid are gone afterwards.
        """
        ### BEGIN SOLUTION #6: compact() - all tables, newest first, as one task
        self.flush()
        with self._working:
            levels = self._state.levels
            tables = [table.meta for level in levels for table in level]
            if tables:
                deepest = max(n for n, level in enumerate(levels) if level)
                tiered = self.strategy == "tiered"
                self._compact(CompactionTask(tuple(tables), 0 if tiered else max(1, deepest)))
        ### END SOLUTION

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
        ### BEGIN SOLUTION #5: close() - what was put and not flushed must be there when it opens
        if self._closed:
            return
        try:
            if self._failed is None:
                self.flush()
        finally:
            with self._change:
                self._closed = True
                self._change.notify_all()
            if self._thread is not None:
                self._thread.join()
            for level in self._state.levels:
                for table in level:
                    table.close()
        ### END SOLUTION

    def __enter__(self) -> LsmEngine:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _start_thread(self) -> None:
        """Bonus: from here on a thread flushes and compacts; a full memtable is only frozen.

        A writer waits only while more than MAX_FROZEN memtables wait for the thread. An error in
        the thread is raised by the next write, as `EngineFailed`.
        """
        ### BEGIN SOLUTION #thread: _start_thread() - wait for a frozen memtable, flush, compact
        self._thread = threading.Thread(target=self._serve, name="lsm-flush", daemon=True)
        self._thread.start()
        ### END SOLUTION

    ### BEGIN SOLUTION
    def _serve(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._closed or self._state.frozen)
                if not self._state.frozen:
                    return
            try:
                self._work()
            except BaseException as error:
                with self._change:
                    self._failed = error
                    self._change.notify_all()
                return

    def _check_open(self) -> None:
        if self._closed:
            raise EngineClosed
        if self._failed is not None:
            raise EngineFailed(self._failed)

    def _freeze(self, most_waiting: int = MAX_FROZEN) -> None:
        """Put an empty memtable in the place of this one, and see that it gets into a file."""
        with self._change:
            memtable, frozen, levels = self._state
            if len(memtable):
                fresh = MemTable(self.memtable_bytes)
                self._state = State(fresh, (memtable, *frozen), levels)
            if self._thread is not None:
                self._change.notify_all()
                self._change.wait_for(
                    lambda: self._failed or len(self._state.frozen) <= most_waiting
                )
                self._check_open()
                return
        self._work()

    def _work(self) -> None:
        """Flush what is frozen, oldest first; then compact what is due."""
        with self._working:
            while frozen := self._state.frozen:
                self._flush(frozen[-1])
            while self.auto_compact and (task := self._due()) is not None:
                self._compact(task)

    def _flush(self, oldest: MemTable) -> None:
        (table,) = self._write(iter(oldest.items()))
        self.flush_bytes += table.meta.size_bytes
        with self._change:
            memtable, frozen, levels = self._state
            levels = ((table, *(levels[0] if levels else ())), *levels[1:])
            self._publish(State(memtable, frozen[:-1], levels))

    def _due(self) -> CompactionTask | None:
        metas = [[table.meta for table in level] for level in self._state.levels]
        if self.strategy == "tiered":
            return pick_tiered(metas, l0_trigger=self.l0_trigger)
        return pick_leveled(
            metas, l0_trigger=self.l0_trigger, level_bytes=self.level_bytes, turn=self._turn
        )

    def _compact(self, task: CompactionTask) -> None:
        chosen = {meta.sst_id for meta in task.inputs}
        tables = {t.meta.sst_id: t for level in self._state.levels for t in level}
        order = list(tables)  # newest first: level by level, level 0 newest first
        last = max(map(order.index, chosen))
        older = [tables[number].meta for number in order[last + 1 :] if number not in chosen]
        if task.output_level:  # deeper than level 0 a level has no ages: all of it may be older
            older = [
                table.meta
                for level in self._state.levels[task.output_level + 1 :]
                for table in level
                if table.meta.sst_id not in chosen
            ]
        inputs = [tables[meta.sst_id] for meta in task.inputs]
        rows = compacted_rows([table.iter() for table in inputs], older)
        outputs = self._write(rows, self.target_file_bytes if task.output_level else None)
        self.compaction_bytes += sum(table.meta.size_bytes for table in outputs)
        with self._change:
            memtable, frozen, before = self._state
            levels = [[t for t in level if t.meta.sst_id not in chosen] for level in before]
            levels += [[] for _ in range(task.output_level + 1 - len(levels))]
            target = levels[task.output_level]
            if task.output_level:
                target += outputs
                target.sort(key=lambda table: table.meta.min_key)
            else:  # in the place of the runs that were merged
                newer = [t.meta.sst_id for t in before[0]].index(task.inputs[0].sst_id)
                target[newer:newer] = outputs
            self._publish(State(memtable, frozen, tuple(map(tuple, levels))))
        if task.output_level > 1:
            self._turn = task.inputs[0].max_key
        self.compactions += 1
        for table in inputs:  # a scan that reads one of them keeps its file
            if self.cache is not None:
                self.cache.drop(table.meta.sst_id)
            os.unlink(table.path)

    def _write(self, rows: Iterator[Row], limit_bytes: int | None = None) -> list[SsTableReader]:
        """Tables of about `limit_bytes`; all of them, or an error and none."""
        tables: list[SsTableReader] = []
        builder: SsTableBuilder | None = None
        try:
            for key, value in rows:
                if builder is None:
                    path = os.path.join(self.path, table_name(self._next_id))
                    builder = SsTableBuilder(path, bits_per_key=self.bits_per_key)
                    self._next_id += 1
                builder.add(key, value)
                if limit_bytes is not None and builder.size_bytes >= limit_bytes:
                    tables.append(self._finished(builder))
                    builder = None
            if builder is not None:
                tables.append(self._finished(builder))
        except BaseException:
            if builder is not None:
                builder.abort()
            for table in tables:
                os.unlink(table.path)
            raise
        return tables

    def _finished(self, builder: SsTableBuilder) -> SsTableReader:
        builder.finish()
        return self._reader(builder.path)

    def _reader(self, path: str) -> SsTableReader:
        return SsTableReader(path, self.counters, self.cache)

    def _publish(self, state: State) -> None:
        """First the manifest, then the readers of this process."""
        levels = [[table.meta.sst_id for table in level] for level in state.levels]
        self._manifest.commit(self._next_id, levels)
        self._state = state
        self._change.notify_all()

    @staticmethod
    def _find(state: State, key: bytes) -> Found:
        for memtable in (state.memtable, *state.frozen):
            found: Found = memtable.get(key)
            if found is not MISSING:
                return found
        for level in state.levels:
            for table in level:
                found = table.get(key)
                if found is not MISSING:
                    return found
        return MISSING

    ### END SOLUTION
