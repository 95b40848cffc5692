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
        raise NotImplementedError(
            "database/03-lsm #3: add() - a full block goes to the file before the row that is too much"
        )

    def finish(self) -> SstMeta:
        """The last block, index, filter, props, footer; on the device, then under its name.

        Raises `ValueError`, and leaves no file, when there are no rows.
        """
        raise NotImplementedError(
            "database/03-lsm #3: finish() - the last block too; fsync, rename, sync_folder"
        )

    def abort(self) -> None:
        """Give up: no file is left behind."""
        self._file.close()
        with suppress(FileNotFoundError):
            os.unlink(self.path + ".tmp")


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
        raise NotImplementedError(
            "database/03-lsm #3: opening a table - the footer says where index, filter and props are"
        )

    def get(self, key: bytes) -> Found:
        """The value, TOMBSTONE, or MISSING: range, then filter, then at most one block.

        Counts `bloom_checked` when the filter is asked, `bloom_skipped` when it says no.
        """
        raise NotImplementedError(
            "database/03-lsm #3, #4: SsTableReader.get() - range, filter, index, block: in this order"
        )

    def iter(self, lo: bytes | None = None, hi: bytes | None = None) -> Iterator[Row]:
        """Rows with lo <= key <= hi, tombstones too, ascending."""
        raise NotImplementedError(
            "database/03-lsm #3: SsTableReader.iter() - from the first block that can hold lo"
        )

    def close(self) -> None:
        """Close the file now. Closing twice is harmless."""
        self._close()
