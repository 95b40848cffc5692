"""What of a table is in memory while it is open: props, index, filter."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from meridian.database.lsm import _read_kernels as kernels
from meridian.database.lsm.bloom import BloomFilter
from meridian.database.lsm.errors import CorruptTable
from meridian.database.lsm.table_file import TableFile
from meridian.database.lsm.table_format import (
    FOOTER_SIZE,
    Footer,
    table_number,
    unpack_props,
    unsealed,
)
from meridian.database.lsm.version import SstMeta

__all__ = ["TableIndex", "TableParts", "read_parts"]

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]


class TableIndex:
    """Where the blocks of a table lie, and the keys that each begins and ends with."""

    __slots__ = ("first_keys", "key_starts", "keys", "last_keys", "lengths", "offsets")

    def __init__(self, data: U8, path: str, end: int) -> None:
        """Take the index apart, without its checksum; the blocks fill the file up to `end`.

        Raises `CorruptTable` if it contradicts itself.
        """
        most = len(data) // 18 + 1
        self.offsets: I64 = np.empty(most, np.int64)
        self.lengths: I64 = np.empty(most, np.int64)
        self.keys: U8 = np.empty(len(data), np.uint8)
        """All first and last keys, one after the other."""
        self.key_starts: I64 = np.empty(2 * most + 1, np.int64)
        """Where they begin: 2b is the first key of block b, 2b + 1 its last."""
        count = kernels.parse_index(data, self.offsets, self.lengths, self.keys, self.key_starts)
        if count < 1 or int(self.lengths[:count].sum()) != end:
            raise CorruptTable(path, "index", f"its blocks do not fill {end:,} bytes")
        self.offsets = self.offsets[:count].copy()
        self.lengths = self.lengths[:count].copy()
        self.key_starts = self.key_starts[: 2 * count + 1].copy()
        self.keys = self.keys[: self.key_starts[-1]].copy()
        data_bytes, starts = self.keys.tobytes(), self.key_starts.tolist()
        cut = [data_bytes[a:b] for a, b in pairwise(starts)]
        self.first_keys: list[bytes] = cut[::2]
        self.last_keys: list[bytes] = cut[1::2]

    def __len__(self) -> int:
        return len(self.offsets)


class TableParts(NamedTuple):
    """All of a table but its blocks."""

    meta: SstMeta
    index: TableIndex  # type: ignore[assignment]  # not the tuple's method
    filter: BloomFilter


def read_parts(file: TableFile, size: int) -> TableParts:
    """Read and check all but the blocks of a table of `size` bytes.

    Raises `CorruptTable` for what is not as it was written, or contradicts itself; `OSError` as the
    file layer does.
    """
    path = file.path
    if size < FOOTER_SIZE:
        raise CorruptTable(path, "footer", f"{size} bytes are no table")
    tail = memoryview(bytearray(FOOTER_SIZE))
    file.read(tail, size - FOOTER_SIZE, "footer")
    footer = Footer.unpack(bytes(tail), path, size)
    begin = footer.filter.offset  # what follows the blocks
    data = memoryview(bytearray(size - FOOTER_SIZE - begin))
    file.read(data, begin, "filter")

    def part(name: str) -> memoryview:
        place = getattr(footer, name)
        return unsealed(data[place.offset - begin : place.end - begin], path, name)

    meta = unpack_props(part("props"), path)
    index = TableIndex(np.frombuffer(part("index"), np.uint8), path, begin)
    try:
        bloom = BloomFilter.from_bytes(part("filter"))
    except ValueError as error:
        raise CorruptTable(path, "filter", str(error)) from None
    number = table_number(path)
    if meta.size_bytes != size:
        raise CorruptTable(path, "props", f"it was written with {meta.size_bytes:,} bytes")
    if (meta.min_key, meta.max_key) != (index.first_keys[0], index.last_keys[-1]):
        raise CorruptTable(path, "props", "its keys are not those of the index")
    if number is not None and number != meta.sst_id:
        raise CorruptTable(path, "props", f"the file is table {meta.sst_id} under another name")
    return TableParts(meta, index, bloom)
