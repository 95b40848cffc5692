"""Sort keys without comparing Python objects: by their first bytes as numbers, then the rest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from meridian.database.lsm import _order_kernels as kernels
from meridian.database.lsm.arenas import Rows, joined
from meridian.database.lsm.columns import Columns
from meridian.database.lsm.types import TOMBSTONE, Value
from meridian.database.storage._kernels import read_only

__all__ = ["as_columns", "in_order", "key_order", "sorted_columns"]

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


def as_columns(keys: Sequence[bytes], values: Sequence[Value]) -> Columns:
    """Entries as columns, in their order."""
    if TOMBSTONE in values:
        dead = np.fromiter((value is TOMBSTONE for value in values), np.bool_, len(values))
        values = [b"" if value is TOMBSTONE else value for value in values]
    else:
        dead = np.zeros(len(values), np.bool_)
    return Columns(*joined(keys), *joined(values), dead)  # type: ignore[arg-type]


def sorted_columns(keys: Sequence[bytes], values: Sequence[Value]) -> Columns:
    """Entries in any order, no key twice, as columns in the order of keys."""
    given = as_columns(keys, values)
    order = key_order(given.keys, given.key_starts)
    return Columns(
        *_gathered(given.keys, given.key_starts, order),
        *_gathered(given.values, given.value_starts, order),
        given.tombstones[order],
    )


def _gathered(data: Rows, starts: _I64, order: _I64) -> tuple[Rows, _I64]:
    out, out_starts = np.empty(len(data), np.uint8), np.zeros(len(order) + 1, np.int64)
    kernels.gather(read_only(data), read_only(starts), order, out, out_starts)
    return out, out_starts
