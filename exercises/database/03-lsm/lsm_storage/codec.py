"""The bytes of a table file. Given: nothing to write here.

    block | block | ... | index | filter | props | footer

All integers are little-endian; each part but the footer is followed by its CRC-32.

    block    entries, then u16 offset of each entry, u16 number of entries
    entry    u16 key length, key, u8 1 for a tombstone, u16 value length, value
    index    for each block: u16 length and bytes of its first key, the same of its last key,
             u64 offset and u32 length of the block with its CRC
    props    u32 entries, u32 tombstones, u16 length and bytes of the first key and of the last
    footer   56 bytes: u64 offset and u64 length of index, filter and props, CRC-32 of these,
             u32 version; then the magic, 8 bytes: the last bytes of the file
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from .errors import CorruptTable
from .keys import TOMBSTONE, Row, Tombstone

MAGIC = b"OORSST01"
VERSION = 1
BLOCK_BYTES = 4096
BLOCK_OVERHEAD = 6  # number of entries and CRC; each entry costs 2 more, for its offset
CRC = struct.Struct("<I")
PLACE = struct.Struct("<QI")
_PARTS = struct.Struct("<6Q")
_END = struct.Struct("<II8s")
FOOTER_BYTES = _PARTS.size + _END.size
_LENGTH = struct.Struct("<H")
_TABLE_NAME = re.compile(r"sst_(\d{6,})\.dat")

Span = tuple[int, int]  # offset and length of a part, without its CRC


class Entries(NamedTuple):
    """A checked block: its bytes, and where each entry begins."""

    raw: bytes
    offsets: tuple[int, ...]


class BlockHandle(NamedTuple):
    """One line of the index."""

    first_key: bytes
    last_key: bytes
    offset: int
    length: int  # with the CRC


class SstMeta(NamedTuple):
    """What is known of a table without reading its blocks."""

    sst_id: int
    entries: int
    tombstones: int
    min_key: bytes
    max_key: bytes
    size_bytes: int


def table_name(sst_id: int) -> str:
    return f"sst_{sst_id:06d}.dat"


def table_id(path: str | os.PathLike[str]) -> int:
    """The number in a table's name; 0 for any other name."""
    match = _TABLE_NAME.fullmatch(os.path.basename(os.fspath(path)))
    return int(match[1]) if match else 0


def sealed(body: bytes) -> bytes:
    """`body` and its CRC-32."""
    return body + CRC.pack(zlib.crc32(body))


def opened(raw: bytes, path: str, part: str) -> bytes:
    """What was given to `sealed`. Raises `CorruptTable` naming the `part`."""
    body, (stored,) = raw[: -CRC.size], CRC.unpack_from(raw.rjust(CRC.size), len(raw) - CRC.size)
    if zlib.crc32(body) != stored:
        raise CorruptTable(path, part)
    return body


def pack_entry(key: bytes, value: bytes | Tombstone) -> bytes:
    """One entry of a block."""
    head = len(key).to_bytes(2, "little") + key
    if isinstance(value, Tombstone):
        return head + b"\x01\x00\x00"
    return head + b"\x00" + len(value).to_bytes(2, "little") + value


def pack_block(entries: Sequence[bytes]) -> bytes:
    """A block of packed entries, sealed."""
    offsets, at = [], 0
    for entry in entries:
        offsets.append(at)
        at += len(entry)
    return sealed(b"".join(entries) + struct.pack(f"<{len(offsets)}HH", *offsets, len(offsets)))


def open_block(raw: bytes, path: str) -> Entries:
    """A block as `pack_block` made it. Raises `CorruptTable`."""
    body = opened(raw, path, "a block")
    (count,) = _LENGTH.unpack_from(body, len(body) - 2)
    return Entries(body, struct.unpack_from(f"<{count}H", body, len(body) - 2 - 2 * count))


def key_at(block: Entries, number: int) -> bytes:
    at = block.offsets[number]
    raw = block.raw
    end = at + 2 + (raw[at] | raw[at + 1] << 8)
    return raw[at + 2 : end]


def row_at(block: Entries, number: int) -> Row:
    """Key, and value or TOMBSTONE, of an entry."""
    raw, at = block.raw, block.offsets[number]
    end = at + 2 + (raw[at] | raw[at + 1] << 8)
    key = raw[at + 2 : end]
    if raw[end]:
        return key, TOMBSTONE
    return key, raw[end + 3 : end + 3 + (raw[end + 1] | raw[end + 2] << 8)]


def pack_index(handles: Sequence[BlockHandle]) -> bytes:
    lines = []
    for first, last, offset, length in handles:
        lines += [_bytes(first), _bytes(last), PLACE.pack(offset, length)]
    return b"".join(lines)


def unpack_index(body: bytes) -> list[BlockHandle]:
    handles, at = [], 0
    while at < len(body):
        first, at = _take(body, at)
        last, at = _take(body, at)
        handles.append(BlockHandle(first, last, *PLACE.unpack_from(body, at)))
        at += PLACE.size
    return handles


def pack_props(entries: int, tombstones: int, min_key: bytes, max_key: bytes) -> bytes:
    return struct.pack("<II", entries, tombstones) + _bytes(min_key) + _bytes(max_key)


def unpack_props(body: bytes, sst_id: int, size_bytes: int) -> SstMeta:
    entries, tombstones = struct.unpack_from("<II", body)
    min_key, at = _take(body, 8)
    max_key, _ = _take(body, at)
    return SstMeta(sst_id, entries, tombstones, min_key, max_key, size_bytes)


def pack_footer(index: Span, filter_: Span, props: Span) -> bytes:
    parts = _PARTS.pack(*index, *filter_, *props)
    return parts + _END.pack(zlib.crc32(parts), VERSION, MAGIC)


def unpack_footer(raw: bytes, path: str) -> tuple[Span, Span, Span]:
    """Offsets and lengths of index, filter and props. Raises `CorruptTable`."""
    if len(raw) != FOOTER_BYTES:
        raise CorruptTable(path, f"it has less than {FOOTER_BYTES} bytes")
    crc, version, magic = _END.unpack_from(raw, _PARTS.size)
    if magic != MAGIC or version != VERSION or crc != zlib.crc32(raw[: _PARTS.size]):
        raise CorruptTable(path, "the footer")
    a, b, c, d, e, f = _PARTS.unpack_from(raw)
    return (a, b), (c, d), (e, f)


def _bytes(value: bytes) -> bytes:
    return _LENGTH.pack(len(value)) + value


def _take(body: bytes, at: int) -> tuple[bytes, int]:
    end = at + 2 + _LENGTH.unpack_from(body, at)[0]
    return body[at + 2 : end], end
