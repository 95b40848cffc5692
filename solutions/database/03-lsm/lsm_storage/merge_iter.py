"""Several sorted sources as one, the newest version of each key."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence

from .keys import Row, Tombstone


def merge_iterator(
    sources: Sequence[Iterable[Row]], *, keep_tombstones: bool = False
) -> Iterator[Row]:
    """One row per key, ascending; where several sources have the key, the first of them wins.

    `sources` are sorted, and come newest first. A key whose newest version is a tombstone is left
    out, unless `keep_tombstones`.
    """
    ### BEGIN SOLUTION #7: merge_iterator() - a heap of (key, source): the newest first, once a key
    heap = []
    for number, source in enumerate(sources):
        rows = iter(source)
        for key, value in rows:
            heap.append((key, number, value, rows))
            break
    heapq.heapify(heap)
    last = None
    while heap:
        key, number, value, rows = heap[0]
        if key != last:
            last = key
            if keep_tombstones or not isinstance(value, Tombstone):
                yield key, value
        for row in rows:
            heapq.heapreplace(heap, (row[0], number, row[1], rows))
            break
        else:
            heapq.heappop(heap)
    ### END SOLUTION
