"""What criterion 1 races against: one table of sqlite3, as fast as it goes row by row.

Runs in its own, trusted worker. Standard library only.
"""

from __future__ import annotations

import sqlite3


class LsmEngine:
    """BLOBs by key; journal and syncing off, one transaction."""

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode=off", "synchronous=off"):
            self._connection.execute(f"pragma {pragma}")
        self._connection.execute("create table records (key blob primary key, value blob)")
        self._connection.execute("begin")
        self._execute = self._connection.execute

    def put(self, key: bytes, value: bytes) -> None:
        self._execute("insert or replace into records values (?, ?)", (key, value))

    def flush(self) -> None:
        """Write everything to the file; not synced."""
        self._execute("commit")
        self._execute("begin")

    def close(self) -> None:
        self._connection.close()
