"""What was written lately, in memory: a dict, sorted only when somebody needs the order."""

from __future__ import annotations

from .keys import MISSING, TOMBSTONE, Found, Row, Tombstone


class MemTable:
    """The newest version of each key, until there is enough of them for a file.

    Attribute `size_bytes`: key and value bytes of what is in it now (a tombstone: its key alone).
    Writing a key again changes it by the difference, so that a hot key fills no table.
    """

    def __init__(self, size_limit: int = 4 << 20) -> None:
        self.size_limit = size_limit
        self.size_bytes = 0
        self._rows: dict[bytes, bytes | Tombstone] = {}

    def put(self, key: bytes, value: bytes) -> None:
        """Store `value`, instead of what was there."""
        raise NotImplementedError(
            "database/03-lsm #2: MemTable.put() - what does writing a key again add to size_bytes?"
        )

    def delete(self, key: bytes) -> None:
        """Store a tombstone, whether or not the key is known here: it may be in a file."""
        raise NotImplementedError(
            "database/03-lsm #2, #5: MemTable.delete() - a tombstone, and its size"
        )

    def get(self, key: bytes) -> Found:
        """The value, TOMBSTONE, or MISSING."""
        raise NotImplementedError("database/03-lsm #3: MemTable.get() - three outcomes")

    def items(self, lo: bytes | None = None, hi: bytes | None = None) -> list[Row]:
        """A sorted copy of the rows with lo <= key <= hi; later writes do not change it."""
        raise NotImplementedError(
            "database/03-lsm #2, #3: MemTable.items() - copy before sorting: a writer may go on"
        )

    @property
    def should_flush(self) -> bool:
        return self.size_bytes >= self.size_limit

    def __len__(self) -> int:
        return len(self._rows)


def _key(row: Row) -> bytes:
    return row[0]
