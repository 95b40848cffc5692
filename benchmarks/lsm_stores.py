"""The stores of the LSM race behind one set of methods.

RocksDB (through rocksdict, raw mode) has the same memtable, block and cache sizes as ours, ten bits
per key, no compression and no log; its checksums are verified as ours are. LMDB and SQLite take
part in reads. A batch ends in the same array on every side, inside the clock.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from meridian.database.lsm import LsmEngine, LsmOptions, norad_keys

__all__ = ["LmdbTables", "MeridianLsm", "Records", "RocksTables", "SqliteTables", "Store"]

WIDTH = 82
BATCH = 10_000
TABLES = 4
_MIB = 1 << 20

Rows = npt.NDArray[np.uint8]


class Records:
    """`count` records under even ids in random order, and the `asked` keys of a read."""

    def __init__(self, count: int, asked: int) -> None:
        rng = np.random.default_rng(0)
        ids = rng.permutation(count) * 2
        self.rows = norad_keys(ids)
        self.values = rng.integers(0, 256, (count, WIDTH), np.uint8)
        self.keys = [row.tobytes() for row in self.rows]
        self.blobs = [row.tobytes() for row in self.values]
        self.hits = rng.permutation(ids)[:asked]
        self.sorted_hits = np.sort(self.hits)
        self.misses = self.hits + 1  # odd, and between those that are there

    def parts(self) -> list[slice]:
        """The records as `TABLES` tables."""
        step = -(-len(self.keys) // TABLES)
        return [slice(start, start + step) for start in range(0, len(self.keys), step)]


class Store(ABC):
    """What the race asks of a store."""

    name: str

    def __init__(self, records: Records) -> None:
        self.records = records
        self.folder = Path(tempfile.mkdtemp(prefix="meridian-bench-"))

    @abstractmethod
    def fill(self) -> None:
        """Every record, in `TABLES` tables that are not merged where there are tables."""

    def aim(self, ids: npt.NDArray[np.int64]) -> None:
        self.aimed_rows = norad_keys(ids)
        self.aimed = [row.tobytes() for row in self.aimed_rows]

    @abstractmethod
    def get_each(self) -> list[bytes | None]: ...

    def get_rows(self) -> Rows:
        """Values of the aimed keys, all of them there."""
        return together(self.get_each())

    @abstractmethod
    def close(self) -> None: ...

    def discard(self) -> None:
        self.close()
        shutil.rmtree(self.folder)


def together(blobs: list[Any]) -> Rows:
    return np.frombuffer(b"".join(blobs), np.uint8).reshape(-1, WIDTH)


class MeridianLsm(Store):
    name = "meridian"

    def __init__(self, records: Records, *, memtable_bytes: int = 4 * _MIB, merge: bool = True):
        super().__init__(records)
        options = LsmOptions(memtable_bytes=memtable_bytes, auto_compact=merge)
        self.engine = LsmEngine(self.folder / "lsm", options)

    def fill(self) -> None:
        for part in self.records.parts():
            self.engine.put_many(self.records.rows[part], self.records.values[part])
            self.engine.flush()

    def put_each(self) -> None:
        put = self.engine.put
        for key, value in zip(self.records.keys, self.records.blobs, strict=True):
            put(key, value)

    def put_each_flushed(self) -> None:
        self.put_each()
        self.engine.flush()

    def put_batches(self) -> None:
        records = self.records
        for start in range(0, len(records.keys), BATCH):
            part = slice(start, start + BATCH)
            self.engine.put_many(records.rows[part], records.values[part])
        self.engine.flush()

    def get_each(self) -> list[bytes | None]:
        get = self.engine.get
        return [get(key) for key in self.aimed]

    def get_rows(self) -> Rows:
        return self.engine.get_many_fixed(self.aimed_rows, WIDTH)[0]

    def get_many(self) -> list[bytes | None]:
        return self.engine.get_many(self.aimed)

    def scan_each(self) -> list[tuple[bytes, bytes]]:
        return [*self.engine.scan()]

    def scan_rows(self) -> tuple[Rows, Rows]:
        columns = self.engine.scan_columns()
        return columns.key_rows(), columns.value_rows()

    def compact(self) -> None:
        self.engine.compact(full=True)

    def content(self) -> list[tuple[bytes, bytes]]:
        return self.scan_each()

    def close(self) -> None:
        self.engine.close()


class RocksTables(Store):
    name = "RocksDB"

    def __init__(self, records: Records, *, memtable_bytes: int = 4 * _MIB, merge: bool = True):
        from rocksdict import (  # a peer: the lab runs without it
            BlockBasedOptions,
            Cache,
            DBCompressionType,
            Options,
            Rdict,
            WriteOptions,
        )

        super().__init__(records)
        blocks = BlockBasedOptions()
        blocks.set_block_size(4096)
        blocks.set_bloom_filter(10, False)
        blocks.set_block_cache(Cache(32 * _MIB))
        options = Options(raw_mode=True)
        options.set_block_based_table_factory(blocks)
        options.set_compression_type(DBCompressionType.none())
        options.set_write_buffer_size(memtable_bytes)
        options.set_disable_auto_compactions(not merge)
        self.db = Rdict(str(self.folder / "rocks"), options)
        unlogged = WriteOptions()
        unlogged.disable_wal = True
        self.db.set_write_options(unlogged)

    def fill(self) -> None:
        for part in self.records.parts():
            for key, value in zip(self.records.keys[part], self.records.blobs[part], strict=True):
                self.db[key] = value
            self.db.flush()

    def put_each(self) -> None:
        db = self.db
        for key, value in zip(self.records.keys, self.records.blobs, strict=True):
            db[key] = value

    def put_each_flushed(self) -> None:
        self.put_each()
        self.db.flush()

    def put_batches(self) -> None:
        from rocksdict import WriteBatch

        records = self.records
        for start in range(0, len(records.keys), BATCH):
            batch = WriteBatch(raw_mode=True)
            part = slice(start, start + BATCH)
            for key, value in zip(records.keys[part], records.blobs[part], strict=True):
                batch.put(key, value)
            self.db.write(batch)
        self.db.flush()

    def get_each(self) -> list[bytes | None]:
        get = self.db.get
        return [get(key) for key in self.aimed]

    def get_rows(self) -> Rows:
        return together(self.db.get(self.aimed))

    def get_many(self) -> list[bytes | None]:
        found: list[bytes | None] = self.db.get(self.aimed)
        return found

    def scan_each(self) -> list[tuple[bytes, bytes]]:
        return [*self.db.items()]

    def scan_rows(self) -> tuple[Rows, Rows]:
        keys, values = zip(*self.db.items(), strict=True)
        return np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 4), together(list(values))

    def compact(self) -> None:
        self.db.compact_range(None, None)

    def content(self) -> list[tuple[bytes, bytes]]:
        return self.scan_each()

    def close(self) -> None:
        self.db.close()


class LmdbTables(Store):
    """LMDB, reads in one held snapshot."""

    name = "LMDB"

    def fill(self) -> None:
        import lmdb  # a peer: the lab runs without it

        size = max(1 << 26, 8 * self.records.values.nbytes)
        self.environment = lmdb.open(str(self.folder / "lmdb"), map_size=size, sync=False)
        with self.environment.begin(write=True) as transaction:
            pairs = sorted(zip(self.records.keys, self.records.blobs, strict=True))
            transaction.cursor().putmulti(pairs)
        self.snapshot = self.environment.begin()

    def get_each(self) -> list[bytes | None]:
        get = self.snapshot.get
        return [get(key) for key in self.aimed]

    def close(self) -> None:
        self.snapshot.abort()
        self.environment.close()


class SqliteTables(Store):
    """SQLite without rowids, journal and sync off."""

    name = "sqlite3"

    def fill(self) -> None:
        self.connection = sqlite3.connect(self.folder / "lsm.db", isolation_level=None)
        for setting in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -1048576"):
            self.connection.execute(f"PRAGMA {setting}")
        self.connection.execute(
            "CREATE TABLE record (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID"
        )
        pairs = sorted(zip(self.records.keys, self.records.blobs, strict=True))
        self.connection.execute("BEGIN")
        self.connection.executemany("INSERT INTO record VALUES (?, ?)", pairs)
        self.connection.execute("COMMIT")

    def get_each(self) -> list[bytes | None]:
        execute = self.connection.execute
        query = "SELECT value FROM record WHERE key = ?"
        found = [execute(query, (key,)).fetchone() for key in self.aimed]
        return [row if row is None else row[0] for row in found]

    def close(self) -> None:
        self.connection.close()
