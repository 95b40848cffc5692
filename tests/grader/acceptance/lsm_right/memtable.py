"""Rows in a list that is always sorted."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from .keys import MISSING, TOMBSTONE, Found, Row, Tombstone


class MemTable:
    def __init__(self, size_limit: int = 4 << 20) -> None:
        self.size_limit = size_limit
        self.keys: list[bytes] = []
        self.values: list[bytes | Tombstone] = []
        self.size_bytes = 0

    def put(self, key: bytes, value: bytes) -> None:
        self._set(key, value, len(value))

    def delete(self, key: bytes) -> None:
        self._set(key, TOMBSTONE, 0)

    def _set(self, key: bytes, value: bytes | Tombstone, size: int) -> None:
        at = bisect_left(self.keys, key)
        if at < len(self.keys) and self.keys[at] == key:
            old = self.values[at]
            self.size_bytes += size - (len(old) if isinstance(old, bytes) else 0)
            self.values[at] = value
        else:
            self.keys.insert(at, key)
            self.values.insert(at, value)
            self.size_bytes += len(key) + size

    def get(self, key: bytes) -> Found:
        at = bisect_left(self.keys, key)
        return self.values[at] if self.keys[at : at + 1] == [key] else MISSING

    def items(self, lo: bytes | None = None, hi: bytes | None = None) -> list[Row]:
        start = 0 if lo is None else bisect_left(self.keys, lo)
        end = len(self.keys) if hi is None else bisect_right(self.keys, hi)
        return list(zip(self.keys[start:end], self.values[start:end], strict=True))

    @property
    def should_flush(self) -> bool:
        return not self.size_bytes < self.size_limit

    def __len__(self) -> int:
        return len(self.keys)
