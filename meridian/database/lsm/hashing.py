"""The hash of a key: XXH64 with seed 0, the same in every process and on every machine.

Python's own `hash` is salted per process. A filter on disk that was built with it would call keys
absent that are there, and a table would lose them.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from meridian.database.lsm import _hash_kernels as kernels
from meridian.database.lsm.arenas import Strings, as_rows, as_strings, joined
from meridian.database.lsm.columns import Columns
from meridian.database.lsm.types import Buffer
from meridian.database.storage._kernels import read_only

__all__ = ["hash64", "hash_columns", "hash_many"]

Hashes: TypeAlias = npt.NDArray[np.uint64]


def hash64(key: Buffer) -> int:
    """XXH64 of `key`, seed 0: ``hash64(b"") == 0xEF46DB3751D8E999``.

    Raises `TypeError` for what is no bytes-like object. By Yann Collet:
    https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
    """
    if type(key) is not bytes:
        if not isinstance(key, (bytes, bytearray, memoryview)):
            raise TypeError(f"Expected a key as bytes, got {type(key).__name__}")
        key = bytes(key)
    return int(kernels.hash_key(key))


def hash_columns(columns: Columns) -> Hashes:
    """`hash64` of every key: uint64[n].

    Raises `ValueError` where a key would lie outside the array of keys.
    """
    return _hash_spans(columns.keys, columns.key_starts)


def hash_many(keys: Strings | Columns) -> Hashes:
    """`hash64` of keys in rows, uint8 (n, w), in a sequence, or in columns: uint64[n].

    Raises `TypeError` for what is none of these, `ValueError` for an array that is not of rows.
    """
    if isinstance(keys, Columns):
        return hash_columns(keys)
    if isinstance(keys, np.ndarray):
        rows = as_rows("keys", keys)
        hashes = np.empty(len(rows), np.uint64)
        kernels.hash_rows(read_only(rows), hashes)
        return hashes
    return _hash_spans(*joined(as_strings("keys", keys)))


def _hash_spans(data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64]) -> Hashes:
    hashes = np.empty(len(starts) - 1, np.uint64)
    done = int(kernels.hash_spans(read_only(data), read_only(starts), hashes))
    if done < len(hashes):
        raise ValueError(
            f"Expected keys inside their array of {len(data):,} bytes, got key {done} from "
            f"{starts[done]:,} to {starts[done + 1]:,}"
        )
    return hashes
