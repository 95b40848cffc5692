"""Many byte strings as one array and where each begins: the form that kernels take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from meridian.database.lsm.types import Buffer

__all__ = ["Rows", "Strings", "as_rows", "as_strings", "joined"]

Rows: TypeAlias = npt.NDArray[np.uint8]
Strings: TypeAlias = Rows | Sequence[Buffer]
"""Keys or values: uint8 (n, w), one in each row, or a sequence of bytes-like objects."""


def joined(parts: Sequence[bytes]) -> tuple[Rows, npt.NDArray[np.int64]]:
    """All of them one after the other, and int64[n + 1], where each begins."""
    starts = np.zeros(len(parts) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, parts), np.int64, len(parts)), out=starts[1:])
    return np.frombuffer(b"".join(parts), np.uint8), starts


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
    if isinstance(strings, (bytes, bytearray, memoryview, str, Mapping, Set)) or not isinstance(
        strings, Sequence
    ):
        raise TypeError(f"Expected a sequence of {what}, got one {type(strings).__name__}")
    if {*map(type, strings)} <= {bytes}:
        return strings  # type: ignore[return-value]
    for one in strings:
        if not isinstance(one, (bytes, bytearray, memoryview)):
            raise TypeError(f"Expected {what} as bytes, got {type(one).__name__}")
    return [bytes(one) for one in strings]
