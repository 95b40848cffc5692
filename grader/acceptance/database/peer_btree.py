"""What criterion 8 races against: one table of sqlite3, its own B-tree, as fast as it goes.

Runs in its own, trusted worker. Standard library only.
"""

from __future__ import annotations

import os
import sqlite3
from typing import Any


class Racer:
    """Record ids by key; journal and syncing off, one transaction from flush to flush.

    An integer primary key is the table's own tree. The cache has room for all pages, as the
    submission's pool has.
    """

    def __init__(self, path: str) -> None:
        if os.path.exists(path):
            os.unlink(path)
        self._connection = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode=off", "synchronous=off", "cache_size=-400000"):
            self._connection.execute(f"pragma {pragma}")
        self._connection.execute(
            "create table tree (key integer primary key, page integer, slot integer)"
        )
        self._connection.execute("begin")
        self._rows: list[tuple[int, int, int]] = []
        self._keys: list[tuple[int]] = []
        self._found: list[Any] = []

    def deal(self, keys: list[int], rids: list[int]) -> None:
        """Lay out what the next `insert` inserts."""
        pairs = zip(keys, rids, strict=True)
        self._rows = [(key, rid >> 16, rid & 0xFFFF) for key, rid in pairs]

    def ask(self, keys: list[int]) -> None:
        """Lay out what the next `get` looks up."""
        self._keys = [(key,) for key in keys]

    def insert(self) -> None:
        """Insert row by row, then write everything to the file; not synced."""
        execute = self._connection.execute
        for row in self._rows:
            execute("insert into tree values (?, ?, ?)", row)
        execute("commit")
        execute("begin")

    def get(self) -> None:
        """Look up key by key."""
        execute = self._connection.execute
        self._found = [
            execute("select page, slot from tree where key = ?", key).fetchone()
            for key in self._keys
        ]

    def found(self) -> list[int]:
        """Packed record ids that the last `get` found."""
        return [page << 16 | slot for page, slot in self._found]

    def close(self) -> None:
        self._connection.close()
