"""The file of a table, byte by byte. All numbers are little-endian.

    data block 0 | data block 1 | ... | filter | index | props | footer

    data block   entry, entry, ...                          in order of keys
                 where each entry begins, u16 x n           so that a block can be searched
                 n u16 | crc u32
    entry        key_len u16 | key | is_tombstone u8 | value_len u16 | value
    filter       num_bits u32 | num_hashes u32 | bits | crc u32
    index        per block: first_len u16 | first key | last_len u16 | last key
                            | offset u64 | length u32
                 crc u32
    props        sst_id u64 | level u32 | size_bytes u64 | entries u64 | tombstones u64
                 | max_lsn u64 | min_len u16 | max_len u16 | min key | max key | crc u32
    footer       offset u64 and length u64 of index, filter, props
    (64 bytes)   | version u32 | crc u32 | magic "OORSST01"

Every crc is the CRC-32 of the part before it, and every length includes the crc. The parts lie one
behind the other without a gap, so no byte of the file is outside a checksum. A block is never
longer than `block_size`, unless it holds a single entry that is.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from typing import Final, NamedTuple

from meridian.database.lsm.errors import CorruptTable
from meridian.database.lsm.types import MAX_KEY, MAX_VALUE
from meridian.database.lsm.version import SstMeta

__all__ = [
    "BLOCK_OVERHEAD",
    "ENTRY_OVERHEAD",
    "FOOTER_SIZE",
    "MAGIC",
    "MAX_BLOCK",
    "MAX_BLOCK_SIZE",
    "MIN_BLOCK_SIZE",
    "VERSION",
    "BlockInfo",
    "Extent",
    "Footer",
    "pack_props",
    "props_size",
    "sealed",
    "table_number",
    "unpack_props",
    "unsealed",
]

MAGIC: Final = b"OORSST01"
VERSION: Final = 1
FOOTER_SIZE: Final = 64
CRC_SIZE: Final = 4

ENTRY_OVERHEAD: Final = 7
"""What an entry takes beside key and value: two lengths, the flag, its place in the offsets."""
BLOCK_OVERHEAD: Final = 6
"""What a block takes beside its entries: their number, the checksum."""
MIN_BLOCK_SIZE: Final = 64
MAX_BLOCK_SIZE: Final = 65_536
"""Where an entry begins has 16 bits."""
MAX_BLOCK: Final = MAX_KEY + MAX_VALUE + ENTRY_OVERHEAD + BLOCK_OVERHEAD
"""The longest block there can be: one entry, key and value as long as they get."""

_FOOTER = struct.Struct("<6QII8s")
_PROPS = struct.Struct("<QIQQQQHH")
_CRC = struct.Struct("<I")
_NAME = re.compile(r"sst_(\d{6,})\.dat")


class BlockInfo(NamedTuple):
    """What the index says of a block: the keys it begins and ends with, and where it lies."""

    first_key: bytes
    last_key: bytes
    offset: int
    length: int


class Extent(NamedTuple):
    """Where a part lies in the file, its checksum included."""

    offset: int
    length: int

    @property
    def end(self) -> int:
        return self.offset + self.length


class Footer(NamedTuple):
    """Where the parts of a table lie; the last 64 bytes of its file."""

    index: Extent  # type: ignore[assignment]  # not the tuple's method
    filter: Extent
    props: Extent

    def pack(self) -> bytes:
        numbers = (*self.index, *self.filter, *self.props, VERSION)
        crc = zlib.crc32(_FOOTER.pack(*numbers, 0, b"")[: FOOTER_SIZE - len(MAGIC) - CRC_SIZE])
        return _FOOTER.pack(*numbers, crc, MAGIC)

    @classmethod
    def unpack(cls, data: bytes, path: str, size: int) -> Footer:
        """From the last 64 bytes of a file of `size` bytes.

        Raises `CorruptTable` unless they are the footer of a whole table of this version.
        """
        *places, version, crc, magic = _FOOTER.unpack(data)
        if magic != MAGIC:
            raise CorruptTable(
                path, "footer", f"it ends in {magic!r}, not {MAGIC!r}: cut short, or not a table"
            )
        if crc != zlib.crc32(data[: FOOTER_SIZE - len(MAGIC) - CRC_SIZE]):
            raise CorruptTable(path, "footer", "its checksum is wrong")
        if version != VERSION:
            raise CorruptTable(path, "footer", f"expected version {VERSION}, got {version}")
        index, bloom, props = (Extent(*places[i : i + 2]) for i in (0, 2, 4))
        ends = (index.offset, props.offset, size - FOOTER_SIZE)
        parts = (bloom, index, props)
        if any(p.end != end or p.length < CRC_SIZE for p, end in zip(parts, ends, strict=True)):
            raise CorruptTable(path, "footer", f"its parts do not fill a file of {size:,} bytes")
        return cls(index, bloom, props)


def table_number(path: str) -> int | None:
    """The number in the name of a table's file; None for a file that is named otherwise."""
    match = _NAME.fullmatch(os.path.basename(path))
    return int(match[1]) if match else None


def sealed(part: bytes) -> bytes:
    """`part` with its checksum behind it."""
    return part + _CRC.pack(zlib.crc32(part))


def unsealed(part: memoryview, path: str, name: str) -> memoryview:
    """`part` without its checksum. Raises `CorruptTable` if that is wrong."""
    body, (crc,) = part[:-CRC_SIZE], _CRC.unpack(part[-CRC_SIZE:])
    if zlib.crc32(body) != crc:
        raise CorruptTable(path, name, "its checksum is wrong")
    return body


def pack_props(meta: SstMeta) -> bytes:
    """The props of a table, not sealed."""
    numbers = (meta.sst_id, meta.level, meta.size_bytes, meta.entries, meta.tombstones)
    lengths = (len(meta.min_key), len(meta.max_key))
    return _PROPS.pack(*numbers, meta.max_lsn, *lengths) + meta.min_key + meta.max_key


def props_size(min_key: bytes, max_key: bytes) -> int:
    """How long `pack_props` will be, sealed."""
    return _PROPS.size + len(min_key) + len(max_key) + CRC_SIZE


def unpack_props(body: memoryview, path: str) -> SstMeta:
    """The props of a table. Raises `CorruptTable` if they contradict themselves."""
    if len(body) < _PROPS.size:
        raise CorruptTable(path, "props", f"{len(body)} bytes are too few")
    sst_id, level, size, entries, dead, lsn, min_len, max_len = _PROPS.unpack_from(body)
    keys = bytes(body[_PROPS.size :])
    meta = SstMeta(sst_id, level, size, keys[:min_len], keys[min_len:], entries, dead, lsn)
    if len(keys) != min_len + max_len:
        raise CorruptTable(
            path, "props", f"{len(keys)} bytes are not two keys of {min_len} and {max_len}"
        )
    if not (meta.entries >= 1 and meta.tombstones <= meta.entries and meta.min_key <= meta.max_key):
        raise CorruptTable(path, "props", f"no table is like {meta}")
    return meta
