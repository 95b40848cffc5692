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
        raise NotImplementedError(
            "database/03-lsm #4: BloomFilter() - num_bits, num_hashes, a bytearray of bits"
        )

    def insert(self, key: bytes) -> None:
        """Add a key."""
        raise NotImplementedError(
            "database/03-lsm #4: insert() - set num_hashes bits, from two 64-bit halves of blake2b"
        )

    def may_contain(self, key: bytes) -> bool:
        """False: the key was never inserted. True: it was, or chance set the same bits."""
        raise NotImplementedError(
            "database/03-lsm #4: may_contain() - False at the first bit that is not set"
        )

    def to_bytes(self) -> bytes:
        """`num_bits` u32, `num_hashes` u32, the bits."""
        raise NotImplementedError("database/03-lsm #4: to_bytes() - HEAD, then the bits")

    @classmethod
    def from_bytes(cls, raw: bytes) -> BloomFilter:
        """The filter that `to_bytes` wrote, in any process. `ValueError` for other bytes."""
        raise NotImplementedError(
            "database/03-lsm #4: from_bytes() - the inverse of to_bytes(), lengths checked"
        )


class PrefixBloom:
    """Bonus: does any key begin with these `prefix_len` bytes?

    With 3 bytes of a `norad_key`, one question covers 256 catalog numbers.
    """

    def __init__(self, num_keys: int, prefix_len: int = 3, bits_per_key: int = 10) -> None:
        self.prefix_len = prefix_len
        self.filter = BloomFilter(num_keys, bits_per_key)

    def insert(self, key: bytes) -> None:
        """Add a key, by its prefix."""
        raise NotImplementedError(
            "database/03-lsm #prefix: PrefixBloom.insert() - what of the key goes into the filter?"
        )

    def may_contain_prefix(self, prefix: bytes) -> bool:
        """False: no key begins so. `ValueError` for a prefix of another length."""
        raise NotImplementedError(
            "database/03-lsm #prefix: may_contain_prefix() - only exactly prefix_len bytes"
        )
