"""Sort keys without comparing Python objects: by their first bytes as numbers, then the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from meridian.database.lsm import _order_kernels as kernels
from meridian.database.lsm.arenas import Rows, joined
from meridian.database.lsm.columns import Columns
from meridian.database.lsm.types import TOMBSTONE, Value
from meridian.database.storage._kernels import read_only

__all__ = ["as_columns", "concat", "in_order", "key_order", "sorted_columns", "take"]

_I64 = npt.NDArray[np.int64]


def key_order(data: Rows, starts: _I64) -> _I64:
    """The rows in the order of their keys ``data[starts[i] : starts[i + 1]]``: int64[n].

    The GIL is free meanwhile.
    """
    order: _I64 = kernels.key_order(read_only(data), read_only(starts))
    return order


def in_order(keys: Sequence[bytes]) -> list[bytes]:
    """``sorted(keys)``, in a fifth of the time where there are thousands."""
    return [*map(keys.__getitem__, key_order(*joined(keys)).tolist())]


def as_columns(
    keys: Sequence[bytes], values: Sequence[Value], *, tombstones: bool = True
) -> Columns:
    """Entries as columns, in their order; without `tombstones` none is looked for."""
    if tombstones and TOMBSTONE in values:
        dead = np.fromiter((value is TOMBSTONE for value in values), np.bool_, len(values))
        values = [b"" if value is TOMBSTONE else value for value in values]
    else:
        dead = np.zeros(len(values), np.bool_)
    return Columns(*joined(keys), *joined(values), dead)  # type: ignore[arg-type]


def sorted_columns(
    keys: Sequence[bytes], values: Sequence[Value], *, tombstones: bool = True
) -> Columns:
    """Entries in any order, no key twice, as columns in the order of keys."""
    given = as_columns(keys, values, tombstones=tombstones)
    return _gathered(given, key_order(given.keys, given.key_starts))


def take(columns: Columns, rows: npt.NDArray[np.integer[Any] | np.bool_]) -> Columns:
    """The entries `rows`, by number or as a mask bool[n], copied in that order.

    Raises `TypeError` for rows that are neither, `IndexError` for one that is not there,
    `ValueError` where columns point outside their arrays.
    """
    if rows.dtype.kind not in "iub":
        raise TypeError(f"Expected rows as ints or a mask, got {rows.dtype}")
    _check(columns)
    return _gathered(columns, np.arange(len(columns))[rows])


def concat(parts: Sequence[Columns]) -> Columns:
    """All entries, those of the first part first, copied.

    Raises `ValueError` where one points outside its arrays.
    """
    for part in parts:
        _check(part)
    keys, key_starts = _laid_out([(part.keys, part.key_starts) for part in parts])
    values, value_starts = _laid_out([(part.values, part.value_starts) for part in parts])
    dead = np.concatenate([np.empty(0, np.bool_), *(part.tombstones for part in parts)])
    return Columns(keys, key_starts, values, value_starts, dead)


def _check(columns: Columns) -> None:
    for what, data, starts in (
        ("keys", columns.keys, columns.key_starts),
        ("values", columns.values, columns.value_starts),
    ):
        if len(starts) != len(columns) + 1 or not kernels.inside(read_only(starts), len(data)):
            raise ValueError(
                f"Expected {len(columns):,} {what} inside their array of {len(data):,} bytes, got "
                f"{what[:-1]}_starts that do not ascend in it"
            )


def _laid_out(strings: list[tuple[Rows, _I64]]) -> tuple[Rows, _I64]:
    used = [data[starts[0] : starts[-1]] for data, starts in strings]
    ends, end = [np.zeros(1, np.int64)], 0
    for (_, starts), data in zip(strings, used, strict=True):
        ends.append(starts[1:] - starts[0] + end)
        end += len(data)
    return np.concatenate([np.empty(0, np.uint8), *used]), np.concatenate(ends)


def _gathered(columns: Columns, order: _I64) -> Columns:
    return Columns(
        *_strings(columns.keys, columns.key_starts, order),
        *_strings(columns.values, columns.value_starts, order),
        columns.tombstones[order],
    )


def _strings(data: Rows, starts: _I64, order: _I64) -> tuple[Rows, _I64]:
    out_starts = np.zeros(len(order) + 1, np.int64)
    np.cumsum(np.diff(starts)[order], out=out_starts[1:])
    out = np.empty(int(out_starts[-1]), np.uint8)
    kernels.gather(read_only(data), read_only(starts), order, out)
    return out, out_starts
