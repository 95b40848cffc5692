"""The index of the catalogue three times, behind one set of methods: ours, SQLite's, LMDB's.

Each is used as its manual advises for speed without durability: journal and sync off, statements
in one transaction, a cache that holds everything unless the row says otherwise. Inputs are made
before the clock starts in the form the store likes best. What ends in arrays does so on every
side, inside the clock; other results are compared after it.
"""

from __future__ import annotations

import shutil
import sqlite3
import struct
import tempfile
import weakref
from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from meridian.database.btree import BPlusTree
from meridian.database.storage import BufferPool, PageFile, RecordId

__all__ = ["Entries", "LmdbIndex", "MeridianIndex", "SqliteIndex", "Store"]

Keys = npt.NDArray[np.uint32]
Rids = npt.NDArray[np.uint64]
Pairs = list[tuple[int, int]]

BATCH = 10_000  # keys of one `put_many`
COLD = 10  # a cold store has memory for a tenth of its pages
_PAGE = 4096
_KEY, _RID = struct.Struct("=I"), struct.Struct("=Q")


class Entries:
    """Keys and record ids in every form a store may want, made once, and a folder for files."""

    def __init__(self, count: int, asked: int, seed: int = 0) -> None:
        """`count` random keys; what is asked for are `asked` of them, in random order."""
        rng = np.random.default_rng(seed)
        keys = np.unique(rng.integers(0, 2**32, count + count // 8 + 8).astype(np.uint32))
        self.keys: Keys = np.sort(rng.permutation(keys)[:count])
        self.rids: Rids = rng.integers(0, 2**40, count).astype(np.uint64)
        self.order = rng.permutation(count)
        self.asked: Keys = self.keys[self.order[:asked]]
        first = max(0, count // 3 - asked // 2)
        last = min(count, first + asked) - 1
        self.lo, self.hi = int(self.keys[first]), int(self.keys[last])
        self.folder = Path(tempfile.mkdtemp(prefix="meridian-bench-"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    @cached_property
    def pairs(self) -> Pairs:
        return list(zip(self.keys.tolist(), self.rids.tolist(), strict=True))

    @cached_property
    def shuffled(self) -> Pairs:
        return [self.pairs[i] for i in self.order.tolist()]

    @cached_property
    def records_shuffled(self) -> list[tuple[int, RecordId]]:
        return [(key, RecordId.unpack(rid)) for key, rid in self.shuffled]

    @cached_property
    def packed(self) -> list[tuple[bytes, bytes]]:
        return [(_KEY.pack(key), _RID.pack(rid)) for key, rid in self.pairs]

    @cached_property
    def packed_shuffled(self) -> list[tuple[bytes, bytes]]:
        return [self.packed[i] for i in self.order.tolist()]


class Store(ABC):
    """What the races ask of an index, empty or holding `entries`."""

    name: str

    def __init__(self, entries: Entries, path: Path, *, cold: bool = False) -> None:
        self.entries = entries
        self.path = path
        self.open(cold)

    @classmethod
    def empty(cls, entries: Entries) -> Store:
        """An empty one, in a file of its own; what it may want is made."""
        assert entries.pairs
        assert entries.packed_shuffled
        assert entries.records_shuffled
        folder = Path(tempfile.mkdtemp(dir=entries.folder))
        return cls(entries, folder / "index")

    @classmethod
    def full(cls, entries: Entries, *, cold: bool = False) -> Store:
        """Loaded and in memory, or with memory for a tenth of it. One file serves all calls."""
        path = entries.folder / cls.name
        if not path.exists():
            store = cls(entries, path)
            store.bulk_load()
            store.close()
        store = cls(entries, path, cold=cold)
        store.warm()
        return store

    @abstractmethod
    def open(self, cold: bool) -> None: ...

    @abstractmethod
    def warm(self) -> None: ...

    @abstractmethod
    def bulk_load(self) -> None: ...

    @abstractmethod
    def get_each(self) -> list[Any]: ...

    @abstractmethod
    def get_many(self) -> Rids: ...

    @abstractmethod
    def arrays(self) -> tuple[Keys, Rids]: ...

    @abstractmethod
    def walk(self) -> Any: ...

    @abstractmethod
    def put_batches(self) -> None: ...

    @abstractmethod
    def put_each(self) -> None: ...

    @abstractmethod
    def close(self) -> None: ...

    def content(self) -> Pairs:
        """All entries, for the comparison."""
        entries, self.entries = self.entries, Entries.__new__(Entries)
        self.entries.lo, self.entries.hi = 0, 2**32 - 1
        try:
            keys, rids = self.arrays()
        finally:
            self.entries = entries
        return list(zip(keys.tolist(), rids.tolist(), strict=True))


class MeridianIndex(Store):
    """`BPlusTree` on a pool of its own."""

    name = "meridian"

    def open(self, cold: bool) -> None:
        pages = len(self.entries.keys) // 150 + 64
        self.file = PageFile(self.path, _PAGE)
        frames = max(16, self.file.page_count // COLD) if cold else pages
        self.pool = BufferPool(self.file, frames)
        self.tree = BPlusTree(self.pool)
        self.asked_each = self.entries.asked.tolist()

    def warm(self) -> None:
        self.tree.range_arrays()
        self.get_each()

    def bulk_load(self) -> None:
        self.tree.bulk_load(self.entries.keys, self.entries.rids)
        self.pool.flush_all()

    def get_each(self) -> list[Any]:
        get = self.tree.get
        return [get(key) for key in self.asked_each]

    def get_many(self) -> Rids:
        return self.tree.get_many(self.entries.asked)

    def arrays(self) -> tuple[Keys, Rids]:
        return self.tree.range_arrays(self.entries.lo, self.entries.hi)

    def walk(self) -> Any:
        return list(self.tree.items(self.entries.lo, self.entries.hi))

    def walk_records(self) -> Any:
        return list(self.tree.range(self.entries.lo, self.entries.hi))

    def put_batches(self) -> None:
        entries = self.entries
        for start in range(0, len(entries.order), BATCH):
            some = entries.order[start : start + BATCH]
            self.tree.put_many(entries.keys[some], entries.rids[some])
        self.pool.flush_all()

    def put_each(self) -> None:
        upsert = self.tree.upsert
        for key, rid in self.entries.records_shuffled:
            upsert(key, rid)
        self.pool.flush_all()

    def close(self) -> None:
        self.pool.close()
        self.file.close()


class SqliteIndex(Store):
    """A table keyed by rowid."""

    name = "sqlite3"

    def open(self, cold: bool) -> None:
        self.connection = sqlite3.connect(self.path, isolation_level=None)
        execute = self.connection.execute
        execute(f"PRAGMA page_size = {_PAGE}")
        (pages,) = execute("PRAGMA page_count").fetchone()
        cache = max(16, pages // COLD) if cold else -400_000
        for setting in (
            "journal_mode = OFF",
            "synchronous = OFF",
            "locking_mode = EXCLUSIVE",
            f"cache_size = {cache}",
        ):
            execute(f"PRAGMA {setting}")
        execute("CREATE TABLE IF NOT EXISTS entry (k INTEGER PRIMARY KEY, v INTEGER NOT NULL)")
        execute("CREATE TEMP TABLE wanted (k INTEGER)")
        self.asked_each = [(key,) for key in self.entries.asked.tolist()]

    def warm(self) -> None:
        self.connection.execute("SELECT sum(v) FROM entry").fetchone()
        self.get_each()

    def _in_transaction(self, pairs: Pairs) -> None:
        execute = self.connection.execute
        execute("BEGIN")
        self.connection.executemany("INSERT OR REPLACE INTO entry VALUES (?, ?)", pairs)
        execute("COMMIT")

    def bulk_load(self) -> None:
        self._in_transaction(self.entries.pairs)

    def get_each(self) -> list[Any]:
        execute, get = self.connection.execute, "SELECT v FROM entry WHERE k = ?"
        return [execute(get, key).fetchone()[0] for key in self.asked_each]

    def get_many(self) -> Rids:
        execute = self.connection.execute
        execute("BEGIN")
        execute("DELETE FROM wanted")
        self.connection.executemany("INSERT INTO wanted VALUES (?)", self.asked_each)
        rows = execute(
            "SELECT v FROM wanted CROSS JOIN entry ON entry.k = wanted.k ORDER BY wanted.rowid"
        )
        found = np.fromiter((v for (v,) in rows), np.uint64)
        execute("COMMIT")
        return found

    def _range(self) -> sqlite3.Cursor:
        bounds = (self.entries.lo, self.entries.hi)
        return self.connection.execute(
            "SELECT k, v FROM entry WHERE k BETWEEN ? AND ? ORDER BY k", bounds
        )

    def arrays(self) -> tuple[Keys, Rids]:
        rows = np.array(self._range().fetchall(), np.uint64).reshape(-1, 2)
        return rows[:, 0].astype(np.uint32), np.ascontiguousarray(rows[:, 1])

    def walk(self) -> Any:
        return self._range().fetchall()

    def put_batches(self) -> None:
        pairs = self.entries.shuffled
        for start in range(0, len(pairs), BATCH):
            self._in_transaction(pairs[start : start + BATCH])

    def put_each(self) -> None:
        execute = self.connection.execute
        execute("BEGIN")
        for pair in self.entries.shuffled:
            execute("INSERT OR REPLACE INTO entry VALUES (?, ?)", pair)
        execute("COMMIT")

    def close(self) -> None:
        self.connection.close()


class LmdbIndex(Store):
    """LMDB with integer keys, reads in one held snapshot."""

    name = "LMDB"

    def open(self, cold: bool) -> None:
        import lmdb  # a peer: the lab runs without it

        del cold  # LMDB has no cache of its own
        self.environment = lmdb.open(
            str(self.path),
            subdir=False,
            map_size=max(1 << 26, 200 * len(self.entries.keys)),
            max_dbs=1,
            sync=False,
            metasync=False,
            lock=False,
        )
        self.database = self.environment.open_db(b"entry", integerkey=True)
        self.asked_each = [_KEY.pack(key) for key in self.entries.asked.tolist()]
        self.snapshot = self.environment.begin(db=self.database)

    def warm(self) -> None:
        for _ in self.snapshot.cursor():
            pass

    def _write(self, pairs: list[tuple[bytes, bytes]], *, append: bool = False) -> None:
        with self.environment.begin(db=self.database, write=True) as transaction:
            transaction.cursor().putmulti(pairs, append=append)

    def bulk_load(self) -> None:
        self._write(self.entries.packed, append=True)
        self._look_again()

    def get_each(self) -> list[Any]:
        get = self.snapshot.get
        return [get(key) for key in self.asked_each]

    def get_many(self) -> Rids:
        pairs = self.snapshot.cursor().getmulti(self.asked_each)
        return np.frombuffer(b"".join([value for _, value in pairs]), np.uint64)

    def _range(self) -> Any:
        """The pairs in the range: a cursor knows no end, so its rows are counted beforehand."""
        cursor, entries = self.snapshot.cursor(), self.entries
        cursor.set_range(_KEY.pack(entries.lo))
        return cursor.iternext(keys=True, values=True)

    def _rows(self) -> list[tuple[bytes, bytes]]:
        last = _KEY.pack(self.entries.hi)
        rows = []
        for pair in self._range():
            rows.append(pair)
            if pair[0] == last:
                break
        return rows

    def arrays(self) -> tuple[Keys, Rids]:
        rows = self._rows()
        keys = np.frombuffer(b"".join([key for key, _ in rows]), np.uint32)
        return keys, np.frombuffer(b"".join([value for _, value in rows]), np.uint64)

    def walk(self) -> Any:
        return self._rows()

    def put_batches(self) -> None:
        pairs = self.entries.packed_shuffled
        for start in range(0, len(pairs), BATCH):
            self._write(pairs[start : start + BATCH])
        self._look_again()

    def put_each(self) -> None:
        with self.environment.begin(db=self.database, write=True) as transaction:
            put = transaction.put
            for key, rid in self.entries.packed_shuffled:
                put(key, rid)
        self._look_again()

    def _look_again(self) -> None:
        self.snapshot.abort()
        self.snapshot = self.environment.begin(db=self.database)

    def close(self) -> None:
        self.snapshot.abort()
        self.environment.close()
