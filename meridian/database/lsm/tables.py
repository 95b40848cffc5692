"""Open tables: shared by all who read them, closed when the last of these is done.

A reader takes the engine's state once and so keeps every table of it alive. That is Python's own
reference count at work, which costs a `get` nothing: when a `TableHandle` goes, nobody reads its
table any more, and nobody can begin to.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue

from meridian.database.lsm.cache import BlockCache
from meridian.database.lsm.errors import CorruptTable, MissingTable
from meridian.database.lsm.options import FilterKey
from meridian.database.lsm.sstable import ReadCounters, SSTable
from meridian.database.lsm.version import SstMeta, table_name
from meridian.fs import FileSystem

__all__ = ["TableFiles", "TableHandle"]


class TableHandle:
    """One table in use. What a state, a scan or a compaction holds on to."""

    __slots__ = ("_files", "reader", "sst_id")

    def __init__(self, files: TableFiles, sst_id: int, reader: SSTable) -> None:
        self._files = files
        self.sst_id = sst_id
        self.reader = reader

    def __repr__(self) -> str:
        return f"<TableHandle {self.reader.path}>"

    def __del__(self) -> None:
        self._files._let_go(self.sst_id)


class TableFiles:
    """The tables of one folder: opened for a state, closed and removed when no reader is left."""

    def __init__(
        self,
        folder: str,
        *,
        cache: BlockCache,
        filter_key: FilterKey | None,
        fs: FileSystem,
    ) -> None:
        self.folder = folder
        self.cache = cache
        self.counters = ReadCounters()
        """What the readers of all tables count together."""
        self._filter_key = filter_key
        self._fs = fs
        self._readers: dict[int, SSTable] = {}
        self._obsolete: set[int] = set()  # they count no more: their files go with them
        self._unused: SimpleQueue[int] = SimpleQueue()
        self._blocks_read = 0  # by tables that were closed

    def path(self, sst_id: int) -> str:
        return os.path.join(self.folder, table_name(sst_id))

    def open(self, meta: SstMeta) -> TableHandle:
        """Open the table that `meta` describes.

        Raises `MissingTable`, `CorruptTable` (another table than the one that is meant counts as
        that), `OSError`.
        """
        path = self.path(meta.sst_id)
        try:
            reader = SSTable(
                path,
                self.cache,
                filter_key=self._filter_key,
                counters=self.counters,
                fs=self._fs,
            )
        except FileNotFoundError:
            raise MissingTable(path) from None
        found = reader.meta._replace(level=meta.level, created_ns=meta.created_ns)
        if found != meta:
            reader.close()
            raise CorruptTable(path, "props", f"the list of tables means another one: {meta}")
        self._readers[meta.sst_id] = reader
        return TableHandle(self, meta.sst_id, reader)

    def obsolete(self, sst_ids: Iterable[int]) -> None:
        """Remove the files of these tables once nobody reads them."""
        self._obsolete.update(sst_ids)

    def remove(self, sst_id: int) -> None:
        """Remove the file of a table that never counted. What resists goes when next opened."""
        with suppress(OSError):
            self._fs.unlink(self.path(sst_id))

    @property
    def block_reads(self) -> int:
        return self._blocks_read + sum(each.block_reads for each in list(self._readers.values()))

    def sweep(self) -> None:
        """Close what nobody reads any more, and remove what does not count."""
        while True:
            try:
                sst_id = self._unused.get_nowait()
            except Empty:
                return
            self._close(sst_id)

    def close(self) -> None:
        """Close all tables, though scans may be at work: their next read raises."""
        for sst_id in list(self._readers):
            self._close(sst_id)

    def _close(self, sst_id: int) -> None:
        reader = self._readers.pop(sst_id, None)
        if reader is None:
            return
        with suppress(OSError):  # it was only read
            reader.close()
        self._blocks_read += reader.block_reads
        if sst_id in self._obsolete:
            self._obsolete.discard(sst_id)
            self.remove(sst_id)

    def _let_go(self, sst_id: int) -> None:
        # Python calls this wherever the last reference goes: with garbage collection, in the midst
        # of anything, the cache's own code included. So it must not wait for a lock that this very
        # thread may hold; another sweep will come.
        self._unused.put(sst_id)
        if not self.cache.lock.locked():
            self.sweep()
