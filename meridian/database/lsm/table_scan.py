"""Read a table in order: whole, a range of it, or to see that all of it is sound."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator

import numpy as np

from meridian.database.lsm import _read_kernels as kernels
from meridian.database.lsm.block_reader import BlockReader
from meridian.database.lsm.bloom import BloomFilter
from meridian.database.lsm.columns import Columns
from meridian.database.lsm.errors import CorruptTable
from meridian.database.lsm.filter_keys import filter_hashes
from meridian.database.lsm.types import Value
from meridian.database.lsm.version import SstMeta

__all__ = ["decode", "scan", "trimmed", "verify"]

_FIRST_BLOCKS = 4  # of a scan that may end soon
_MOST_BLOCKS = 256  # a MiB, so that what was read is still in the processor's cache when decoded


def decode(
    reader: BlockReader, first: int, behind: int, *, cached: bool = True, fill: bool = False
) -> Columns:
    """The blocks from `first` to before `behind`, as columns."""
    size = int(reader.index.lengths[first:behind].sum())
    rows = size // 8  # an entry takes no less; what is not filled is never touched
    keys, values = np.empty(size, np.uint8), np.empty(size, np.uint8)
    key_starts, value_starts = np.empty(rows + 1, np.int64), np.empty(rows + 1, np.int64)
    tombstones = np.empty(rows, np.bool_)
    key_starts[0] = value_starts[0] = 0
    row = 0
    for start in range(first, behind, _MOST_BLOCKS):
        blocks = np.arange(start, min(start + _MOST_BLOCKS, behind))
        with reader.loaded(blocks, fill=fill, cached=cached) as loaded:
            row = kernels.decode_blocks(
                loaded.arena, loaded.buffer, loaded.at, loaded.lengths, blocks,
                keys, key_starts, values, value_starts, tombstones, row,
            )  # fmt: skip
    return Columns(
        keys[: key_starts[row]],
        key_starts[: row + 1],
        values[: value_starts[row]],
        value_starts[: row + 1],
        tombstones[:row],
    )


def trimmed(columns: Columns, low: bytes | None, high: bytes | None) -> Columns:
    """The entries from `low` to `high`, both included."""
    rows = range(len(columns))
    start = 0 if low is None else bisect_left(rows, low, key=columns.key)
    stop = len(rows) if high is None else bisect_right(rows, high, key=columns.key)
    return columns[start:stop]


def scan(
    reader: BlockReader,
    first: int,
    behind: int,
    low: bytes | None,
    high: bytes | None,
    *,
    fill: bool,
) -> Iterator[tuple[bytes, Value]]:
    """The entries from `low` to `high` in the blocks from `first` to before `behind`."""
    count = _FIRST_BLOCKS
    while first < behind:
        stop = min(first + count, behind)
        columns = decode(reader, first, stop, fill=fill)
        yield from trimmed(columns, low, high if stop == behind else None).items()
        low, first, count = None, stop, min(2 * count, _MOST_BLOCKS)


def verify(
    reader: BlockReader,
    meta: SstMeta,
    bloom: BloomFilter,
    filter_key: Callable[[bytes], bytes] | None,
) -> None:
    """Compare what the props and the filter say with the entries, read from the file."""
    path = reader.file.path
    entries = tombstones = 0
    for start in range(0, len(reader.index), _MOST_BLOCKS):
        stop = min(start + _MOST_BLOCKS, len(reader.index))
        columns = decode(reader, start, stop, cached=False)
        entries += len(columns)
        tombstones += int(columns.tombstones.sum())
        if not bloom.may_contain_hashes(filter_hashes(columns, filter_key)).all():
            raise CorruptTable(path, "filter", f"it lacks keys of the blocks from {start} on")
    if (entries, tombstones) != (meta.entries, meta.tombstones):
        raise CorruptTable(
            path,
            "props",
            f"{meta.entries:,} entries and {meta.tombstones:,} tombstones were written, not "
            f"{entries:,} and {tombstones:,}",
        )
