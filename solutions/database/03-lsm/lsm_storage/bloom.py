"""Filters: "certainly not here", or "maybe", from about ten bits a key."""

from __future__ import annotations

import hashlib
import math
import struct

HEAD = struct.Struct("<II")  # num_bits, num_hashes: before the bits in `to_bytes`


class BloomFilter:
    """A set of keys that may say yes to a stranger, and never no to a member.

    `num_bits` is `max(64, num_keys * bits_per_key)`; `num_hashes` is 0.693 * bits_per_key, rounded
    up, within 1..30. A filter lies on disk, so that the hash must be the same in every process:
    Python's own `hash()` of bytes is another one in each.
    """

    def __init__(self, num_keys: int, bits_per_key: int = 10) -> None:
        """Empty, with room for `num_keys` keys. `ValueError` for less than one bit a key."""
        if num_keys < 0 or bits_per_key < 1:
            raise ValueError(f"Expected keys >= 0 and bits >= 1, got {num_keys}, {bits_per_key}")
        ### BEGIN SOLUTION #4: BloomFilter() - num_bits, num_hashes, a bytearray of bits
        self.num_bits = max(64, num_keys * bits_per_key)
        self.num_hashes = min(30, max(1, math.ceil(0.693 * bits_per_key)))
        self._bits = bytearray((self.num_bits + 7) // 8)
        ### END SOLUTION

    def insert(self, key: bytes) -> None:
        """Add a key."""
        ### BEGIN SOLUTION #4: insert() - set num_hashes bits, from two 64-bit halves of blake2b
        bits, size = self._bits, self.num_bits
        at, step = _hashes(key, size)
        for _ in range(self.num_hashes):
            bits[at >> 3] |= 1 << (at & 7)
            at += step
            if at >= size:
                at -= size
        ### END SOLUTION

    def may_contain(self, key: bytes) -> bool:
        """False: the key was never inserted. True: it was, or chance set the same bits."""
        ### BEGIN SOLUTION #4: may_contain() - False at the first bit that is not set
        bits, size = self._bits, self.num_bits
        at, step = _hashes(key, size)
        for _ in range(self.num_hashes):
            if not bits[at >> 3] >> (at & 7) & 1:
                return False
            at += step
            if at >= size:
                at -= size
        return True
        ### END SOLUTION

    def to_bytes(self) -> bytes:
        """`num_bits` u32, `num_hashes` u32, the bits."""
        ### BEGIN SOLUTION #4: to_bytes() - HEAD, then the bits
        return HEAD.pack(self.num_bits, self.num_hashes) + self._bits
        ### END SOLUTION

    @classmethod
    def from_bytes(cls, raw: bytes) -> BloomFilter:
        """The filter that `to_bytes` wrote, in any process. `ValueError` for other bytes."""
        ### BEGIN SOLUTION #4: from_bytes() - the inverse of to_bytes(), lengths checked
        self = cls.__new__(cls)
        self.num_bits, self.num_hashes = HEAD.unpack_from(raw)
        self._bits = bytearray(raw[HEAD.size :])
        if self.num_bits < 1 or len(self._bits) != (self.num_bits + 7) // 8:
            raise ValueError(f"{len(raw)} bytes are no filter of {self.num_bits} bits")
        return self
        ### END SOLUTION


class PrefixBloom:
    """Bonus: does any key begin with these `prefix_len` bytes?

    With 3 bytes of a `norad_key`, one question covers 256 catalog numbers.
    """

    def __init__(self, num_keys: int, prefix_len: int = 3, bits_per_key: int = 10) -> None:
        self.prefix_len = prefix_len
        self.filter = BloomFilter(num_keys, bits_per_key)

    def insert(self, key: bytes) -> None:
        """Add a key, by its prefix."""
        ### BEGIN SOLUTION #prefix: PrefixBloom.insert() - what of the key goes into the filter?
        self.filter.insert(key[: self.prefix_len])
        ### END SOLUTION

    def may_contain_prefix(self, prefix: bytes) -> bool:
        """False: no key begins so. `ValueError` for a prefix of another length."""
        ### BEGIN SOLUTION #prefix: may_contain_prefix() - only exactly prefix_len bytes
        if len(prefix) != self.prefix_len:
            raise ValueError(f"Expected {self.prefix_len} bytes, got {len(prefix)}")
        return self.filter.may_contain(prefix)
        ### END SOLUTION


### BEGIN SOLUTION
_PAIR = struct.Struct("<QQ")


def _hashes(key: bytes, size: int) -> tuple[int, int]:
    """The first position, and the step from each to the next (Kirsch and Mitzenmacher, 2006)."""
    first, second = _PAIR.unpack(hashlib.blake2b(key, digest_size=16).digest())
    return first % size, second % size or 1


### END SOLUTION
