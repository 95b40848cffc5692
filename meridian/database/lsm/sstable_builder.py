"""Write a table: entries in ascending order of keys into blocks, then the filter and the index."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final

import numpy as np
import numpy.typing as npt

from meridian.checks import checked_int
from meridian.database.lsm import _block_kernels as kernels
from meridian.database.lsm.block_writer import BlockWriter, arrays
from meridian.database.lsm.bloom import BloomFilter
from meridian.database.lsm.columns import Columns
from meridian.database.lsm.errors import EngineClosed, OutOfOrder
from meridian.database.lsm.filter_keys import checked_filter_key, filter_hashes
from meridian.database.lsm.table_format import (
    FOOTER_SIZE,
    MAX_BLOCK_SIZE,
    MIN_BLOCK_SIZE,
    Extent,
    Footer,
    pack_props,
    props_size,
    sealed,
)
from meridian.database.lsm.types import (
    MAX_KEY,
    MAX_VALUE,
    TOMBSTONE,
    Buffer,
    Tombstone,
    Value,
    checked_key,
    checked_value,
)
from meridian.database.lsm.version import SstMeta
from meridian.fs import FileSystem, LogFile, OsFileSystem

__all__ = ["SSTableBuilder"]

_BATCH: Final = 1024  # entries added one by one that are encoded together
_BATCH_BYTES: Final = 1 << 20
_WANTED: Final = {
    kernels.BAD_COLUMNS: "columns whose starts ascend and lie inside their arrays",
    kernels.BAD_KEY: f"keys of 1 to {MAX_KEY:,} bytes",
    kernels.BAD_VALUE: f"values of at most {MAX_VALUE:,} bytes",
    kernels.BAD_TOMBSTONE: "tombstones without a value",
}


class SSTableBuilder:
    """Make a table file that is either whole and durable under its name, or not there.

    It grows under the name ``<path>.tmp``. `finish` syncs it, renames it and syncs the folder;
    `abort`, and every failure on the way, removes it. The same entries make the same bytes, added
    one by one or as columns. One thread at a time.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        sst_id: int,
        block_size: int = 4096,
        bits_per_key: int = 10,
        level: int = 0,
        max_lsn: int = 0,
        filter_key: Callable[[bytes], bytes] | None = None,
        sync: bool = True,
        fs: FileSystem | None = None,
    ) -> None:
        """Begin the table `sst_id` at `path`.

        `max_lsn` is the newest write that will be in it. The filter is built on
        ``filter_key(key)``, as `filter_hashes` says. With ``sync=False`` nothing is durable until
        the system says so. Raises `FileExistsError` where there is a table, or one being built.
        """
        self.path = os.fspath(path)
        self._numbers = (
            checked_int("sst_id", sst_id, most=2**64 - 1),
            checked_int("level", level, most=2**32 - 1),
            checked_int("max_lsn", max_lsn, most=2**64 - 1),
        )
        self.block_size = checked_int(
            "block_size", block_size, least=MIN_BLOCK_SIZE, most=MAX_BLOCK_SIZE
        )
        self.bits_per_key = checked_int("bits_per_key", bits_per_key, least=1)
        if not isinstance(sync, bool):
            raise TypeError(f"Expected sync as bool, got {type(sync).__name__}")
        self._filter_key = checked_filter_key(filter_key)
        self._sync = sync
        self._fs: FileSystem = OsFileSystem() if fs is None else fs
        self.entries = 0
        """Entries added so far, tombstones included."""
        self.tombstones = 0
        self._first_key = b""
        self._last_key = b""
        self._pending: list[tuple[bytes, Value]] = []
        self._pending_bytes = 0
        self._hashes: list[npt.NDArray[np.uint64]] = []
        self._written = 0
        self._blocks = BlockWriter(self.block_size)
        self._tmp = f"{self.path}.tmp"
        if self._fs.exists(self.path):
            raise FileExistsError(f"{self.path} exists: a table is written once")
        self._file: LogFile | None = self._fs.create(self._tmp)

    def __repr__(self) -> str:
        return f"<SSTableBuilder {self.path}: {self.entries:,} entries>"

    @property
    def size_bytes(self) -> int:
        """How long the file would be by now, without its index."""
        encoded = self._blocks.pending_bytes + self._pending_bytes
        return self._written + encoded + self.entries * self.bits_per_key // 8

    def add(self, key: Buffer, value: Buffer | Tombstone) -> None:
        """Add an entry behind the others.

        Raises `OutOfOrder` unless its key is above the last one, and the table is aborted;
        `TypeError` and `ValueError` for what is no key or value, and nothing has changed.
        """
        self._check_open()
        key = checked_key(key)
        held: Value = TOMBSTONE if value is TOMBSTONE else checked_value(value)
        if self.entries and key <= self._last_key:
            self.abort()
            raise OutOfOrder(key, self._last_key)
        self._count(key, key, 1, held is TOMBSTONE)
        self._pending.append((key, held))
        self._pending_bytes += len(key) + 5 + (0 if held is TOMBSTONE else len(held))
        if len(self._pending) >= _BATCH or self._pending_bytes >= _BATCH_BYTES:
            self._encode_pending()

    def add_columns(self, columns: Columns) -> None:
        """Add many entries behind the others, in kernels.

        Raises `OutOfOrder` unless keys ascend, and the table is aborted; `TypeError` for what are
        no columns, `ValueError` for keys and values of a wrong length, and nothing has changed.
        """
        self._check_open()
        if not isinstance(columns, Columns):
            raise TypeError(f"Expected Columns, got {type(columns).__name__}: see Columns.of")
        if not len(columns):
            return
        self._check(columns)
        if self._pending:
            self._encode_pending()
        count = len(columns)
        self._count(columns.key(0), columns.key(count - 1), count, int(columns.tombstones.sum()))
        self._encode(columns)

    def finish(self) -> SstMeta:
        """Complete the table, and have it durable under its name.

        Raises `ValueError` for a table without entries, `OSError` as the file layer does; the
        table is aborted then.
        """
        self._check_open()
        if not self.entries:
            self.abort()
            raise ValueError(
                f"Expected at least one entry for {self.path}: there is no empty table"
            )
        renamed = False
        try:
            if self._pending:
                self._encode_pending()
            meta = self._write_rest(self._blocks.finish(self._write))
            file = self._checked_file()
            if self._sync:
                file.sync()
            file.close()
            self._fs.rename(self._tmp, self.path)
            renamed = True
            if self._sync:
                self._fs.sync_dir(os.path.dirname(self.path) or ".")
        except BaseException:
            self.abort()
            if renamed:  # it may be gone after a crash, so nobody shall count on it
                with suppress(OSError):
                    self._fs.unlink(self.path)
            raise
        self._file = None
        return meta

    def abort(self) -> None:
        """Give the table up and remove what there is of it. After `finish`, or twice: nothing."""
        file, self._file = self._file, None
        if file is None:
            return
        with suppress(OSError):
            file.close()
        with suppress(OSError):  # what cannot be removed now is removed when the engine opens
            self._fs.unlink(self._tmp)

    # -- what becomes of entries -----------------------------------------------------------------

    def _check(self, columns: Columns) -> None:
        last = np.frombuffer(self._last_key, np.uint8)
        status, row = kernels.check_entries(*arrays(columns), last)
        if status == kernels.OK:
            return
        if status == kernels.NOT_ASCENDING:
            before = columns.key(row - 1) if row else self._last_key
            self.abort()
            raise OutOfOrder(columns.key(row), before)
        raise ValueError(f"Expected {_WANTED[status]}, got otherwise at entry {row}")

    def _count(self, first: bytes, last: bytes, entries: int, tombstones: int) -> None:
        if not self.entries:
            self._first_key = first
        self._last_key = last
        self.entries += entries
        self.tombstones += tombstones

    def _encode_pending(self) -> None:
        pending, self._pending, self._pending_bytes = self._pending, [], 0
        self._encode(Columns.of(pending))

    def _encode(self, columns: Columns) -> None:
        try:
            self._hash(columns)
            self._blocks.add(columns, self._write)
        except BaseException:
            self.abort()
            raise

    def _hash(self, columns: Columns) -> None:
        """Keep the hashes for the filter, whose size depends on how many there will be."""
        hashes = filter_hashes(columns, self._filter_key)
        if self._filter_key is None:
            self._hashes.append(hashes)
            return
        before = self._hashes[-1][-1:] if self._hashes else hashes[:0]
        follow = np.concatenate([before, hashes])
        new = np.ones(len(hashes), np.bool_)  # keys that share a filter key are neighbours
        new[len(hashes) + 1 - len(follow) :] = follow[1:] != follow[:-1]
        if new.any():
            self._hashes.append(hashes[new])

    def _write(self, data: memoryview | bytes) -> None:
        self._written += self._checked_file().write(data)

    def _write_rest(self, index: bytes) -> SstMeta:
        hashes = np.concatenate(self._hashes)
        bloom = BloomFilter(len(hashes), self.bits_per_key)
        bloom.insert_hashes(hashes)
        places = []
        for part in (bloom.to_bytes(), index):
            places.append(Extent(self._written, len(part) + 4))
            self._write(sealed(part))
        length = props_size(self._first_key, self._last_key)
        sst_id, level, max_lsn = self._numbers
        meta = SstMeta(
            sst_id,
            level,
            self._written + length + FOOTER_SIZE,
            self._first_key,
            self._last_key,
            self.entries,
            self.tombstones,
            max_lsn,
        )
        props = Extent(self._written, length)
        self._write(sealed(pack_props(meta)) + Footer(places[1], places[0], props).pack())
        return meta

    # -- the file --------------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._file is None:
            raise EngineClosed(f"The builder of {self.path}")

    def _checked_file(self) -> LogFile:
        self._check_open()
        assert self._file is not None
        return self._file

    def __enter__(self) -> SSTableBuilder:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove what was not finished."""
        self.abort()
