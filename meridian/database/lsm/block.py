"""A data block in plain Python: what the format says, to be read, drawn, and believed.

Tables are written and read by kernels; this is what they are compared with, and what takes a block
apart for a picture.
"""

from __future__ import annotations

import struct
import zlib
from bisect import bisect_left
from collections.abc import Iterable
from itertools import pairwise
from typing import Final, NamedTuple

from meridian.database.lsm.errors import OutOfOrder
from meridian.database.lsm.types import (
    MISSING,
    TOMBSTONE,
    Buffer,
    Found,
    Value,
    checked_key,
    checked_value,
)

__all__ = ["Block", "encode_block"]

_U16: Final = struct.Struct("<H")
_HEAD: Final = struct.Struct("<BH")  # between key and value
_TAIL: Final = struct.Struct("<HI")


class Block(NamedTuple):
    """What is in a block, in the order of the file."""

    entries: list[tuple[bytes, Value]]
    offsets: list[int]
    """Where each entry begins."""
    crc: int
    size: int
    """Bytes of the whole block."""

    @classmethod
    def decode(cls, data: Buffer) -> Block:
        """Take a block apart. Raises `ValueError` for what is none."""
        data = bytes(data)
        if len(data) < _TAIL.size:
            raise ValueError(f"Expected a block, got {len(data)} bytes")
        count, crc = _TAIL.unpack_from(data, len(data) - _TAIL.size)
        if zlib.crc32(data[:-4]) != crc:
            raise ValueError(f"Expected the checksum {crc:08x}, got {zlib.crc32(data[:-4]):08x}")
        end = len(data) - _TAIL.size - 2 * count
        if not count or end < 0:
            raise ValueError(f"Expected a block of {count} entries, got {len(data)} bytes")
        offsets = list(struct.unpack_from(f"<{count}H", data, end))
        entries = [_decode_entry(data[a:b]) for a, b in pairwise([*offsets, end])]
        if offsets[0] or any(a[0] >= b[0] for a, b in pairwise(entries)):
            raise ValueError("Expected entries from the first byte on, in order of their keys")
        return cls(entries, offsets, crc, len(data))

    def get(self, key: bytes) -> Found:
        """What the block holds under `key`, found as a table finds it: by halving."""
        i = bisect_left(self.entries, key, key=lambda entry: entry[0])
        if i == len(self.entries) or self.entries[i][0] != key:
            return MISSING
        return self.entries[i][1]


def encode_block(entries: Iterable[tuple[Buffer, Value]]) -> bytes:
    """The bytes of a block of these entries, whatever their size.

    Raises `OutOfOrder` unless keys ascend, `TypeError` and `ValueError` for what is no key or
    value, and for a block without entries or with more than its offsets reach.
    """
    body, last = bytearray(), b""
    offsets: list[int] = []
    for given, value in entries:
        key = checked_key(given)
        if offsets and key <= last:
            raise OutOfOrder(key, last)
        dead = value is TOMBSTONE
        held = b"" if value is TOMBSTONE else checked_value(value)
        offsets.append(len(body))
        body += _U16.pack(len(key)) + key + _HEAD.pack(dead, len(held)) + held
        last = key
    if not offsets or offsets[-1] > 0xFFFF:
        raise ValueError(f"Expected 1 to 65,535 bytes before the last entry, got {len(body):,}")
    body += struct.pack(f"<{len(offsets)}HH", *offsets, len(offsets))
    return bytes(body) + struct.pack("<I", zlib.crc32(body))


def _decode_entry(data: bytes) -> tuple[bytes, Value]:
    if len(data) < _U16.size:
        raise ValueError(f"Expected an entry, got {len(data)} bytes")
    end = _U16.size + _U16.unpack_from(data)[0]
    if end + _HEAD.size > len(data):
        raise ValueError(f"Expected a key of {end - _U16.size} bytes, got an entry of {len(data)}")
    dead, length = _HEAD.unpack_from(data, end)
    value = data[end + _HEAD.size :]
    if end == _U16.size or len(value) != length or dead > 1 or (dead and length):
        raise ValueError(f"Expected an entry, got {data[:32].hex()}")
    return data[_U16.size : end], TOMBSTONE if dead else value
