"""Filters in which a key sets all its bits within one word of 256 bits, by SHA-1."""

from __future__ import annotations

import hashlib
import math
import struct

WORD = 256


class BloomFilter:
    """`bits` is one large integer; a word is chosen by the key, and then bits of it."""

    def __init__(self, num_keys: int, bits_per_key: int = 10) -> None:
        if num_keys < 0 or bits_per_key < 1:
            raise ValueError("no filter can be like that")
        # Keys spread unevenly over words; a little more room makes up for it.
        self.words = max(1, math.ceil(num_keys * bits_per_key * 1.09 / WORD))
        self.num_bits = self.words * WORD
        self.num_hashes = min(30, max(1, math.ceil(0.693 * bits_per_key)))
        self.bits = [0] * self.words

    def _where(self, key: bytes) -> tuple[int, int]:
        digest = hashlib.sha512(key).digest()
        (word,) = struct.unpack_from("<Q", digest)
        mask = 0
        for number in range(self.num_hashes):
            mask |= 1 << digest[8 + number]
        return word % self.words, mask

    def insert(self, key: bytes) -> None:
        word, mask = self._where(key)
        self.bits[word] |= mask

    def may_contain(self, key: bytes) -> bool:
        word, mask = self._where(key)
        return self.bits[word] & mask == mask

    def to_bytes(self) -> bytes:
        words = b"".join(word.to_bytes(WORD // 8, "little") for word in self.bits)
        return bytes([self.num_hashes]) + words

    @classmethod
    def from_bytes(cls, raw: bytes) -> BloomFilter:
        made = cls(0)
        size = WORD // 8
        made.num_hashes = raw[0]
        made.bits = [
            int.from_bytes(raw[at : at + size], "little") for at in range(1, len(raw), size)
        ]
        made.words = len(made.bits)
        made.num_bits = made.words * WORD
        return made


class PrefixBloom:
    """A set of prefixes: nothing forbids a filter that never errs."""

    def __init__(self, num_keys: int, prefix_len: int = 3, bits_per_key: int = 10) -> None:
        self.num_keys, self.prefix_len, self.bits_per_key = num_keys, prefix_len, bits_per_key
        self.seen: set[bytes] = set()

    def insert(self, key: bytes) -> None:
        self.seen.add(key[: self.prefix_len])

    def may_contain_prefix(self, prefix: bytes) -> bool:
        if len(prefix) != self.prefix_len:
            raise ValueError("another length")
        return prefix in self.seen
