"""Carry out what a strategy chose: new tables, complete and durable, or none at all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from meridian.database.lsm.chunks import (
    first_above,
    first_from,
    merge_chunks,
    run_chunks,
    whole_groups,
)
from meridian.database.lsm.columns import Columns
from meridian.database.lsm.compaction import CompactionTask
from meridian.database.lsm.options import LsmOptions
from meridian.database.lsm.ordering import take
from meridian.database.lsm.sstable import SSTable
from meridian.database.lsm.sstable_builder import SSTableBuilder
from meridian.database.lsm.table_format import ENTRY_OVERHEAD
from meridian.database.lsm.tables import TableFiles, TableHandle
from meridian.database.lsm.version import SstMeta
from meridian.fs import FileSystem, failpoint

__all__ = ["Cancelled", "Made", "TableWriter", "Throttle", "merge_tables"]

_CHUNK_BLOCKS: Final = 256


class Cancelled(Exception):
    """The engine is being closed: drop the compaction, it can be made again."""


@dataclass(frozen=True, slots=True)
class Made:
    """A new table, open, and not yet in the list of those that count."""

    meta: SstMeta
    handle: TableHandle


class Throttle:
    """Let no more than so many bytes a second pass, on average over the work it is made for."""

    def __init__(self, bytes_per_s: int | None, stopped: threading.Event) -> None:
        self._bytes_per_s = bytes_per_s
        self._stopped = stopped
        self._began_s = time.monotonic()
        self._passed = 0

    def pass_on(self, nbytes: int) -> None:
        """Wait until `nbytes` more are due. Raises `Cancelled` once `stopped` is set."""
        self._passed += nbytes
        if self._stopped.is_set():
            raise Cancelled
        if self._bytes_per_s is not None:
            due_s = self._began_s + self._passed / self._bytes_per_s
            if self._stopped.wait(max(0.0, due_s - time.monotonic())):
                raise Cancelled


class TableWriter:
    """Write sorted entries into tables of a level, a new one whenever one is large enough.

    Leave it by an exception and none of its files is left.
    """

    def __init__(
        self,
        files: TableFiles,
        new_id: Callable[[], int],
        opts: LsmOptions,
        fs: FileSystem,
        *,
        level: int = 0,
        max_lsn: int = 0,
        cut_bytes: int | None = None,
    ) -> None:
        self.made: list[Made] = []
        self._files = files
        self._new_id = new_id
        self._opts = opts
        self._fs = fs
        self._level = level
        self._max_lsn = max_lsn
        self._cut_bytes = cut_bytes
        self._builder: SSTableBuilder | None = None
        self._room = 0

    def add(self, columns: Columns) -> None:
        """Entries that follow those before in order of keys."""
        while len(columns):
            if self._builder is None:
                self._begin()
            count = len(columns) if self._cut_bytes is None else self._fitting(columns)
            if count:
                assert self._builder is not None
                self._builder.add_columns(columns[:count])
                columns = columns[count:]
            if len(columns):
                self._finish()

    def close(self) -> list[Made]:
        """Finish the last table; all that were made, open."""
        if self._builder is not None:
            self._finish()
        return self.made

    def discard(self) -> None:
        """Remove every file that was made."""
        if self._builder is not None:
            self._builder.abort()
            self._builder = None
        self._files.obsolete(each.meta.sst_id for each in self.made)
        self.made.clear()

    def _begin(self) -> None:
        opts, sst_id = self._opts, self._new_id()
        self._builder = SSTableBuilder(
            self._files.path(sst_id),
            sst_id=sst_id,
            block_size=opts.block_size,
            bits_per_key=opts.bits_per_key,
            level=self._level,
            max_lsn=self._max_lsn,
            filter_key=opts.filter_key,
            sync=opts.fsync,
            fs=self._fs,
        )
        self._room = self._cut_bytes or 0

    def _fitting(self, columns: Columns) -> int:
        """How many of the first entries go into this table: one at least, if it is new."""
        taken = (
            columns.key_starts[1:] - columns.key_starts[0]
            + columns.value_starts[1:] - columns.value_starts[0]
            + ENTRY_OVERHEAD * np.arange(1, len(columns) + 1)
        )  # fmt: skip
        count = int(np.searchsorted(taken, self._room, "right"))
        if not count and self._room == self._cut_bytes:
            count = 1
        if count:
            self._room -= int(taken[count - 1])
        return count

    def _finish(self) -> None:
        builder, self._builder = self._builder, None
        assert builder is not None
        meta = builder.finish()
        try:
            handle = self._files.open(meta)
        except BaseException:
            self._files.remove(meta.sst_id)
            raise
        self.made.append(Made(meta, handle))


def merge_tables(
    task: CompactionTask,
    runs: Sequence[Sequence[SSTable]],
    writer: TableWriter,
    opts: LsmOptions,
    throttle: Throttle,
) -> list[Made]:
    """Merge the tables of `task`, in `runs` the newest first, into those of `writer`.

    Raises what reading and writing raise, `Cancelled`, and what a compaction filter raises; then no
    output is left.
    """
    try:
        chunks: Iterable[Columns] = merge_chunks(
            [run_chunks(run, first_blocks=_CHUNK_BLOCKS, most_blocks=_CHUNK_BLOCKS) for run in runs]
        )
        if opts.compaction_filter is not None and opts.filter_key is not None:
            chunks = whole_groups(chunks, opts.filter_key)
        for kept in _kept(chunks, task, opts):
            writer.add(kept)
            throttle.pass_on(kept.nbytes + ENTRY_OVERHEAD * len(kept))
        made = writer.close()
        failpoint("compact.after_outputs")
    except BaseException:
        writer.discard()
        raise
    return made


def _kept(chunks: Iterable[Columns], task: CompactionTask, opts: LsmOptions) -> Iterator[Columns]:
    for columns in chunks:
        keep = np.ones(len(columns), np.bool_)
        if opts.compaction_filter is not None:
            keep &= _asked(opts.compaction_filter(columns), len(columns))
        if opts.gc_tombstones and columns.tombstones.any():
            keep &= ~columns.tombstones | _may_hide(columns, task)
        yield columns if keep.all() else take(columns, keep)


def _may_hide(columns: Columns, task: CompactionTask) -> npt.NDArray[np.bool_]:
    """Which keys an older table could hold."""
    found = np.zeros(len(columns), np.bool_)
    for meta in task.older:
        found[first_from(columns, meta.min_key) : first_above(columns, meta.max_key)] = True
    return found


def _asked(answer: npt.NDArray[np.bool_], count: int) -> npt.NDArray[np.bool_]:
    keep = np.asarray(answer)
    if keep.dtype != np.bool_ or keep.shape != (count,):
        raise TypeError(
            f"Expected bool[{count}] from the compaction filter, got {keep.dtype}{list(keep.shape)}"
        )
    return keep
