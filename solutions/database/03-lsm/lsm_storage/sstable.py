"""Sorted tables: written once, in order, never changed, read by many.

The bytes are described, packed and unpacked in `codec.py`.
"""

from __future__ import annotations

import os
import weakref
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from .bloom import BloomFilter
from .cache import BlockCache
from .codec import (
    BLOCK_BYTES,
    BLOCK_OVERHEAD,
    CRC,
    FOOTER_BYTES,
    BlockHandle,
    Entries,
    Span,
    SstMeta,
    key_at,
    open_block,
    opened,
    pack_block,
    pack_entry,
    pack_footer,
    pack_index,
    pack_props,
    row_at,
    sealed,
    table_id,
    unpack_footer,
    unpack_index,
    unpack_props,
)
from .errors import CorruptTable, OutOfOrder
from .keys import MISSING, Found, Row, Tombstone
from .manifest import sync_folder


@dataclass
class Counters:
    """What lookups cost; all tables of an engine count in one of these. Given."""

    gets: int = 0
    bloom_checked: int = 0  # a filter was asked: the key lies in the table's range
    bloom_skipped: int = 0  # it said no
    block_reads: int = 0  # from the file, whoever asked


class SsTableBuilder:
    """Writes one table: rows in, blocks out, and at the end what makes it readable.

    Nothing stands under `path` before `finish()` has flushed all of it to the device.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        block_size: int = BLOCK_BYTES,
        bits_per_key: int = 10,
    ) -> None:
        """`block_size` is the most a block may take, with its CRC, unless one entry is larger."""
        if bits_per_key < 1:
            raise ValueError(f"Expected at least 1 bit per key, got {bits_per_key}")
        self.path, self.block_size, self.bits_per_key = os.fspath(path), block_size, bits_per_key
        self.size_bytes = 0  # of the blocks that are written
        self._file = open(self.path + ".tmp", "wb")  # noqa: SIM115 - closed by finish and abort
        self._handles: list[BlockHandle] = []
        self._keys: list[bytes] = []  # all of them: the filter is made last
        self._entries: list[bytes] = []  # of the block that is being filled
        self._block_bytes = BLOCK_OVERHEAD
        self._first_key = b""  # of that block
        self._tombstones = 0

    def add(self, key: bytes, value: bytes | Tombstone) -> None:
        """One more row. `OutOfOrder`, and no file, unless its key is greater than all before."""
        ### BEGIN SOLUTION #3: add() - a full block goes to the file before the row that is too much
        keys = self._keys
        if keys and key <= keys[-1]:
            self.abort()
            raise OutOfOrder(keys[-1], key)
        entry = pack_entry(key, value)
        size = len(entry) + 2
        if self._entries and self._block_bytes + size > self.block_size:
            self._finish_block()
        if not self._entries:
            self._first_key = key
        self._entries.append(entry)
        self._block_bytes += size
        keys.append(key)
        if isinstance(value, Tombstone):
            self._tombstones += 1
        ### END SOLUTION

    def finish(self) -> SstMeta:
        """The last block, index, filter, props, footer; on the device, then under its name.

        Raises `ValueError`, and leaves no file, when there are no rows.
        """
        ### BEGIN SOLUTION #3: finish() - the last block too; fsync, rename, sync_folder
        if not self._keys:
            self.abort()
            raise ValueError(f"{self.path}: a table needs at least one row")
        self._finish_block()
        bloom = BloomFilter(len(self._keys), self.bits_per_key)
        for key in self._keys:
            bloom.insert(key)
        props = pack_props(len(self._keys), self._tombstones, self._keys[0], self._keys[-1])
        index = self._part(pack_index(self._handles))
        filter_ = self._part(bloom.to_bytes())
        self._file.write(pack_footer(index, filter_, self._part(props)))
        self._file.flush()
        os.fsync(self._file.fileno())
        size_bytes = self._file.tell()
        self._file.close()
        os.replace(self.path + ".tmp", self.path)
        sync_folder(os.path.dirname(self.path) or ".")
        return unpack_props(props, table_id(self.path), size_bytes)
        ### END SOLUTION

    def abort(self) -> None:
        """Give up: no file is left behind."""
        self._file.close()
        with suppress(FileNotFoundError):
            os.unlink(self.path + ".tmp")

    ### BEGIN SOLUTION
    def _finish_block(self) -> None:
        """Write the block that is being filled, indexed under its own first and last key."""
        raw = pack_block(self._entries)
        last_key = self._keys[-1]
        self._handles.append(BlockHandle(self._first_key, last_key, self.size_bytes, len(raw)))
        self._file.write(raw)
        self.size_bytes += len(raw)
        self._entries.clear()
        self._block_bytes = BLOCK_OVERHEAD

    def _part(self, body: bytes) -> Span:
        """Write index, filter or props."""
        at = self._file.tell()
        self._file.write(sealed(body))
        return at, len(body)

    ### END SOLUTION


class SsTableReader:
    """Reads one table. Index, filter and props are read once and kept; a lookup reads one block.

    The file closes when nobody refers to the reader any more, so that a scan that runs while its
    tables are merged away reads on. Attributes: `meta`, `bloom` (the table's `BloomFilter`).
    Raises `CorruptTable` for bytes that are no table.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        counters: Counters | None = None,
        cache: BlockCache | None = None,
    ) -> None:
        self.path, self._cache = os.fspath(path), cache
        self.counters = counters or Counters()
        self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        self._close = weakref.finalize(self, os.close, self._fd)
        size_bytes = os.fstat(self._fd).st_size
        ### BEGIN SOLUTION #3: opening a table - the footer says where index, filter and props are
        tail = os.pread(self._fd, FOOTER_BYTES, max(0, size_bytes - FOOTER_BYTES))
        index, filter_, props = unpack_footer(tail, self.path)
        self._index = unpack_index(self._part(index, "the index"))
        self._last_keys = [handle.last_key for handle in self._index]
        self.bloom = BloomFilter.from_bytes(self._part(filter_, "the filter"))
        self.meta = unpack_props(self._part(props, "the props"), table_id(self.path), size_bytes)
        ### END SOLUTION

    def get(self, key: bytes) -> Found:
        """The value, TOMBSTONE, or MISSING: range, then filter, then at most one block.

        Counts `bloom_checked` when the filter is asked, `bloom_skipped` when it says no.
        """
        ### BEGIN SOLUTION #3, #4: SsTableReader.get() - range, filter, index, block: in this order
        meta, counters = self.meta, self.counters
        if not meta.min_key <= key <= meta.max_key:
            return MISSING
        counters.bloom_checked += 1
        if not self.bloom.may_contain(key):
            counters.bloom_skipped += 1
            return MISSING
        handle = self._index[bisect_left(self._last_keys, key)]
        if key < handle.first_key:
            return MISSING
        block = self._block(handle)
        at = _first_at_least(block, key)
        if at < len(block.offsets):
            found, value = row_at(block, at)
            if found == key:
                return value
        return MISSING
        ### END SOLUTION

    def iter(self, lo: bytes | None = None, hi: bytes | None = None) -> Iterator[Row]:
        """Rows with lo <= key <= hi, tombstones too, ascending."""
        ### BEGIN SOLUTION #3: SsTableReader.iter() - from the first block that can hold lo
        start = 0 if lo is None else bisect_left(self._last_keys, lo)
        for handle in self._index[start:]:
            block = self._block(handle, keep=False)
            first = 0 if lo is None else _first_at_least(block, lo)
            lo = None  # only the first block begins before it
            for number in range(first, len(block.offsets)):
                row = row_at(block, number)
                if hi is not None and row[0] > hi:
                    return
                yield row
        ### END SOLUTION

    def close(self) -> None:
        """Close the file now. Closing twice is harmless."""
        self._close()

    ### BEGIN SOLUTION
    def _block(self, handle: BlockHandle, *, keep: bool = True) -> Entries:
        """A checked block; scans `keep` none, or they would push out what lookups need."""
        cache = self._cache
        if cache is not None and (block := cache.get(self.meta.sst_id, handle.offset)) is not None:
            return block
        self.counters.block_reads += 1
        block = open_block(os.pread(self._fd, handle.length, handle.offset), self.path)
        if cache is not None and keep:
            cache.put(self.meta.sst_id, handle.offset, block)
        return block

    def _part(self, span: Span, name: str) -> bytes:
        offset, length = span
        raw = os.pread(self._fd, length + CRC.size, offset)
        if len(raw) != length + CRC.size:
            raise CorruptTable(self.path, name)
        return opened(raw, self.path, name)

    ### END SOLUTION


### BEGIN SOLUTION
def _first_at_least(block: Entries, key: bytes) -> int:
    """The number of the first entry whose key is `key` or greater."""
    low, high = 0, len(block.offsets)
    while low < high:
        middle = (low + high) // 2
        if key_at(block, middle) < key:
            low = middle + 1
        else:
            high = middle
    return low


### END SOLUTION
