"""Tables of another layout: rows one after the other, index and filter in a file of their own."""

from __future__ import annotations

import json
import os
import weakref
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from .bloom import BloomFilter
from .cache import BlockCache
from .codec import BLOCK_BYTES, MAGIC, Entries, SstMeta, table_id
from .errors import CorruptTable, OutOfOrder
from .keys import MISSING, TOMBSTONE, Found, Row, Tombstone
from .manifest import sync_folder


@dataclass
class Counters:
    gets: int = 0
    bloom_checked: int = 0
    bloom_skipped: int = 0
    block_reads: int = 0


def _beside(path: str) -> str:
    return os.path.splitext(path)[0] + ".idx"


class SsTableBuilder:
    def __init__(
        self,
        path: str | os.PathLike[str],
        block_size: int = BLOCK_BYTES,
        bits_per_key: int = 10,
    ) -> None:
        self.path, self.block_size, self.bits_per_key = os.fspath(path), block_size, bits_per_key
        self.rows: list[Row] = []
        self.size_bytes = 0

    def add(self, key: bytes, value: bytes | Tombstone) -> None:
        if self.rows and key <= self.rows[-1][0]:
            raise OutOfOrder(self.rows[-1][0], key)
        self.rows.append((key, value))
        self.size_bytes += len(key) + (0 if isinstance(value, Tombstone) else len(value))

    def finish(self) -> SstMeta:
        if not self.rows:
            raise ValueError("no rows")
        body, chunk, spans, first = bytearray(), bytearray(), [], self.rows[0][0]
        for key, value in self.rows:
            if len(chunk) > self.block_size // 2:
                spans.append([first.hex(), len(body), len(chunk), zlib.crc32(chunk)])
                body += chunk
                chunk, first = bytearray(), key
            dead = isinstance(value, Tombstone)
            data = b"" if isinstance(value, Tombstone) else value
            chunk += (
                b"%c%c" % (dead, 0) + len(key).to_bytes(4, "big") + len(data).to_bytes(4, "big")
            )
            chunk += key + data
        spans.append([first.hex(), len(body), len(chunk), zlib.crc32(chunk)])
        body += chunk
        bloom = BloomFilter(len(self.rows), self.bits_per_key)
        for key, _ in self.rows:
            bloom.insert(key)
        facts = {
            "entries": len(self.rows),
            "tombstones": sum(value is TOMBSTONE for _, value in self.rows),
            "first": self.rows[0][0].hex(),
            "last": self.rows[-1][0].hex(),
            "spans": spans,
            "filter": bloom.to_bytes().hex(),
        }
        self._write(_beside(self.path), json.dumps(facts).encode())
        self._write(self.path, bytes(body) + MAGIC)
        sync_folder(os.path.dirname(self.path) or ".")
        return SsTableReader(self.path).meta

    def abort(self) -> None:
        self.rows = []

    def _write(self, path: str, data: bytes) -> None:
        with open(path + ".tmp", "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.rename(path + ".tmp", path)


class SsTableReader:
    def __init__(
        self,
        path: str | os.PathLike[str],
        counters: Counters | None = None,
        cache: BlockCache | None = None,
    ) -> None:
        self.path, self.cache, self.counters = os.fspath(path), cache, counters or Counters()
        self._fd = os.open(self.path, os.O_RDONLY)
        self._finalize = weakref.finalize(self, os.close, self._fd)
        with open(_beside(self.path), encoding="ascii") as file:
            facts = json.load(file)
        size_bytes = os.fstat(self._fd).st_size
        if os.pread(self._fd, 8, size_bytes - 8) != MAGIC:
            raise CorruptTable(self.path, "the magic")
        self.bloom = BloomFilter.from_bytes(bytes.fromhex(facts["filter"]))
        self._spans = facts["spans"]
        self._firsts = [bytes.fromhex(span[0]) for span in self._spans]
        ends = bytes.fromhex(facts["first"]), bytes.fromhex(facts["last"])
        counts = facts["entries"], facts["tombstones"]
        self.meta = SstMeta(table_id(self.path), *counts, *ends, size_bytes)

    def get(self, key: bytes) -> Found:
        if key < self.meta.min_key or self.meta.max_key < key:
            return MISSING
        self.counters.bloom_checked += 1
        if not self.bloom.may_contain(key):
            self.counters.bloom_skipped += 1
            return MISSING
        rows = self._rows(bisect_right(self._firsts, key) - 1)
        return dict(rows).get(key, MISSING)

    def iter(self, lo: bytes | None = None, hi: bytes | None = None) -> Iterator[Row]:
        for number in range(len(self._spans)):
            rows = self._rows(number, keep=False)
            keys = [key for key, _ in rows]
            start = 0 if lo is None else bisect_left(keys, lo)
            yield from rows[start : len(keys) if hi is None else bisect_right(keys, hi)]

    def close(self) -> None:
        self._finalize()

    def _rows(self, number: int, *, keep: bool = True) -> list[Row]:
        _, offset, length, crc = self._spans[number]
        kept = self.cache.get(self.meta.sst_id, offset) if self.cache else None
        if kept is None:
            self.counters.block_reads += 1
            raw = os.pread(self._fd, length, offset)
            if zlib.crc32(raw) != crc:
                raise CorruptTable(self.path, "a chunk")
            kept = Entries(raw, ())
            if self.cache and keep:
                self.cache.put(self.meta.sst_id, offset, kept)
        raw, at, rows = kept.raw, 0, []
        while at < len(raw):
            dead = raw[at]
            keys = int.from_bytes(raw[at + 2 : at + 6], "big")
            values = int.from_bytes(raw[at + 6 : at + 10], "big")
            middle = at + 10 + keys
            row = raw[at + 10 : middle], TOMBSTONE if dead else raw[middle : middle + values]
            rows.append(row)
            at = middle + values
        return rows
