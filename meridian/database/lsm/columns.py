"""Sorted entries as columns: what tables are made of, merged as, and read into.

The layout is that of Arrow's variable-size binary arrays: all keys one after the other, and an
array of where each begins. A kernel walks it without touching a Python object, and a slice of it
copies nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise

import numpy as np
import numpy.typing as npt

from meridian.database.lsm.types import TOMBSTONE, Value

__all__ = ["Columns"]

_U8 = npt.NDArray[np.uint8]
_I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """`n` entries. Key `i` is ``keys[key_starts[i] : key_starts[i + 1]]``, and values likewise.

    Whoever makes one sees to it that keys ascend strictly, wherever order matters; a tombstone has
    an empty value. The arrays are not copied, and nobody changes them afterwards. `key_starts`
    need not begin at 0: a slice shares its arrays with the whole.
    """

    keys: _U8
    """uint8, all keys."""
    key_starts: _I64
    """int64[n + 1], ascending."""
    values: _U8
    """uint8, all values."""
    value_starts: _I64
    """int64[n + 1], ascending."""
    tombstones: npt.NDArray[np.bool_]
    """bool[n]."""

    @classmethod
    def of(cls, entries: Iterable[tuple[bytes, Value]]) -> Columns:
        """From pairs, in their order."""
        keys: list[bytes] = []
        values: list[bytes] = []
        dead: list[bool] = []
        for key, value in entries:
            keys.append(key)
            dead.append(value is TOMBSTONE)
            values.append(b"" if value is TOMBSTONE else value)
        return cls(
            np.frombuffer(b"".join(keys), np.uint8),
            _starts(keys),
            np.frombuffer(b"".join(values), np.uint8),
            _starts(values),
            np.array(dead, np.bool_),
        )

    @classmethod
    def fixed(
        cls, keys: _U8, values: _U8, tombstones: npt.NDArray[np.bool_] | None = None
    ) -> Columns:
        """From rows: keys uint8 (n, w), values uint8 (n, v), in their order."""
        count = len(keys)
        if keys.ndim != 2 or values.ndim != 2 or len(values) != count:
            raise ValueError(
                f"Expected keys and values as rows of bytes, as many, got {keys.shape} and "
                f"{values.shape}"
            )
        return cls(
            np.ascontiguousarray(keys, np.uint8).reshape(-1),
            np.arange(count + 1, dtype=np.int64) * keys.shape[1],
            np.ascontiguousarray(values, np.uint8).reshape(-1),
            np.arange(count + 1, dtype=np.int64) * values.shape[1],
            np.zeros(count, np.bool_) if tombstones is None else tombstones,
        )

    def __len__(self) -> int:
        return len(self.tombstones)

    def __getitem__(self, rows: slice) -> Columns:
        """Some of the entries, sharing the arrays. Only slices of step 1."""
        start, stop, step = rows.indices(len(self))
        if step != 1:
            raise ValueError(f"Expected a slice of step 1, got {step}: use `take`")
        stop = max(start, stop)
        return Columns(
            self.keys,
            self.key_starts[start : stop + 1],
            self.values,
            self.value_starts[start : stop + 1],
            self.tombstones[start:stop],
        )

    def key(self, i: int) -> bytes:
        return self.keys[self.key_starts[i] : self.key_starts[i + 1]].tobytes()

    def value(self, i: int) -> Value:
        if self.tombstones[i]:
            return TOMBSTONE
        return self.values[self.value_starts[i] : self.value_starts[i + 1]].tobytes()

    def items(self) -> Iterator[tuple[bytes, Value]]:
        """The entries as pairs."""
        keys = _cut(self.keys, self.key_starts)
        values = _cut(self.values, self.value_starts)
        if not self.tombstones.any():
            yield from zip(keys, values, strict=True)
            return
        for key, value, dead in zip(keys, values, self.tombstones.tolist(), strict=True):
            yield key, TOMBSTONE if dead else value

    @property
    def key_width(self) -> int:
        """The length of every key; 0 where they differ, or there is none."""
        return _width(self.key_starts)

    @property
    def value_width(self) -> int:
        """The length of every value; 0 where they differ (a tombstone is empty) or are empty."""
        return _width(self.value_starts)

    def key_rows(self) -> _U8:
        """All keys as rows, uint8 (n, key_width), not copied. `ValueError` if they differ."""
        return _rows("keys", self.keys, self.key_starts)

    def value_rows(self) -> _U8:
        """All values as rows, uint8 (n, value_width), not copied. `ValueError` if they differ."""
        return _rows("values", self.values, self.value_starts)

    @property
    def nbytes(self) -> int:
        """Bytes of keys and values, without what finds them."""
        return int(
            self.key_starts[-1] - self.key_starts[0] + self.value_starts[-1] - self.value_starts[0]
        )


def _starts(parts: list[bytes]) -> _I64:
    return np.fromiter(chain((0,), accumulate(map(len, parts))), np.int64, len(parts) + 1)


def _cut(arena: _U8, starts: _I64) -> list[bytes]:
    first = int(starts[0])
    data = arena[first : int(starts[-1])]
    width = _width(starts)
    if width:  # a tenth of the time
        rows: list[bytes] = np.ascontiguousarray(data).view(f"V{width}").tolist()
        return rows
    joined = data.tobytes()
    return [joined[start:stop] for start, stop in pairwise((starts - first).tolist())]


def _width(starts: _I64) -> int:
    lengths = np.diff(starts)
    return int(lengths[0]) if len(lengths) and bool((lengths == lengths[0]).all()) else 0


def _rows(what: str, arena: _U8, starts: _I64) -> _U8:
    width, count = _width(starts), len(starts) - 1
    if not width and int(starts[-1]) != int(starts[0]):
        raise ValueError(f"Expected {what} of one length, got several: walk {what[:-1]}_starts")
    return arena[starts[0] : starts[-1]].reshape(count, width)
