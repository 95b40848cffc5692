"""CRC-32 as zlib computes it, inside a kernel.

zlib's own gives up the GIL for large buffers only, and a block is a small one: a thread that
writes or reads a table would hold up all others, block by block. This is the braided form of
Kadatch and Jenkins ("Everything we know about CRC but afraid to forget", 2010), as in zlib: four
words at a time, each with a remainder of its own, so that no look-up waits for the one before.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["crc32", "crc_tables"]

U8 = npt.NDArray[np.uint8]
U32 = npt.NDArray[np.uint32]
Int = Any  # int in Python, int64 when compiled

_POLYNOMIAL = 0xEDB88320
_STRIDE = 32  # four words of eight bytes


@cache
def crc_tables() -> U32:
    """uint32 (9, 256): what a byte at each place of a word adds one stride on; then the plain one.

    Not to be written to.
    """
    plain = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        plain = np.where(plain & 1, plain >> 1 ^ np.uint32(_POLYNOMIAL), plain >> 1)
    tables = np.empty((9, 256), np.uint32)
    tables[8] = plain
    row = plain
    for step in range(_STRIDE):
        if step >= _STRIDE - 8:
            tables[_STRIDE - 1 - step] = row
        row = row >> 8 ^ plain[row & 0xFF]  # one zero byte further
    tables.flags.writeable = False
    return tables


@njit(cache=True, nogil=True, inline="always")
def _word(data: U8, at: Int) -> Any:
    i = np.uint64(at)
    return (
        np.uint64(data[i])
        | np.uint64(data[i + np.uint64(1)]) << np.uint64(8)
        | np.uint64(data[i + np.uint64(2)]) << np.uint64(16)
        | np.uint64(data[i + np.uint64(3)]) << np.uint64(24)
        | np.uint64(data[i + np.uint64(4)]) << np.uint64(32)
        | np.uint64(data[i + np.uint64(5)]) << np.uint64(40)
        | np.uint64(data[i + np.uint64(6)]) << np.uint64(48)
        | np.uint64(data[i + np.uint64(7)]) << np.uint64(56)
    )


@njit(cache=True, nogil=True, inline="always")
def _stride(t: U32, w: Any) -> Any:
    """The remainder of the word `w`, one stride on."""
    low = np.uint64(0xFF)
    return np.uint64(
        t[0, w & low]
        ^ t[1, w >> np.uint64(8) & low]
        ^ t[2, w >> np.uint64(16) & low]
        ^ t[3, w >> np.uint64(24) & low]
        ^ t[4, w >> np.uint64(32) & low]
        ^ t[5, w >> np.uint64(40) & low]
        ^ t[6, w >> np.uint64(48) & low]
        ^ t[7, w >> np.uint64(56)]
    )


@njit(cache=True, nogil=True)
def _bytes(t: U32, w: Any, count: Int) -> Any:
    """The remainder of `w` after `count` bytes of it."""
    for _ in range(count):
        w = w >> np.uint64(8) ^ np.uint64(t[8, w & np.uint64(0xFF)])
    return w


@njit(cache=True, nogil=True)
def crc32(data: U8, start: Int, stop: Int, t: U32) -> int:
    """``zlib.crc32(data[start:stop])``; `t` is `crc_tables()`."""
    c0 = np.uint64(0xFFFFFFFF)
    c1 = c2 = c3 = np.uint64(0)
    i = start
    while stop - i >= 2 * _STRIDE:
        c0 = _stride(t, c0 ^ _word(data, i))
        c1 = _stride(t, c1 ^ _word(data, i + 8))
        c2 = _stride(t, c2 ^ _word(data, i + 16))
        c3 = _stride(t, c3 ^ _word(data, i + 24))
        i += _STRIDE
    if stop - i >= _STRIDE:
        c0 = _bytes(t, c0 ^ _word(data, i), 8)
        c0 = _bytes(t, c0 ^ c1 ^ _word(data, i + 8), 8)
        c0 = _bytes(t, c0 ^ c2 ^ _word(data, i + 16), 8)
        c0 = _bytes(t, c0 ^ c3 ^ _word(data, i + 24), 8)
        i += _STRIDE
    while i < stop:
        c0 = _bytes(t, c0 ^ np.uint64(data[i]), 1)
        i += 1
    return np.int64(c0 ^ np.uint64(0xFFFFFFFF))  # type: ignore[return-value]
