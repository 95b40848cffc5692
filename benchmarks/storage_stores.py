"""The three stores of the storage race behind one set of methods.

Each is used as its manual advises for speed without durability: one transaction, journal and
sync off, prepared keys, a cache that holds everything. Inputs are made before the clock starts
in the form the store likes best (an array here, lists of tuples there); outputs take the same
form on every side, inside the clock.
"""

from __future__ import annotations

import shutil
import sqlite3
from abc import ABC, abstractmethod
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from meridian.database.storage import PageManager, RecordId

__all__ = ["LmdbStore", "MeridianStore", "Records", "SqliteJoinStore", "SqliteStore", "Store"]

Bytes2D = npt.NDArray[np.uint8]  # (records, width)


class Records:
    """The records of one race in every form a store may want, made once."""

    def __init__(self, rows: npt.NDArray[np.void]) -> None:
        self.rows = rows
        self.width = rows.dtype.itemsize
        self.bytes2d: Bytes2D = rows.view(np.uint8).reshape(rows.size, self.width)
        self.blobs = [row.tobytes() for row in self.bytes2d]
        self.ids = list(range(1, rows.size + 1))
        self.keys = [i.to_bytes(4, "big") for i in self.ids]
        self.by_id = list(zip(self.ids, self.blobs, strict=True))
        self.by_key = list(zip(self.keys, self.blobs, strict=True))

    def together(self, blobs: Any) -> Bytes2D:
        """Fixed-width values as one array: what a peer does inside its clock."""
        return np.frombuffer(b"".join(blobs), np.uint8).reshape(-1, self.width)


class Store(ABC):
    """What the race asks of a store. `aim` fixes which records the next gets will fetch."""

    name: str

    def __init__(self, folder: Path, records: Records) -> None:
        self.folder = folder
        self.records = records

    @abstractmethod
    def insert_many(self) -> None: ...

    @abstractmethod
    def insert_each(self) -> None: ...

    @abstractmethod
    def aim(self, order: npt.NDArray[np.int64]) -> None: ...

    @abstractmethod
    def get_many(self) -> Bytes2D: ...

    @abstractmethod
    def get_each(self) -> list[bytes]: ...

    @abstractmethod
    def scan(self) -> Bytes2D: ...

    @abstractmethod
    def close(self) -> None: ...

    def discard(self) -> None:
        """Close the store and remove its files."""
        self.close()
        shutil.rmtree(self.folder)


class MeridianStore(Store):
    """`PageManager` with every page resident."""

    name = "meridian"

    def __init__(self, folder: Path, records: Records) -> None:
        super().__init__(folder, records)
        per_page = 4_079 // (records.width + 4)
        pages = -(-records.rows.size // per_page)
        self.manager = PageManager(folder / "registry.oor", frames=pages + 16)
        self.rids = np.empty(0, np.uint64)
        self.rids_each: list[RecordId] = []

    def insert_many(self) -> None:
        self.rids = self.manager.insert_many(self.records.rows)
        self.manager.flush()

    def insert_each(self) -> None:
        insert = self.manager.insert
        self.rids_each = [insert(blob) for blob in self.records.blobs]
        self.manager.flush()

    def aim(self, order: npt.NDArray[np.int64]) -> None:
        self.aimed = self.rids[order]
        self.aimed_each = [RecordId.unpack(rid) for rid in self.aimed.tolist()]

    def get_many(self) -> Bytes2D:
        rows: Bytes2D = self.manager.get_many(self.aimed, self.records.width)[0]
        return rows

    def get_each(self) -> list[bytes]:
        get = self.manager.get
        return [get(rid) or b"" for rid in self.aimed_each]

    def scan(self) -> Bytes2D:
        parts = [rows for _, rows in self.manager.scan(batch=self.records.rows.size)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def close(self) -> None:
        self.manager.close()


class SqliteStore(Store):
    """A table keyed by rowid in the standard library's SQLite; values are BLOBs."""

    name = "sqlite3"
    _GET = "SELECT tle FROM catalog WHERE id = ?"

    def __init__(self, folder: Path, records: Records) -> None:
        super().__init__(folder, records)
        self.connection = sqlite3.connect(folder / "registry.db", isolation_level=None)
        for setting in (
            "journal_mode = OFF",
            "synchronous = OFF",
            "locking_mode = EXCLUSIVE",
            "cache_size = -1048576",  # up to 1 GiB: everything stays resident
        ):
            self.connection.execute(f"PRAGMA {setting}")
        self.connection.execute("CREATE TABLE catalog (id INTEGER PRIMARY KEY, tle BLOB NOT NULL)")

    def insert_many(self) -> None:
        execute = self.connection.execute
        execute("BEGIN")
        self.connection.executemany("INSERT INTO catalog VALUES (?, ?)", self.records.by_id)
        execute("COMMIT")

    def insert_each(self) -> None:
        execute = self.connection.execute
        execute("BEGIN")
        for pair in self.records.by_id:
            execute("INSERT INTO catalog VALUES (?, ?)", pair)
        execute("COMMIT")

    def aim(self, order: npt.NDArray[np.int64]) -> None:
        ids = self.records.ids
        self.aimed = [(ids[i],) for i in order.tolist()]
        self.aimed_json = str([ids[i] for i in order.tolist()])

    def get_many(self) -> Bytes2D:
        return self.records.together(self.get_each())

    def get_each(self) -> list[bytes]:
        execute = self.connection.execute
        return [execute(self._GET, key).fetchone()[0] for key in self.aimed]

    def scan(self) -> Bytes2D:
        rows = self.connection.execute("SELECT tle FROM catalog")
        return self.records.together(map(itemgetter(0), rows))

    def close(self) -> None:
        self.connection.close()


class SqliteJoinStore(SqliteStore):
    """The same, but a batch of gets is one statement: SQLite's loop instead of Python's."""

    name = "sqlite3 join"

    def get_many(self) -> Bytes2D:
        rows = self.connection.execute(
            "SELECT c.tle FROM json_each(?) AS wanted CROSS JOIN catalog AS c "
            "ON c.id = wanted.value ORDER BY wanted.key",
            (self.aimed_json,),
        )
        return self.records.together(map(itemgetter(0), rows))


class LmdbStore(Store):
    """LMDB, one file, big-endian integer keys, reads in one held snapshot."""

    name = "LMDB"

    def __init__(self, folder: Path, records: Records) -> None:
        import lmdb  # a peer: the lab runs without it

        super().__init__(folder, records)
        self.environment = lmdb.open(
            str(folder / "registry.mdb"),
            subdir=False,
            map_size=max(1 << 26, 8 * records.bytes2d.nbytes),
            sync=False,
            metasync=False,
            lock=False,
        )
        self.snapshot: Any = None

    def insert_many(self) -> None:
        with self.environment.begin(write=True) as transaction:
            transaction.cursor().putmulti(self.records.by_key, append=True)

    def insert_each(self) -> None:
        with self.environment.begin(write=True) as transaction:
            put = transaction.put
            for key, value in self.records.by_key:
                put(key, value)

    def aim(self, order: npt.NDArray[np.int64]) -> None:
        keys = self.records.keys
        self.aimed = [keys[i] for i in order.tolist()]
        self.snapshot = self.environment.begin()

    def get_many(self) -> Bytes2D:
        return self.records.together(self.get_each())

    def get_each(self) -> list[bytes]:
        get = self.snapshot.get
        return [get(key) for key in self.aimed]

    def scan(self) -> Bytes2D:
        snapshot = self.snapshot or self.environment.begin()
        return self.records.together(snapshot.cursor().iternext(keys=False, values=True))

    def close(self) -> None:
        if self.snapshot is not None:
            self.snapshot.abort()
        self.environment.close()
