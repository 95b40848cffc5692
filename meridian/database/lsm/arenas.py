"""Many byte strings as one array and where each begins: the form that kernels take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from meridian.database.lsm.types import Buffer

__all__ = ["Rows", "Strings", "as_list", "as_rows", "as_strings", "joined"]

Rows: TypeAlias = npt.NDArray[np.uint8]
Strings: TypeAlias = Rows | Sequence[Buffer]
"""Keys or values: uint8 (n, w), one in each row, or a sequence of bytes-like objects."""

_PIECE = 65_536  # bytes


def joined(parts: Sequence[bytes]) -> tuple[Rows, npt.NDArray[np.int64]]:
    """All of them one after the other, and int64[n + 1], where each begins."""
    starts = np.zeros(len(parts) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, parts), np.int64, len(parts)), out=starts[1:])
    arena = np.empty(int(starts[-1]), np.uint8)
    # In pieces, so that their memory is used again: a large one comes from the kernel page by
    # page, which takes longer than joining.
    step = len(parts) * _PIECE // len(arena) + 1 if len(arena) else len(parts) + 1
    for first in range(0, len(parts), step):
        piece = b"".join(parts[first : first + step])
        arena[starts[first] : starts[first] + len(piece)] = np.frombuffer(piece, np.uint8)
    return arena, starts


def as_rows(what: str, rows: npt.NDArray[np.generic]) -> Rows:
    """`rows` as contiguous uint8 (n, w).

    Raises `TypeError` for another dtype, `ValueError` for another number of dimensions.
    """
    if rows.dtype != np.uint8:
        raise TypeError(f"Expected {what} as rows of uint8, got {rows.dtype}")
    if rows.ndim != 2:
        raise ValueError(f"Expected {what} as rows, uint8 (n, width), got {rows.ndim} dimensions")
    return np.ascontiguousarray(rows)


def as_strings(what: str, strings: Sequence[Buffer]) -> Sequence[bytes]:
    """`strings` as a sequence of bytes.

    Raises `TypeError` for what has no order, for a single string, and for an item that is no
    bytes-like object.
    """
    if isinstance(strings, (bytes, bytearray, memoryview, str)) or not isinstance(
        strings, Sequence
    ):
        raise TypeError(f"Expected a sequence of {what}, got one {type(strings).__name__}")
    if {*map(type, strings)} <= {bytes}:
        return strings  # type: ignore[return-value]
    for one in strings:
        if not isinstance(one, (bytes, bytearray, memoryview)):
            raise TypeError(f"Expected {what} as bytes, got {type(one).__name__}")
    return [bytes(one) for one in strings]


def as_list(what: str, strings: Strings, *, least: int, most: int) -> list[bytes]:
    """`strings` as a list of bytes, of `least` to `most` bytes each.

    Raises `ValueError` for other lengths, and as `as_rows` and `as_strings` do.
    """
    if isinstance(strings, np.ndarray):
        rows = as_rows(what, strings)
        width = rows.shape[1]
        shortest = longest = width if len(rows) else least
        items = rows.view(f"V{width}").reshape(-1).tolist() if width else [b""] * len(rows)
    else:
        items = [*as_strings(what, strings)]
        shortest, longest = min(map(len, items), default=least), max(map(len, items), default=least)
    if shortest < least or longest > most:
        wrong = shortest if shortest < least else longest
        raise ValueError(f"Expected {what} of {least} to {most:,} bytes, got one of {wrong:,}")
    return items
