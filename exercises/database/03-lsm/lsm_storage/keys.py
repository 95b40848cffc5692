"""Keys, values, and the two answers that are no value.

A lookup has three outcomes: `bytes`, `TOMBSTONE` (deleted here, whatever lies deeper), `MISSING`
(unknown here: ask the next place). One `None` for both of the latter brings deleted records back.
"""

from __future__ import annotations

KEY_BYTES = VALUE_BYTES = 65_535  # the most; a key has at least one byte, a value may be empty


class Tombstone:
    """Given. There is one: `TOMBSTONE`."""

    def __repr__(self) -> str:
        return "TOMBSTONE"


class Missing:
    """Given. There is one: `MISSING`."""

    def __repr__(self) -> str:
        return "MISSING"


TOMBSTONE, MISSING = Tombstone(), Missing()

Found = bytes | Tombstone | Missing
Row = tuple[bytes, bytes | Tombstone]


def norad_key(norad_id: int) -> bytes:
    """The key of a catalog number: 4 bytes that sort, as bytes, as the numbers do."""
    raise NotImplementedError(
        "database/03-lsm #7: norad_key() - u32; which byte must come first for 255 < 256?"
    )


def norad_id(key: bytes) -> int:
    """The catalog number of a key: the inverse of `norad_key`."""
    raise NotImplementedError("database/03-lsm #7: norad_id() - the inverse of norad_key()")


def check_row(key: bytes, value: bytes = b"") -> None:
    """Given. `TypeError` unless both are bytes, `ValueError` for lengths outside the limits."""
    if type(key) is not bytes or type(value) is not bytes:
        raise TypeError(f"Expected bytes, got {type(key).__name__} and {type(value).__name__}")
    if not 1 <= len(key) <= KEY_BYTES:
        raise ValueError(f"Expected a key of 1..{KEY_BYTES} bytes, got {len(key)}")
    if len(value) > VALUE_BYTES:
        raise ValueError(f"Expected a value of at most {VALUE_BYTES} bytes, got {len(value)}")
