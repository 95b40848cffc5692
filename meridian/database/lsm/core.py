"""The engine's moving parts and the order in which they move.

A write goes into the active memtable. A full one is frozen and queued; a flush makes it a table of
level 0; compactions merge tables. Each step ends the same way: outputs complete and durable, then
the list of tables (`ManifestStore.commit`), then the next `State` for readers, and only when the
last reader of the old one is done are files closed and removed.

Locks, outermost first: `flushing` and `compacting` (one of each at a time), `committing` (the list
of tables, which both change), `mutex` (the active memtable, the queue, and who waits for whom).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Final

from meridian.clock import Clock
from meridian.database.lsm.compaction import CompactionKind, CompactionTask, Strategy, check_task
from meridian.database.lsm.compactor import Cancelled, Made, TableWriter, Throttle, merge_tables
from meridian.database.lsm.errors import CorruptTable, EngineClosed, EngineFailed
from meridian.database.lsm.fifo import Fifo
from meridian.database.lsm.leveled import Leveled
from meridian.database.lsm.manifest import ManifestStore
from meridian.database.lsm.memtable import MemTable
from meridian.database.lsm.options import LsmOptions
from meridian.database.lsm.state import CLOSED, Frozen, State, TableSet
from meridian.database.lsm.stats import Counters
from meridian.database.lsm.tables import TableFiles, TableHandle
from meridian.database.lsm.tiered import Tiered
from meridian.database.lsm.version import SstMeta, Version, VersionEdit
from meridian.fs import FileSystem, failpoint

__all__ = ["EngineCore"]

_STRATEGIES: Final[dict[str, Callable[[], Strategy]]] = {
    "leveled": Leveled,
    "tiered": Tiered,
    "fifo": Fifo,
}


class EngineCore:
    """State, locks, and the three steps: freeze, flush, compact."""

    def __init__(
        self,
        opts: LsmOptions,
        manifest: ManifestStore,
        version: Version,
        handles: dict[int, TableHandle],
        files: TableFiles,
        fs: FileSystem,
        clock: Clock,
    ) -> None:
        self.opts = opts
        self.files = files
        self.counters = Counters()
        self.strategy = _STRATEGIES[opts.strategy]()
        self.mutex = threading.RLock()
        self.changed = threading.Condition(self.mutex)
        """Told of everything that somebody may wait for."""
        self.flushing = threading.Lock()
        self.compacting = threading.Lock()
        self.committing = threading.Lock()
        self.stopped = threading.Event()
        self.failure: BaseException | None = None
        self.closed = False
        self.barred = False
        """No write is taken: it failed, or was closed."""
        self.published = 0
        """Goes up whenever there may be something new to compact."""
        self.gets = self.user_bytes = 0
        self.last_lsn = version.flushed_lsn
        self._manifest = manifest
        self._fs = fs
        self._clock = clock
        self._next_id = version.next_id
        self._next_memtable = 1
        self._doubtful: list[Made] = []  # of commits that failed: the list on disk may name them
        self.state = State(self._memtable(), (), TableSet(version, handles, opts.filter_key))

    # -- what may be asked ----------------------------------------------------------------------

    @property
    def version(self) -> Version:
        return self.state.tables.version

    def refuse(self) -> None:
        """Raise what keeps the engine from taking writes."""
        if self.closed:
            raise EngineClosed
        if self.failure is not None:
            raise EngineFailed(self.failure)

    def check_open(self) -> None:
        if self.closed:
            raise EngineClosed

    def fail(self, cause: BaseException) -> None:
        """Take no more writes until a flush has succeeded."""
        with self.changed:
            self.failure = cause
            self.barred = True
            self.changed.notify_all()

    def mend(self, failure: BaseException) -> None:
        """Take writes again, and compact, unless something else has failed meanwhile."""
        with self.changed:
            if self.failure is failure:
                self.failure = None
                self.barred = self.closed
                self.published += 1
                self.changed.notify_all()

    def bar(self) -> None:
        """The engine is being closed: take no more writes, queue what there is."""
        with self.changed:
            self.freeze()
            self.closed = self.barred = True
            self.changed.notify_all()

    def close(self) -> None:
        """Close the tables. Whoever reads meanwhile is told."""
        with self.compacting, self.committing:
            self.state = CLOSED
            self.files.close()

    def verify(self) -> None:
        """Read every table, and compare the list with them."""
        tables = self.state.tables
        for reader in tables.readers:
            reader.verify()
        for level in tables.version.levels[1:]:
            for left, right in pairwise(level):
                if right.min_key <= left.max_key:
                    path = self.files.path(right.sst_id)
                    raise CorruptTable(path, "props", f"it overlaps {left}")

    # -- freeze ----------------------------------------------------------------------------------

    def freeze(self) -> None:
        """Queue the active memtable for its flush, if it holds anything. With `mutex` held."""
        state = self.state
        if len(state.active):
            frozen = (Frozen(state.active), *state.frozen)
            self.state = State(self._memtable(), frozen, state.tables)
            self.changed.notify_all()

    def _memtable(self) -> MemTable:
        number, self._next_memtable = self._next_memtable, self._next_memtable + 1
        return MemTable(self.opts.memtable_bytes, table_id=number, lock=self.mutex)

    # -- flush -----------------------------------------------------------------------------------

    def flush_oldest(self) -> SstMeta | None:
        """Make the oldest frozen memtable a table; None if none is frozen.

        Raises what writing raises; the memtable is kept then, and nothing else is.
        """
        with self.flushing:
            frozen = self.state.frozen
            if not frozen:
                return None
            oldest = frozen[-1]
            memtable = oldest.memtable
            writer = self._writer(max_lsn=memtable.max_lsn)
            try:
                writer.add(memtable.freeze())
                made = writer.close()
                failpoint("flush.after_sst")
            except BaseException:
                writer.discard()
                raise
            metas = self._commit(made, VersionEdit(flushed_lsn=memtable.max_lsn), oldest)
            self.counters.flushes += 1
            self.counters.flush_bytes += metas[0].size_bytes
            return metas[0]

    def flush_all(self, queue: Iterable[Frozen]) -> list[SstMeta]:
        """Flush until all of `queue` are tables, by whoever's hand; those tables."""
        metas = []
        for each in queue:
            while each.meta is None:
                self.check_open()
                self.flush_oldest()
            metas.append(each.meta)
        return metas

    # -- compact ---------------------------------------------------------------------------------

    def compact_once(self, *, full: bool = False) -> bool:
        """Take the strategy's next step; False if there is none.

        Raises what reading, writing and hooks raise; the inputs count on then, and no output is
        left.
        """
        with self.compacting:
            tables = self.state.tables
            version, opts = tables.version, self.opts
            if full:
                task = self.strategy.full(version, opts)
            else:
                task = self.strategy.pick(version, opts, now_ns=self._clock.now_ns())
            if task is None:
                return False
            check_task(version, task)
            removed = tuple(meta.sst_id for meta in task.inputs)
            edit = VersionEdit(removed=removed, cursor=task.cursor)
            counters = self.counters
            if task.kind is CompactionKind.MERGE:
                metas = self._commit(self._merge(task, tables), edit)
                counters.compactions += 1
                counters.compaction_read_bytes += task.size_bytes
                counters.compaction_bytes += sum(meta.size_bytes for meta in metas)
            elif task.kind is CompactionKind.MOVE:
                self._commit((), edit, moved=task)
                counters.moves += 1
            else:
                self._commit((), edit)
                counters.drops += 1
            return True

    def _merge(self, task: CompactionTask, tables: TableSet) -> list[Made]:
        readers = {sst_id: handle.reader for sst_id, handle in tables.handles.items()}
        runs: dict[tuple[int, int], list[SstMeta]] = {}
        for number, meta in enumerate(task.inputs):
            runs.setdefault((meta.level, number if meta.level == 0 else 0), []).append(meta)
        writer = self._writer(
            level=task.output_level,
            max_lsn=max(meta.max_lsn for meta in task.inputs),
            cut_bytes=self.opts.target_file_bytes if task.output_level else None,
        )
        throttle = Throttle(self.opts.compaction_bytes_per_s, self.stopped)
        sources = [[readers[meta.sst_id] for meta in run] for run in runs.values()]
        try:
            return merge_tables(task, sources, writer, self.opts, throttle)
        except Cancelled:
            raise EngineClosed from None

    # -- commit and publish ----------------------------------------------------------------------

    def _commit(
        self,
        made: Iterable[Made],
        edit: VersionEdit,
        flushed: Frozen | None = None,
        *,
        moved: CompactionTask | None = None,
    ) -> list[SstMeta]:
        """Put the step into the list of tables, then before the readers."""
        now_ns = self._clock.now_ns()
        outputs = [Made(each.meta._replace(created_ns=now_ns), each.handle) for each in made]
        metas = [each.meta for each in outputs]
        if moved is not None:
            metas = [meta._replace(level=moved.output_level) for meta in moved.inputs]
        with self.committing:
            edit = VersionEdit(
                tuple(metas), edit.removed, edit.flushed_lsn, self._next_id, edit.cursor
            )
            version = self.version.applied(edit)
            try:
                self._manifest.commit(edit)
            except BaseException:
                # It may be on disk all the same: its tables stay until the next commit is.
                self._doubtful += outputs
                raise
            here = {meta.sst_id for meta in version.tables}
            gone = [sst_id for sst_id in edit.removed if sst_id not in here]
            self.files.obsolete(gone)
            self._publish(version, outputs, flushed)
            self._forget_doubtful()
        if gone:
            failpoint("compact.before_unlink")  # the caller still holds on to them
        self.files.sweep()
        return metas

    def _publish(self, version: Version, outputs: list[Made], flushed: Frozen | None) -> None:
        handles = dict(self.state.tables.handles)
        handles.update((each.meta.sst_id, each.handle) for each in outputs)
        tables = TableSet(version, handles, self.opts.filter_key)
        with self.changed:
            state = self.state
            frozen = state.frozen
            if flushed is not None:
                frozen = tuple(each for each in frozen if each is not flushed)
                flushed.meta = outputs[0].meta
            self.state = State(state.active, frozen, tables)
            self.published += 1
            self.changed.notify_all()

    def _forget_doubtful(self) -> None:
        self.files.obsolete(each.meta.sst_id for each in self._doubtful)
        self._doubtful.clear()

    # -- parts -----------------------------------------------------------------------------------

    def _writer(
        self, *, level: int = 0, max_lsn: int = 0, cut_bytes: int | None = None
    ) -> TableWriter:
        return TableWriter(
            self.files,
            self._new_id,
            self.opts,
            self._fs,
            level=level,
            max_lsn=max_lsn,
            cut_bytes=cut_bytes,
        )

    def _new_id(self) -> int:
        with self.mutex:
            number, self._next_id = self._next_id, self._next_id + 1
        return number
