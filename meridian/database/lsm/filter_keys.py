"""What of each key a table's filter knows, hashed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from meridian.database.lsm.columns import Columns
from meridian.database.lsm.hashing import hash_columns, hash_many

__all__ = ["checked_filter_key", "filter_hashes"]


def checked_filter_key(
    filter_key: Callable[[bytes], bytes] | None,
) -> Callable[[bytes], bytes] | None:
    """`filter_key`; `TypeError` if it is something that cannot be called."""
    if filter_key is not None and not callable(filter_key):
        raise TypeError(f"Expected filter_key to be callable, got {type(filter_key).__name__}")
    return filter_key


def filter_hashes(
    columns: Columns, filter_key: Callable[[bytes], bytes] | None
) -> npt.NDArray[np.uint64]:
    """`hash64` of the filter key of every entry: uint64[n].

    If `filter_key` has a method ``rows`` from uint8 (n, width) to uint8 (n, any), keys of one width
    go through it together. Raises what `filter_key` raises, `TypeError` if it gives no bytes,
    `ValueError` if ``rows`` does not give a row for each.
    """
    if filter_key is None:
        return hash_columns(columns)
    many = getattr(filter_key, "rows", None)
    if many is None or not columns.key_width:
        return hash_many([filter_key(columns.key(i)) for i in range(len(columns))])
    hashes = hash_many(many(columns.key_rows()))
    if len(hashes) != len(columns):
        raise ValueError(
            f"Expected filter keys of {len(columns):,} entries from {filter_key!r}.rows, got "
            f"{len(hashes):,}"
        )
    return hashes
