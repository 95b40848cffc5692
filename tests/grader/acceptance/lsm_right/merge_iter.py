"""The standard library's merge, and the first row of each key."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from .keys import TOMBSTONE, Row


def merge_iterator(
    sources: Sequence[Iterable[Row]], *, keep_tombstones: bool = False
) -> Iterator[Row]:
    merged = heapq.merge(*sources, key=itemgetter(0))  # stable: the newest source comes first
    for _, versions in groupby(merged, key=itemgetter(0)):
        row = next(versions)
        if keep_tombstones or row[1] is not TOMBSTONE:
            yield row
