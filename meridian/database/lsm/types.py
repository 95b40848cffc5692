"""Keys, values, and the two things that are no value.

Keys are bytes, ordered as bytes. A number must therefore be written most significant byte first:
``norad_key(255) < norad_key(256)``, which little-endian and decimal text get wrong.
"""

from __future__ import annotations

import enum
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from meridian.checks import checked_int

__all__ = [
    "MAX_KEY",
    "MAX_VALUE",
    "MISSING",
    "TOMBSTONE",
    "Buffer",
    "Found",
    "Missing",
    "Tombstone",
    "Value",
    "checked_key",
    "checked_value",
    "norad_id",
    "norad_key",
    "norad_keys",
]

Buffer: TypeAlias = bytes | bytearray | memoryview

MAX_KEY: Final = 65_535
MAX_VALUE: Final = 65_535
"""Lengths have 16 bits, in tables as in the write-ahead log."""


class Tombstone(enum.Enum):
    """The type of `TOMBSTONE`."""

    TOMBSTONE = "deleted"

    def __repr__(self) -> str:
        return self.name


class Missing(enum.Enum):
    """The type of `MISSING`."""

    MISSING = "missing"

    def __repr__(self) -> str:
        return self.name


TOMBSTONE: Final = Tombstone.TOMBSTONE
"""The key was deleted here: whatever older tables hold under it is over."""
MISSING: Final = Missing.MISSING
"""Nothing is known of the key here: ask an older table."""

Value: TypeAlias = bytes | Tombstone
"""What a table holds under a key."""
Found: TypeAlias = bytes | Tombstone | Missing
"""What a table answers. ``b""`` is a value."""


def norad_key(norad_id: int) -> bytes:
    """The catalogue number as 4 bytes, most significant first.

    Raises `TypeError` for what is no int, `ValueError` outside 32 bits.
    """
    return checked_int("a NORAD id", norad_id, most=0xFFFF_FFFF).to_bytes(4, "big")


def norad_keys(norad_ids: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Many of them: uint8 (n, 4), a key in each row.

    Raises `TypeError` for what are no ints, `ValueError` outside 32 bits or one dimension.
    """
    ids = np.asarray(norad_ids)
    if ids.ndim != 1:
        raise ValueError(f"Expected NORAD ids in one dimension, got {ids.ndim}")
    if ids.size and ids.dtype.kind not in "iu":
        raise TypeError(f"Expected NORAD ids as ints, got {ids.dtype}")
    if ids.size and (ids.min() < 0 or ids.max() > 0xFFFF_FFFF):
        bad = ids[(ids < 0) | (ids > 0xFFFF_FFFF)][0]
        raise ValueError(f"Expected NORAD ids of 32 bits, got {bad}")
    return ids.astype(">u4").view(np.uint8).reshape(-1, 4)


def norad_id(key: Buffer) -> int:
    """The number behind a key of `norad_key`. Raises `ValueError` unless it has 4 bytes."""
    if len(key) != 4:
        raise ValueError(f"Expected a key of 4 bytes, got {len(key)}")
    return int.from_bytes(key, "big")


def checked_key(key: Buffer) -> bytes:
    """`key` as bytes of its own.

    Raises `TypeError` for what is no bytes-like object (text is not), `ValueError` for a length
    outside 1..65,535.
    """
    if type(key) is not bytes:
        key = _as_bytes("a key", key)
    if not 1 <= len(key) <= MAX_KEY:
        raise ValueError(f"Expected a key of 1 to {MAX_KEY:,} bytes, got {len(key):,}")
    return key


def checked_value(value: Buffer) -> bytes:
    """`value` as bytes of its own; empty is a value.

    Raises `TypeError` for what is no bytes-like object, `ValueError` beyond 65,535 bytes.
    """
    if type(value) is not bytes:
        value = _as_bytes("a value", value)
    if len(value) > MAX_VALUE:
        raise ValueError(f"Expected a value of at most {MAX_VALUE:,} bytes, got {len(value):,}")
    return value


def _as_bytes(what: str, given: object) -> bytes:
    if not isinstance(given, (bytes, bytearray, memoryview)):
        hint = ": encode() it" if isinstance(given, str) else ""
        raise TypeError(f"Expected {what} as bytes, got {type(given).__name__}{hint}")
    return bytes(given)
