"""Several writes that count together or not at all."""

from __future__ import annotations

from collections.abc import Iterator

from meridian.database.lsm.types import TOMBSTONE, Buffer, Value, checked_key, checked_value

__all__ = ["WriteBatch"]


class WriteBatch:
    """Collect puts and deletes for `LsmEngine.write`; later ones go over earlier ones.

    What is wrong with a key or value is said at once, so that a batch can only be whole.
    """

    __slots__ = ("_entries", "nbytes")

    nbytes: int
    """Keys and values, as they were given."""

    def __init__(self) -> None:
        self._entries: list[tuple[bytes, Value]] = []
        self.nbytes = 0

    def put(self, key: Buffer, value: Buffer) -> WriteBatch:
        """Store `value` under `key`. Raises `TypeError` and `ValueError` for what cannot be."""
        pair = checked_key(key), checked_value(value)
        self._entries.append(pair)
        self.nbytes += len(pair[0]) + len(pair[1])
        return self

    def delete(self, key: Buffer) -> WriteBatch:
        """Delete `key`, whether it is there or not."""
        key = checked_key(key)
        self._entries.append((key, TOMBSTONE))
        self.nbytes += len(key)
        return self

    def clear(self) -> None:
        self._entries.clear()
        self.nbytes = 0

    def __len__(self) -> int:
        """How many writes."""
        return len(self._entries)

    def __iter__(self) -> Iterator[tuple[bytes, Value]]:
        return iter(self._entries)

    def __repr__(self) -> str:
        return f"<WriteBatch of {len(self):,}: {self.nbytes:,} bytes>"
