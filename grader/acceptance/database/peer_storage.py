"""What criterion 8 races against: one table of sqlite3, as fast as it goes row by row.

Runs in its own, trusted worker. Standard library only.
"""

from __future__ import annotations

import sqlite3


class Table:
    """BLOBs by rowid; journal and syncing off, one open transaction from flush to flush.

    `cache_kib` is sqlite3's page cache, 2,000 KiB as it comes; a race of reads gives it room for
    all pages, as the submission's pool has.
    """

    def __init__(self, path: str, cache_kib: int = 2_000) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode=off", "synchronous=off", f"cache_size=-{cache_kib}"):
            self._connection.execute(f"pragma {pragma}")
        self._connection.execute("create table records (id integer primary key, record blob)")
        self._connection.execute("begin")
        self._execute = self._connection.execute

    def insert(self, record: bytes) -> int | None:
        """Store one row, return its rowid."""
        return self._execute("insert into records (record) values (?)", (record,)).lastrowid

    def flush(self) -> None:
        """Write everything to the file, as `BufferPool.flush_all` does; not synced either."""
        self._execute("commit")
        self._execute("begin")

    def get(self, key: int) -> bytes:
        """The record with this rowid."""
        row = self._execute("select record from records where id = ?", (key,)).fetchone()
        return bytes(row[0])
