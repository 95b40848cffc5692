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
        ### BEGIN SOLUTION #2: MemTable.put() - what does writing a key again add to size_bytes?
        rows = self._rows
        old = rows.get(key)
        if old is None:
            self.size_bytes += len(key) + len(value)
        else:
            self.size_bytes += len(value) - (0 if old is TOMBSTONE else len(old))  # type: ignore[arg-type]
        rows[key] = value
        ### END SOLUTION

    def delete(self, key: bytes) -> None:
        """Store a tombstone, whether or not the key is known here: it may be in a file."""
        ### BEGIN SOLUTION #2, #5: MemTable.delete() - a tombstone, and its size
        old = self._rows.get(key)
        if old is None:
            self.size_bytes += len(key)
        elif not isinstance(old, Tombstone):
            self.size_bytes -= len(old)
        self._rows[key] = TOMBSTONE
        ### END SOLUTION

    def get(self, key: bytes) -> Found:
        """The value, TOMBSTONE, or MISSING."""
        ### BEGIN SOLUTION #3: MemTable.get() - three outcomes
        return self._rows.get(key, MISSING)
        ### END SOLUTION

    def items(self, lo: bytes | None = None, hi: bytes | None = None) -> list[Row]:
        """A sorted copy of the rows with lo <= key <= hi; later writes do not change it."""
        ### BEGIN SOLUTION #2, #3: MemTable.items() - copy before sorting: a writer may go on
        rows = list(self._rows.items())
        if lo is not None or hi is not None:
            rows = [r for r in rows if (lo is None or lo <= r[0]) and (hi is None or r[0] <= hi)]
        rows.sort(key=_key)
        return rows
        ### END SOLUTION

    @property
    def should_flush(self) -> bool:
        return self.size_bytes >= self.size_limit

    def __len__(self) -> int:
        return len(self._rows)


def _key(row: Row) -> bytes:
    return row[0]
