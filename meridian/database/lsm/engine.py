"""The engine: put, get, scan; what is in memory, what is in tables, and how one becomes the other.

O'Neil et al., "The Log-Structured Merge-Tree" (1996), in the shape of LevelDB and RocksDB; Petrov,
*Database Internals*, ch. 7.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from types import TracebackType

from meridian.checks import checked_int
from meridian.clock import SYSTEM_CLOCK, Clock
from meridian.database.lsm.arenas import Strings, as_list
from meridian.database.lsm.background import Background, Inline, Worker
from meridian.database.lsm.batch import WriteBatch
from meridian.database.lsm.cache import BlockCache
from meridian.database.lsm.core import EngineCore
from meridian.database.lsm.engine_reads import EngineReads
from meridian.database.lsm.errors import EngineClosed
from meridian.database.lsm.manifest import ManifestStore, SnapshotManifest
from meridian.database.lsm.opening import lock_folder, open_tables
from meridian.database.lsm.options import LsmOptions
from meridian.database.lsm.tables import TableFiles
from meridian.database.lsm.types import (
    MAX_KEY,
    MAX_VALUE,
    TOMBSTONE,
    Buffer,
    checked_key,
    checked_value,
)
from meridian.database.lsm.version import SstMeta, Version
from meridian.fs import FileSystem, OsFileSystem

__all__ = ["LsmEngine"]

_WINDOW = 1 << 15  # entries of a large batch that are given to a memtable at once


class LsmEngine(EngineReads):
    """Take writes in memory and keep them in immutable sorted files, merged behind.

    Any number of threads may use it. Writers take turns by one lock; a `get` takes none. What is
    not flushed dies with the process: `close` flushes, and a write-ahead log is another module's.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        options: LsmOptions | None = None,
        *,
        manifest: ManifestStore | None = None,
        fs: FileSystem | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Open the store in folder `path`, or begin one there.

        `manifest` keeps the list of tables (a `SnapshotManifest` in the folder if none is given).
        Raises `EngineLocked`, `ManifestMissing`, `ManifestCorrupt`, `MissingTable`, `CorruptTable`,
        `OSError`.
        """
        self.path = os.fspath(path)
        self.options = LsmOptions() if options is None else options
        opts = self.options
        if not isinstance(opts, LsmOptions):
            raise TypeError(f"Expected options as LsmOptions, got {type(opts).__name__}")
        system: FileSystem = OsFileSystem() if fs is None else fs
        cache = BlockCache(opts.block_cache_bytes, block_size=opts.block_size)
        self._closing = threading.Lock()
        self._lock_file = lock_folder(self.path, system)
        files = TableFiles(self.path, cache=cache, filter_key=opts.filter_key, fs=system)
        try:
            if manifest is None:
                manifest = SnapshotManifest(self.path, fs=system, sync=opts.fsync)
            opened = open_tables(self.path, manifest, files, system)
            core = EngineCore(opts, manifest, opened.version, opened.handles, files, system, clock)
        except BaseException:
            files.close()
            self._lock_file.close()
            raise
        super().__init__(core)
        self._worker: Worker = Background(core) if opts.background else Inline(core)

    def __repr__(self) -> str:
        if self._core.closed:
            return f"<LsmEngine {self.path}: closed>"
        version = self.version
        return (
            f"<LsmEngine {self.path}: {len(version.tables)} tables, {version.size_bytes:,} bytes>"
        )

    # -- writes ----------------------------------------------------------------------------------

    def put(self, key: Buffer, value: Buffer) -> None:
        """Store `value` under `key`; an older value is gone.

        Raises `TypeError` and `ValueError` for what cannot be stored and `EngineClosed`: then
        nothing is changed. `EngineFailed` once a flush or compaction has failed; the very write
        that set it off is in memory then.
        """
        if type(key) is not bytes or not 0 < len(key) <= MAX_KEY:
            key = checked_key(key)
        if type(value) is not bytes or len(value) > MAX_VALUE:
            value = checked_value(value)
        core = self._core
        nbytes = len(key) + len(value)
        with core.mutex:
            if core.barred:
                core.refuse()
            active = core.state.active
            # `active.store`, written out for a key that is new there: the call would double the
            # time of a put.
            entries = active._entries
            if key in entries:
                core.last_lsn += 1
                active.store(key, value, core.last_lsn)
            else:
                entries[key] = value
                active.size_bytes += nbytes
                core.last_lsn = active.max_lsn = lsn = core.last_lsn + 1
                if not active.min_lsn:
                    active.min_lsn = lsn
            core.user_bytes += nbytes
            full = active.size_bytes >= active.size_limit
        if full:
            self._worker.full(active)

    def delete(self, key: Buffer) -> None:
        """Delete `key`, whether it is there or not. Raises as `put`."""
        key = checked_key(key)
        core = self._core
        with core.mutex:
            if core.barred:
                core.refuse()
            active = core.state.active
            core.last_lsn = lsn = core.last_lsn + 1
            active.store(key, TOMBSTONE, lsn)
            core.user_bytes += len(key)
            full = active.size_bytes >= active.size_limit
        if full:
            self._worker.full(active)

    def put_many(self, keys: Strings, values: Strings) -> None:
        """Store values under keys: rows, uint8 (n, width), or sequences of bytes, in their order.

        The tables are those that single puts would make. A reader may see some of them before
        others; `write` is for what belongs together. Raises as `put`, and `ValueError` unless
        there are as many values as keys; `EngineFailed` in the midst leaves a first part stored.
        """
        names = as_list("keys", keys, least=1, most=MAX_KEY)
        stored = as_list("values", values, least=0, most=MAX_VALUE)
        if len(names) != len(stored):
            raise ValueError(f"Expected as many values as keys, got {len(stored)} and {len(names)}")
        self._store_many(names, stored)

    def delete_many(self, keys: Strings) -> None:
        """Delete keys, given as to `put_many`, whether they are there or not. Raises as `put`."""
        self._store_many(as_list("keys", keys, least=1, most=MAX_KEY), None)

    def write(self, batch: WriteBatch, lsn: int | None = None) -> None:
        """Make all writes of `batch`, in one step: a scan sees all or none, and so does a crash.

        `lsn` is the number of the first, the others follow; None: the next. Raises as `put`, and
        `ValueError` for a number that was passed already.
        """
        if not isinstance(batch, WriteBatch):
            raise TypeError(f"Expected a WriteBatch, got {type(batch).__name__}")
        core = self._core
        with core.mutex:
            if core.barred:
                core.refuse()
            first = core.last_lsn + 1
            if lsn is not None:
                first = checked_int("lsn", lsn, least=first, most=2**64 - 1 - len(batch))
            active = core.state.active
            core.last_lsn = first + active.write(batch, first) - 1
            core.user_bytes += batch.nbytes
            full = active.size_bytes >= active.size_limit
        if full:
            self._worker.full(active)

    def _store_many(self, keys: Sequence[bytes], values: Sequence[bytes] | None) -> None:
        core, start = self._core, 0
        core.check_open()
        while start < len(keys):
            stop = start + _WINDOW
            with core.mutex:
                if core.barred:
                    core.refuse()
                active = core.state.active
                some, lsn = keys[start:stop], core.last_lsn + 1
                if values is None:
                    taken = active.delete_many(some, lsn)
                else:
                    taken = active.put_many(some, values[start:stop], lsn)
                    core.user_bytes += sum(map(len, values[start : start + taken]))
                core.user_bytes += sum(map(len, some[:taken]))
                core.last_lsn += taken
                full = active.size_bytes >= active.size_limit
            start += taken
            if full:
                self._worker.full(active)

    # -- upkeep ----------------------------------------------------------------------------------

    def freeze(self) -> None:
        """Begin a new memtable; the one before, if it holds anything, waits for its flush.

        Raises `EngineClosed`, `EngineFailed`.
        """
        core = self._core
        with core.mutex:
            core.refuse()
            core.freeze()

    def flush(self) -> list[SstMeta]:
        """Make tables of all that is in memory; those tables, the oldest first.

        Ends a failure (`EngineFailed`) if it succeeds. Raises what writing raises: what is in
        memory stays there, and no write is taken until a flush has succeeded.
        """
        core = self._core
        with core.mutex:
            core.check_open()
            failure = core.failure
            core.freeze()
            queue = core.state.frozen[::-1]
        try:
            metas = core.flush_all(queue)
        except EngineClosed:
            raise
        except Exception as error:
            core.fail(error)
            raise
        if failure is not None:
            core.mend(failure)
        self._worker.settle()
        return metas

    def compact(self, *, full: bool = False) -> int:
        """Compact until the strategy finds nothing more, or all into one run; how many steps.

        Only tables take part: `flush` first for what is in memory. Raises what reading and writing
        raise; the tables are then as they were.
        """
        core, steps = self._core, 0
        core.check_open()
        if full:
            return int(core.compact_once(full=True))
        while core.compact_once():
            steps += 1
        return steps

    @property
    def version(self) -> Version:
        """The tables that count now."""
        return self._core.version

    @property
    def last_lsn(self) -> int:
        """The number of the newest write."""
        return self._core.last_lsn

    def check(self) -> None:
        """Read everything and compare what is kept twice: files, blocks, filters, counts, order.

        Raises `CorruptTable`, `MissingTable`, `OSError`.
        """
        self._core.check_open()
        self._core.verify()

    def close(self) -> None:
        """Flush, end the threads, close the files. Twice: nothing.

        A compaction under way is dropped. If the flush fails, everything is closed all the same,
        what was in memory is lost, and the error comes out: to mend that, call `flush` before.
        """
        core = self._core
        with self._closing:
            if core.closed:
                return
            core.bar()
            try:
                self._worker.stop()
                while core.flush_oldest() is not None:
                    pass
            except BaseException as error:
                lost = sum(len(each.memtable) for each in core.state.frozen)
                error.add_note(f"{self.path} was closed: {lost:,} entries in memory are lost")
                raise
            finally:
                core.close()
                self._lock_file.close()

    def __enter__(self) -> LsmEngine:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
