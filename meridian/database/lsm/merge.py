"""Several sorted sources as one, where the newest of each key wins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import heapify, heappop, heapreplace
from itertools import chain, islice
from typing import Any

import numpy as np
import numpy.typing as npt

from meridian.database.lsm import _merge_kernels as kernels
from meridian.database.lsm.columns import Columns
from meridian.database.lsm.errors import OutOfOrder
from meridian.database.lsm.ordering import concat, take
from meridian.database.lsm.types import TOMBSTONE, Value
from meridian.database.storage._kernels import read_only

__all__ = ["kway_merge", "merge_columns", "merge_iter"]

_Entry = tuple[bytes, Value]
_NO_BYTES = read_only(np.empty(0, np.uint8)), read_only(np.empty(0, np.int64))


def merge_iter(
    sources: Sequence[Iterable[_Entry]], *, keep_tombstones: bool = False
) -> Iterator[_Entry]:
    """The entries of all `sources`, in order of keys, each key once.

    Sources are given newest first, and each ascends. Under a key that several hold, that of the
    newest counts; if it is a tombstone the key is left out, unless `keep_tombstones`. Nothing is
    read ahead but one entry of each source.

    Raises `OutOfOrder` when a source goes back.
    """
    heap: list[tuple[bytes, int, _Entry, Iterator[_Entry]]] = []
    for age, source in enumerate(map(iter, sources)):
        heap += [(entry[0], age, entry, source) for entry in islice(source, 1)]
    heapify(heap)
    last = b""  # no key is empty
    while len(heap) > 1:
        key, age, entry, source = heap[0]
        if key > last:
            last = key
            if keep_tombstones or entry[1] is not TOMBSTONE:
                yield entry
        elif key < last:
            raise OutOfOrder(key, last)
        for entry in source:
            heapreplace(heap, (entry[0], age, entry, source))
            break
        else:
            heappop(heap)
    for _, _, entry, source in heap:  # the last one needs no comparing
        for key, value in chain((entry,), source):
            if key > last:
                last = key
                if keep_tombstones or value is not TOMBSTONE:
                    yield key, value
            elif key < last:
                raise OutOfOrder(key, last)


def merge_columns(sources: Sequence[Columns], *, keep_tombstones: bool = True) -> Columns:
    """`merge_iter` over columns, as columns: all at once, the GIL free meanwhile.

    A single source is given back as it is, unless tombstones are dropped from it. Of several,
    raises `OutOfOrder` when one goes back, `ValueError` where one points outside its arrays.
    """
    sources = [source for source in sources if len(source)]
    if not sources:
        return Columns.of(())
    if len(sources) == 1 and (keep_tombstones or not sources[0].tombstones.any()):
        return sources[0]
    whole = concat(sources)
    bounds = np.cumsum([0, *map(len, sources)])
    data, starts = read_only(whole.keys), read_only(whole.key_starts)
    words = np.empty(len(whole), np.uint64)
    kernels.first_windows(data, starts, _common_prefix(sources), words)
    row = kernels.first_descent(read_only(words), data, starts, bounds)
    if row >= 0:
        raise OutOfOrder(whole.key(row), whole.key(row - 1))
    words, rows = kernels.merge_runs(read_only(words), data, starts, bounds)
    rows = rows[: kernels.drop_older(words, data, starts, rows)]
    if not keep_tombstones:
        rows = rows[~whole.tombstones[rows]]
    return take(whole, rows)


def kway_merge(
    keys: Sequence[npt.NDArray[np.unsignedinteger[Any]]],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Where the elements of sorted arrays stand in the order of all: (source, row), each [n].

    Equal ones stand in the order of their arrays, and none is left out. Arrays are of unsigned
    integers. Raises `TypeError` for others, `ValueError` for more than one dimension and for an
    array that goes back.
    """
    for one in keys:
        if not isinstance(one, np.ndarray) or one.dtype.kind != "u":
            got = one.dtype if isinstance(one, np.ndarray) else type(one).__name__
            raise TypeError(f"Expected sorted arrays of unsigned integers, got {got}")
        if one.ndim != 1:
            raise ValueError(f"Expected sorted arrays of one dimension, got {one.ndim}")
    bounds = np.cumsum([0, *map(len, keys)])
    words = read_only(np.concatenate([np.empty(0, np.uint64), *keys], dtype=np.uint64))
    row = kernels.first_descent(words, *_NO_BYTES, bounds)
    if row >= 0:
        raise ValueError(f"Expected sorted arrays, got {words[row]} after {words[row - 1]}")
    _, rows = kernels.merge_runs(words, *_NO_BYTES, bounds)
    sources = np.repeat(np.arange(len(keys), dtype=np.int32), [*map(len, keys)])[rows]
    return sources, rows - bounds[sources]


def _common_prefix(sources: Sequence[Columns]) -> int:
    """How many bytes all keys begin with alike: those of the least and the greatest do."""
    least = min(source.key(0) for source in sources)
    greatest = max(source.key(len(source) - 1) for source in sources)
    pairs = zip(least, greatest, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(least), len(greatest)))
