"""XXH64 and the probing of filters, compiled.

`xxh64` and `probe` are written to be called by other kernels, which inline them. A kernel takes
keys as one array and where each begins, and uses a key only if it lies inside the array. Each has
a plain-Python twin, its ``py_func``, which tests compare with it.
"""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from meridian.database.storage._kernels import read_only

__all__ = [
    "contains",
    "contains_key",
    "hash_key",
    "hash_rows",
    "hash_spans",
    "insert",
    "probe",
    "warmup",
    "xxh64",
]

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
Bool = npt.NDArray[np.bool_]
Int = Any  # int in Python, int64 when compiled
Hash = Any  # np.uint64
Bytes = Any  # what can be indexed: bytes, or a uint8 array

_P1 = np.uint64(0x9E3779B185EBCA87)
_P2 = np.uint64(0xC2B2AE3D27D4EB4F)
_P3 = np.uint64(0x165667B19E3779F9)
_P4 = np.uint64(0x85EBCA77C2B2AE63)
_P5 = np.uint64(0x27D4EB2F165667C5)
_SEEDS = (np.uint64(0x60EA27EEADC0B5D6), _P2, np.uint64(0), np.uint64(0x61C8864E7A143579))


@njit(cache=True, nogil=True, inline="always")
def _rotl(x: Hash, bits: Int) -> Hash:
    return x << np.uint64(bits) | x >> np.uint64(64 - bits)


@njit(cache=True, nogil=True)
def _u32(data: Bytes, at: Int) -> Hash:
    i = np.uint64(at)  # unsigned: no test for an index from the end
    return (
        np.uint64(data[i])
        | np.uint64(data[i + np.uint64(1)]) << np.uint64(8)
        | np.uint64(data[i + np.uint64(2)]) << np.uint64(16)
        | np.uint64(data[i + np.uint64(3)]) << np.uint64(24)
    )


@njit(cache=True, nogil=True)
def _u64(data: Bytes, at: Int) -> Hash:
    return _u32(data, at) | _u32(data, at + 4) << np.uint64(32)


@njit(cache=True, nogil=True)
def _round(lane: Hash, word: Hash) -> Hash:
    return _rotl(lane + word * _P2, 31) * _P1


@njit(cache=True, nogil=True)
def xxh64(data: Bytes, start: Int, length: Int) -> Hash:
    """XXH64, seed 0, of ``data[start : start + length]``.

    https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
    """
    at, end = start, start + length
    if length >= 32:
        a, b, c, d = _SEEDS
        while at + 32 <= end:
            a = _round(a, _u64(data, at))
            b = _round(b, _u64(data, at + 8))
            c = _round(c, _u64(data, at + 16))
            d = _round(d, _u64(data, at + 24))
            at += 32
        h = _rotl(a, 1) + _rotl(b, 7) + _rotl(c, 12) + _rotl(d, 18)
        for lane in (a, b, c, d):
            h = (h ^ _round(np.uint64(0), lane)) * _P1 + _P4
    else:
        h = _P5
    h += np.uint64(length)
    while at + 8 <= end:
        h = _rotl(h ^ _round(np.uint64(0), _u64(data, at)), 27) * _P1 + _P4
        at += 8
    if at + 4 <= end:
        h = _rotl(h ^ _u32(data, at) * _P1, 23) * _P2 + _P3
        at += 4
    while at < end:
        h = _rotl(h ^ np.uint64(data[np.uint64(at)]) * _P5, 11) * _P1
        at += 1
    h = (h ^ h >> np.uint64(33)) * _P2
    h = (h ^ h >> np.uint64(29)) * _P3
    return h ^ h >> np.uint64(32)


@njit(cache=True, nogil=True)
def hash_key(key: Bytes) -> Hash:
    """Of one key."""
    return xxh64(key, 0, len(key))


@njit(cache=True, nogil=True)
def hash_spans(data: U8, starts: I64, out: U64) -> Int:
    """Hash key i, ``data[starts[i] : starts[i + 1]]``, into ``out[i]``.

    Returns how many were hashed: fewer than there are where a key would lie outside `data`.
    """
    for i in range(len(out)):
        start, end = starts[i], starts[i + 1]
        if not 0 <= start <= end <= len(data):
            return i
        out[i] = xxh64(data, start, end - start)
    return len(out)


@njit(cache=True, nogil=True)
def hash_rows(rows: U8, out: U64) -> None:
    """Hash each row into `out`."""
    width = rows.shape[1]
    data = rows.reshape(-1)
    for i in range(len(out)):
        out[i] = xxh64(data, i * width, width)


@njit(cache=True, nogil=True)
def probe(bits: U8, at: Int, num_bits: Int, num_hashes: Int, x: Hash) -> bool:
    """Whether the key of hash `x` may be in the filter whose bits begin at byte `at` of `bits`.

    A caller sees to it that `bits` holds ``(num_bits + 7) // 8`` bytes from there on.
    """
    base, modulus = np.uint64(at), np.uint64(num_bits)
    step = _rotl(x, 47) | np.uint64(1)
    for _ in range(num_hashes):
        bit = x % modulus
        if not bits[base + (bit >> np.uint64(3))] >> (bit & np.uint64(7)) & np.uint64(1):
            return False
        x += step
    return True


@njit(cache=True, nogil=True)
def contains_key(key: Bytes, bits: U8, num_bits: Int, num_hashes: Int) -> bool:
    """Whether `key` may be in the filter."""
    return probe(bits, 0, num_bits, num_hashes, xxh64(key, 0, len(key)))


@njit(cache=True, nogil=True)
def contains(hashes: U64, bits: U8, num_bits: Int, num_hashes: Int, out: Bool) -> None:
    """Whether the keys of `hashes` may be in the filter, each."""
    for i in range(len(hashes)):
        out[i] = probe(bits, 0, num_bits, num_hashes, hashes[i])


@njit(cache=True, nogil=True)
def insert(hashes: U64, bits: U8, num_bits: Int, num_hashes: Int) -> None:
    """Set the bits of the keys of `hashes`."""
    modulus = np.uint64(num_bits)
    for x in hashes:
        step = _rotl(x, 47) | np.uint64(1)
        for _ in range(num_hashes):
            bit = x % modulus
            bits[bit >> np.uint64(3)] |= np.uint8(1) << np.uint8(bit & np.uint64(7))
            x += step


def warmup() -> None:
    """Compile every kernel for the types it is called with, or load it from the cache."""
    bits, hashes = np.zeros(8, np.uint8), np.zeros(1, np.uint64)
    hash_key(b"")
    hash_spans(read_only(bits), read_only(np.zeros(2, np.int64)), hashes)
    hash_rows(read_only(bits.reshape(1, 8)), hashes)
    insert(read_only(hashes), bits, 64, 1)
    contains(read_only(hashes), bits, 64, 1, np.zeros(1, np.bool_))
    contains_key(b"", bits, 64, 1)
