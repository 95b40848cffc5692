"""What was written last: a dict, put in order only when someone asks for order."""

from __future__ import annotations

import sys
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from itertools import islice, repeat

from meridian.checks import checked_int
from meridian.database.lsm.arenas import Strings
from meridian.database.lsm.columns import Columns
from meridian.database.lsm.errors import FrozenError
from meridian.database.lsm.records import Records
from meridian.database.lsm.sorted_keys import SortedKeys
from meridian.database.lsm.types import (
    MAX_KEY,
    MAX_VALUE,
    MISSING,
    TOMBSTONE,
    Buffer,
    Found,
    Value,
    checked_key,
    checked_value,
)

__all__ = ["MemTable"]


class MemTable:
    """Take writes at the speed of a dict, and answer for what they were.

    A point read needs no order, so none is kept: an ordered map would cost each write three times
    as much. A scan sorts the keys that are new since the last one and merges them in; `freeze`
    sorts everything, in compiled code.

    Any thread may call anything. A write and a scan take `lock`, a `get` takes none. An engine may
    give its own lock to all its tables; while it holds it, it calls `store` and `seal`.
    """

    __slots__ = (
        "_columns",
        "_entries",
        "_freezing",
        "_keys",
        "frozen",
        "lock",
        "max_lsn",
        "min_lsn",
        "size_bytes",
        "size_limit",
        "table_id",
        "tombstones",
    )

    size_bytes: int
    """Bytes of the keys and values that count: an overwritten value does not, a tombstone is empty.
    """
    tombstones: int
    min_lsn: int
    """The oldest write in it, 0 if none had a number."""
    max_lsn: int
    """The newest, likewise."""
    frozen: bool
    """Whether it takes no more writes."""

    def __init__(
        self,
        size_limit: int = 4 << 20,
        *,
        table_id: int = 0,
        lock: AbstractContextManager[object] | None = None,
    ) -> None:
        """An empty one that should be flushed when it holds `size_limit` bytes.

        Raises `TypeError` for what is no int, `ValueError` for a limit below 1.
        """
        self.size_limit = checked_int("size_limit", size_limit, least=1)
        self.table_id = checked_int("table_id", table_id)
        self.lock = threading.Lock() if lock is None else lock
        self.size_bytes = self.tombstones = self.min_lsn = self.max_lsn = 0
        self.frozen = False
        self._entries: dict[bytes, Value] = {}
        self._keys = SortedKeys(self._entries)
        self._columns: Columns | None = None
        self._freezing = threading.Lock()

    def __len__(self) -> int:
        """How many keys, deleted ones included."""
        return len(self._entries)

    def __repr__(self) -> str:
        state = ", frozen" if self.frozen else ""
        return f"MemTable({len(self):,} keys, {self.size_bytes:,} bytes{state})"

    @property
    def should_flush(self) -> bool:
        """Whether it holds as many bytes as it should."""
        return self.size_bytes >= self.size_limit

    @property
    def memory_bytes(self) -> int:
        """What it occupies, about: each key and value is an object, the dict has its own table."""
        keys, values = len(self._entries), len(self._entries) - self.tombstones
        objects = self.size_bytes + (keys + values) * (sys.getsizeof(b"") + 8)  # 8: rounded to 16
        columns = self._columns
        sorted_too = 0 if columns is None else columns.nbytes + 17 * len(columns)
        return sys.getsizeof(self._entries) + objects + sorted_too

    def put(self, key: Buffer, value: Buffer, lsn: int = 0) -> None:
        """Store `value` under `key`; `lsn` is the number of the write, 0 for none.

        Raises `TypeError` and `ValueError` as `checked_key` and `checked_value` do, and
        `FrozenError`; then nothing is changed.
        """
        if type(key) is not bytes or not 0 < len(key) <= MAX_KEY:
            key = checked_key(key)
        if type(value) is not bytes or len(value) > MAX_VALUE:
            value = checked_value(value)
        with self.lock:
            self.store(key, value, lsn)

    def delete(self, key: Buffer, lsn: int = 0) -> None:
        """Store a tombstone, though the key be unknown here: an older table may hold it."""
        key = checked_key(key)
        with self.lock:
            self.store(key, TOMBSTONE, lsn)

    def store(self, key: bytes, value: Value, lsn: int = 0) -> None:
        """`put` or `delete`, for one who holds `lock` and has checked key and value."""
        if self.frozen:
            raise FrozenError(self.table_id)
        if lsn != 0:
            self._count_lsns(lsn, 1)
        entries, dead = self._entries, 0
        old = entries.get(key)
        if value is TOMBSTONE:
            dead, grown = 1, 0
        else:
            grown = len(value)
        if old is None:
            grown += len(key)
        elif old is TOMBSTONE:
            dead -= 1
        else:
            grown -= len(old)
        # From here on nothing is called, so no interrupt can strike between.
        entries[key] = value
        self.size_bytes += grown
        if dead:
            self.tombstones += dead

    def put_many(self, keys: Strings, values: Strings, lsn: int = 0) -> int:
        """Store values under keys, up to the one that fills the table; how many that were.

        So one who goes on with the rest in the next table fills tables as with single puts. Even
        a full table takes one. Keys and values are rows, uint8 (n, w), or sequences of bytes, and
        of a key that comes twice the later value counts. `lsn` is the number of the first; the
        others follow.

        Raises as `put` does, and `ValueError` unless there are as many values as keys; then
        nothing is changed. Scans see all of them or none.
        """
        records, lsn = Records.puts(keys, values), checked_int("lsn", lsn)
        with self.lock:
            return self.store_many(records, lsn=lsn)

    def delete_many(self, keys: Strings, lsn: int = 0) -> int:
        """Store tombstones, as `put_many` stores values; how many that were."""
        records, lsn = Records.deletes(keys), checked_int("lsn", lsn)
        with self.lock:
            return self.store_many(records, lsn=lsn)

    def store_many(
        self, records: Records, first: int = 0, stop: int | None = None, lsn: int = 0
    ) -> int:
        """`put_many` or `delete_many` of those from `first` to before `stop`, for one who holds
        `lock`; how many were stored."""
        if self.frozen:
            raise FrozenError(self.table_id)
        at, stop = first, len(records.keys) if stop is None else stop
        while at < stop and (at == first or self.size_bytes < self.size_limit):
            # So many fill the table if all keys are new; fewer do not.
            room = self.size_limit - self.size_bytes + records.size_bytes(0, at)
            full = min(stop, bisect_left(records.ends, room, at, stop) + 1)
            new = self._store_new(records, at, full)
            at = full if new else self._store_each(records, at, stop)
        if lsn and at > first:
            self._count_lsns(lsn, at - first)
        return at - first

    def write(self, entries: Iterable[tuple[Buffer, Buffer | Value]], lsn: int = 0) -> int:
        """Store values and tombstones in one step, all of them whatever the limit; how many.

        `lsn` is the number of the first; the others follow. Raises as `put` does; then nothing is
        changed. Scans see all of them or none.
        """
        checked: list[tuple[bytes, Value]] = [
            (checked_key(key), value if value is TOMBSTONE else checked_value(value))
            for key, value in entries
        ]
        lsn, last = checked_int("lsn", lsn), dict(checked)
        with self.lock:
            if self.frozen:
                raise FrozenError(self.table_id)
            if lsn and checked:
                self._count_lsns(lsn, len(checked))
            self._account(last, [*map(self._entries.get, last)])
            self._entries.update(last)  # in one call, which no interrupt divides
        return len(checked)

    def get(self, key: Buffer) -> Found:
        """The value under `key`, `TOMBSTONE` if it was deleted here, `MISSING` if never written.

        Raises `TypeError` and `ValueError` as `checked_key` does.
        """
        if type(key) is not bytes or not 0 < len(key) <= MAX_KEY:
            key = checked_key(key)
        return self._entries.get(key, MISSING)

    def get_many(self, keys: Iterable[bytes]) -> list[Found]:
        """The same for many keys, which are bytes; what cannot be a key is `MISSING`."""
        return [*map(self._entries.get, keys, repeat(MISSING))]

    def items(
        self, lo: Buffer | None = None, hi: Buffer | None = None, *, limit: int | None = None
    ) -> list[tuple[bytes, Value]]:
        """The entries from `lo` to `hi`, both included, in order: the first `limit` of them.

        They are those of one moment, whatever is written meanwhile. None: no bound.
        """
        columns, lo, hi = self._columns, _bound(lo), _bound(hi)
        limit = None if limit is None else checked_int("limit", limit)
        if columns is not None:
            part = _part(columns, lo, hi)
            return [*part[: len(part) if limit is None else limit].items()]
        return [*zip(*self._between(lo, hi, limit), strict=True)]

    def columns(self, lo: Buffer | None = None, hi: Buffer | None = None) -> Columns:
        """The same as columns."""
        columns, lo, hi = self._columns, _bound(lo), _bound(hi)
        if columns is None:
            from meridian.database.lsm.ordering import as_columns, sorted_columns

            if lo is None and hi is None:  # quicker than to look each value up
                with self.lock:
                    keys, values = [*self._entries], [*self._entries.values()]
                return sorted_columns(keys, values)
            return as_columns(*self._between(lo, hi, None))
        return _part(columns, lo, hi)

    def seal(self) -> None:
        """Take no more writes, for one who holds `lock`. What is left of `freeze` can wait."""
        self.frozen = True

    def freeze(self) -> Columns:
        """Take no more writes; everything in order, made once: keys ascend strictly.

        Of a sealed table any thread may ask it, whoever holds `lock`.
        """
        if not self.frozen:
            with self.lock:
                self.seal()
        with self._freezing:
            if self._columns is None:
                from meridian.database.lsm.ordering import sorted_columns

                entries, dead = self._entries, self.tombstones > 0
                self._columns = sorted_columns([*entries], [*entries.values()], tombstones=dead)
            return self._columns

    def _between(
        self, lo: bytes | None, hi: bytes | None, limit: int | None
    ) -> tuple[list[bytes], list[Value]]:
        with self.lock:
            keys = self._keys.between(lo, hi, limit)
            return keys, [*map(self._entries.__getitem__, keys)]

    def _store_new(self, records: Records, first: int, stop: int) -> bool:
        """Store them all at once, if no key is here already; whether it did."""
        entries, before = self._entries, len(self._entries)
        keys = records.keys[first:stop]
        if not entries.keys().isdisjoint(keys):
            return False
        try:
            entries.update(zip(keys, islice(records.values, first, stop), strict=True))
        finally:  # should an interrupt strike: what is there counts
            added = len(entries) - before
            if added == len(keys):
                self.size_bytes += records.size_bytes(first, stop)
                self.tombstones += added if records.values[first] is TOMBSTONE else 0
            else:  # a key came twice
                found = {key: entries[key] for key in keys if key in entries}
                self._account(found, [None] * len(found))
        return True

    def _store_each(self, records: Records, first: int, stop: int) -> int:
        """Store one by one, what is overwritten must be found, until the table is full; the end."""
        for i in range(first, stop):
            self.store(records.keys[i], records.values[i])
            if self.size_bytes >= self.size_limit:
                return i + 1
        return stop

    def _account(self, new: dict[bytes, Value], old: Sequence[Value | None]) -> None:
        """Count `new` entries in the place of `old` values, None where there was none."""
        grown = dead = 0
        for (key, value), before in zip(new.items(), old, strict=True):
            grown += 0 if value is TOMBSTONE else len(value)
            grown += len(key) if before is None else 0 if before is TOMBSTONE else -len(before)
            dead += (value is TOMBSTONE) - (before is TOMBSTONE)
        self.size_bytes += grown
        self.tombstones += dead

    def _count_lsns(self, first: int, count: int) -> None:
        last = checked_int("lsn", first) + count - 1
        if last > self.max_lsn:
            self.max_lsn = last
        if not self.min_lsn or first < self.min_lsn:
            self.min_lsn = first


def _bound(key: Buffer | None) -> bytes | None:
    if key is None or type(key) is bytes:
        return key
    if not isinstance(key, (bytes, bytearray, memoryview)):
        raise TypeError(f"Expected a bound as bytes or None, got {type(key).__name__}")
    return bytes(key)


def _part(columns: Columns, lo: bytes | None, hi: bytes | None) -> Columns:
    rows = range(len(columns))
    first = 0 if lo is None else bisect_left(rows, lo, key=columns.key)
    last = len(rows) if hi is None else bisect_right(rows, hi, key=columns.key)
    return columns[first:last]
