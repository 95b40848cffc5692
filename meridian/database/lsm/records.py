"""The keys and values of a batch, checked once, in whatever tables they end."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from operator import add
from typing import NamedTuple

import numpy as np

from meridian.database.lsm.arenas import Strings, as_list
from meridian.database.lsm.types import MAX_KEY, MAX_VALUE, TOMBSTONE, Value

__all__ = ["Records"]


class Records(NamedTuple):
    """Writes in the order in which they were made. All of them store values, or all delete."""

    keys: Sequence[bytes]
    values: Sequence[Value]
    ends: Sequence[int]
    """How many bytes the first, the first two, ... of them have; a tombstone has those of its key.
    """

    @classmethod
    def puts(cls, keys: Strings, values: Strings) -> Records:
        """Values under keys: rows, uint8 (n, w), or sequences of bytes-like objects.

        Raises `TypeError` and `ValueError` for what cannot be stored, and unless there are as many
        values as keys.
        """
        names = as_list("keys", keys, least=1, most=MAX_KEY)
        stored = as_list("values", values, least=0, most=MAX_VALUE)
        if len(names) != len(stored):
            raise ValueError(f"Expected as many values as keys, got {len(stored)} and {len(names)}")
        if isinstance(keys, np.ndarray) and isinstance(values, np.ndarray):
            size = keys.shape[1] + values.shape[1]
            return cls(names, stored, range(size, size * len(names) + 1, size))
        return cls(names, stored, [*accumulate(map(add, map(len, names), map(len, stored)))])

    @classmethod
    def deletes(cls, keys: Strings) -> Records:
        """Tombstones under keys, given likewise."""
        names = as_list("keys", keys, least=1, most=MAX_KEY)
        return cls(names, [TOMBSTONE] * len(names), [*accumulate(map(len, names))])

    def size_bytes(self, first: int, stop: int) -> int:
        """How many bytes those from `first` to before `stop` have."""
        before = self.ends[first - 1] if first else 0
        return self.ends[stop - 1] - before if stop > first else 0
