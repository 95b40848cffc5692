"""Which keys a table certainly does not hold, in ten bits a key.

A Bloom filter has false positives, as many as its size allows, and never a false negative. Its
bytes depend on the keys alone: `hash64` is the same everywhere.
"""

from __future__ import annotations

import math
import struct
from typing import Final

import numpy as np
import numpy.typing as npt

from meridian.checks import checked_int
from meridian.database.lsm import _hash_kernels as kernels
from meridian.database.lsm.arenas import Strings, as_rows, as_strings
from meridian.database.lsm.columns import Columns
from meridian.database.lsm.hashing import Hashes, hash64, hash_many
from meridian.database.lsm.types import MAX_KEY, Buffer
from meridian.database.storage._kernels import read_only

__all__ = ["BloomFilter", "PrefixBloom"]

_HEADER: Final = struct.Struct("<II")
_MIN_BITS: Final = 64
_MAX_BITS: Final = 0xFFFF_FFFF
_MAX_HASHES: Final = 30


class BloomFilter:
    """A set of keys that forgets all but what is needed to say no.

    Bit ``(x + i * (rotr(x, 17) | 1) mod 2**64) mod num_bits`` is set for each key of hash `x` and
    each i below `num_hashes`: two hashes made to serve for all (Kirsch and Mitzenmacher, "Less
    Hashing, Same Performance", 2006). Any number of threads may ask; one at a time may insert, or
    bits are lost.
    """

    __slots__ = ("bits", "num_bits", "num_hashes", "num_keys")

    bits: npt.NDArray[np.uint8]
    """uint8, bit i is bit ``i & 7`` of byte ``i >> 3``."""
    num_keys: int | None
    """How many keys it was made for; None once it went through bytes."""

    def __init__(self, num_keys: int, bits_per_key: int = 10) -> None:
        """For `num_keys` keys, at `bits_per_key` each; 64 bits at least.

        Raises `TypeError` for what is no int, `ValueError` for less than 0 keys or 1 bit, and for
        more than 2**32 - 1 bits.
        """
        self.num_keys = checked_int("num_keys", num_keys)
        bits_per_key = checked_int("bits_per_key", bits_per_key, least=1)
        self.num_bits = max(_MIN_BITS, self.num_keys * bits_per_key)
        if self.num_bits > _MAX_BITS:
            raise ValueError(
                f"Expected a filter of at most {_MAX_BITS:,} bits, got {self.num_bits:,}: give it "
                "fewer keys"
            )
        self.num_hashes = min(_MAX_HASHES, math.ceil(0.693 * bits_per_key))
        self.bits = np.zeros((self.num_bits + 7) // 8, np.uint8)

    def __repr__(self) -> str:
        return f"BloomFilter(num_bits={self.num_bits}, num_hashes={self.num_hashes})"

    def insert(self, key: Buffer) -> None:
        """Add a key. Raises `TypeError` for what is no bytes-like object."""
        self.insert_hashes(np.array([hash64(key)], np.uint64))

    def insert_many(self, keys: Strings | Columns) -> None:
        """Add keys: rows of uint8 (n, w), a sequence of bytes, or those of columns."""
        self.insert_hashes(hash_many(keys))

    def insert_hashes(self, hashes: Hashes) -> None:
        """Add keys by their `hash64`: uint64[n]."""
        kernels.insert(_checked_hashes(hashes), self.bits, self.num_bits, self.num_hashes)

    def may_contain(self, key: Buffer) -> bool:
        """Whether the key may have been added; False is certain.

        Raises `TypeError` for what is no bytes-like object.
        """
        if type(key) is not bytes:
            return bool(self.may_contain_hashes(np.array([hash64(key)], np.uint64))[0])
        return bool(kernels.contains_key(key, self.bits, self.num_bits, self.num_hashes))

    def may_contain_many(self, keys: Strings | Columns) -> npt.NDArray[np.bool_]:
        """The same for many keys, given as to `insert_many`: bool[n]."""
        return self.may_contain_hashes(hash_many(keys))

    def may_contain_hashes(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """The same for keys by their `hash64`, uint64[n]: bool[n].

        One hash of a key serves for the filters of all tables.
        """
        hashes = _checked_hashes(hashes)
        found = np.empty(len(hashes), np.bool_)
        kernels.contains(hashes, self.bits, self.num_bits, self.num_hashes, found)
        return found

    def theoretical_fpr(self, n: int | None = None) -> float:
        """How often a key that was not added is said to be there, with `n` keys in it.

        ``(1 - exp(-k * n / m)) ** k`` (Bloom 1970). None: as many keys as it was made for; if it
        came from bytes, as many as its set bits suggest.
        """
        if n is None:
            n = self.num_keys
        if n is not None:
            load = self.num_hashes * checked_int("n", n) / self.num_bits
            return float(-math.expm1(-load)) ** self.num_hashes
        return float((int(np.bitwise_count(self.bits).sum()) / self.num_bits) ** self.num_hashes)

    @property
    def nbytes(self) -> int:
        """How many bytes `to_bytes` gives."""
        return _HEADER.size + len(self.bits)

    def to_bytes(self) -> bytes:
        """As in a table: num_bits u32, num_hashes u32, bits; little-endian."""
        return _HEADER.pack(self.num_bits, self.num_hashes) + self.bits.tobytes()

    @classmethod
    def from_bytes(cls, data: Buffer) -> BloomFilter:
        """What `to_bytes` gave.

        Raises `ValueError` for what no filter gives, `TypeError` for what is no bytes-like object.
        """
        view = memoryview(data).cast("B")
        if view.nbytes < _HEADER.size:
            raise ValueError(f"Expected a filter of 8 bytes or more, got {view.nbytes}")
        num_bits, num_hashes = _HEADER.unpack_from(view)
        if num_bits < _MIN_BITS or not 1 <= num_hashes <= _MAX_HASHES:
            raise ValueError(
                f"Expected a filter of {_MIN_BITS} bits or more and 1 to {_MAX_HASHES} hashes, got "
                f"{num_bits} and {num_hashes}"
            )
        size = _HEADER.size + (num_bits + 7) // 8
        if view.nbytes != size:
            raise ValueError(
                f"Expected {size:,} bytes of a filter of {num_bits:,} bits, got {view.nbytes:,}"
            )
        made = cls.__new__(cls)
        made.num_bits, made.num_hashes, made.num_keys = num_bits, num_hashes, None
        made.bits = np.frombuffer(view, np.uint8, offset=_HEADER.size).copy()
        if num_bits % 8 and made.bits[-1] >> num_bits % 8:
            raise ValueError(f"Expected no bit set beyond {num_bits:,}, got some: not a filter")
        return made


def _checked_hashes(hashes: Hashes) -> Hashes:
    if not isinstance(hashes, np.ndarray) or hashes.dtype != np.uint64:
        got = hashes.dtype if isinstance(hashes, np.ndarray) else type(hashes).__name__
        raise TypeError(f"Expected hashes as an array of uint64, got {got}")
    if hashes.ndim != 1:
        raise ValueError(f"Expected hashes in one dimension, got {hashes.ndim}")
    return read_only(np.ascontiguousarray(hashes))


class PrefixBloom:
    """A filter of what keys begin with: says no to a whole range that holds none.

    A shorter key counts as filled up with zeros, which keeps the order of keys; so a range needs
    one probe for each prefix from its first to its last. With keys of `norad_key` and 3 bytes of
    prefix one probe covers 256 ids. A range over many prefixes is not asked about.
    """

    __slots__ = ("_filter", "prefix_len")

    MAX_PROBES: Final = 64

    def __init__(self, prefix_len: int, num_prefixes: int = 65_536, bits_per_key: int = 10) -> None:
        """For `num_prefixes` different prefixes of `prefix_len` bytes; with more, more is let by.

        Raises `TypeError` for what is no int, `ValueError` for a prefix of no bytes, and as
        `BloomFilter` does.
        """
        self.prefix_len = checked_int("prefix_len", prefix_len, least=1, most=MAX_KEY)
        self._filter = BloomFilter(num_prefixes, bits_per_key)

    def __repr__(self) -> str:
        return f"PrefixBloom(prefix_len={self.prefix_len}, {self._filter!r})"

    def insert(self, key: Buffer) -> None:
        """Add the prefix of a key. Raises `TypeError` for what is no bytes-like object."""
        self._filter.insert(self._filled(key))

    def insert_many(self, keys: Strings | Columns) -> None:
        """Add those of many: rows of uint8 (n, w), a sequence of bytes, or those of columns."""
        if isinstance(keys, Columns):
            wide = keys.key_width >= self.prefix_len
            keys = keys.key_rows() if wide else [*map(keys.key, range(len(keys)))]
        if isinstance(keys, np.ndarray):
            keys = as_rows("keys", keys)
            short = max(0, self.prefix_len - keys.shape[1])
            self._filter.insert_many(np.pad(keys[:, : self.prefix_len], ((0, 0), (0, short))))
        else:
            self._filter.insert_many([*map(self._filled, as_strings("keys", keys))])

    def may_contain(self, prefix: Buffer) -> bool:
        """Whether a key that begins with `prefix`, of any length, may have been added."""
        return self._may_contain(self._number(prefix), self._number(prefix, b"\xff"))

    def may_contain_range(self, low: Buffer, high: Buffer) -> bool:
        """Whether a key from `low` to `high`, both included, may have been added."""
        return self._may_contain(self._number(low), self._number(high))

    def probes(self, low: Buffer, high: Buffer) -> int:
        """How many prefixes there are from that of `low` to that of `high`.

        Beyond `MAX_PROBES` of them the answer is yes without a look.
        """
        return max(0, self._number(high) - self._number(low) + 1)

    def to_bytes(self) -> bytes:
        """prefix_len u32, then the filter; little-endian."""
        return self.prefix_len.to_bytes(4, "little") + self._filter.to_bytes()

    @classmethod
    def from_bytes(cls, data: Buffer) -> PrefixBloom:
        """What `to_bytes` gave. Raises `ValueError` for what no filter gives."""
        view = memoryview(data).cast("B")
        made = cls.__new__(cls)
        made.prefix_len = checked_int(
            "the prefix of a filter", int.from_bytes(view[:4], "little"), least=1, most=MAX_KEY
        )
        made._filter = BloomFilter.from_bytes(view[4:])
        return made

    def _may_contain(self, first: int, last: int) -> bool:
        if last - first >= self.MAX_PROBES:
            return True
        prefixes = [n.to_bytes(self.prefix_len, "big") for n in range(first, last + 1)]
        return bool(self._filter.may_contain_many(prefixes).any())

    def _number(self, key: Buffer, fill: bytes = b"\0") -> int:
        """The prefix of `key` as a number: as keys ascend, so do these."""
        return int.from_bytes(self._filled(key, fill), "big")

    def _filled(self, key: Buffer, fill: bytes = b"\0") -> bytes:
        if not isinstance(key, (bytes, bytearray, memoryview)):
            raise TypeError(f"Expected a key as bytes, got {type(key).__name__}")
        return bytes(key[: self.prefix_len]).ljust(self.prefix_len, fill)
