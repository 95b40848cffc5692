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
    raise NotImplementedError(
        "database/03-lsm #7: merge_iterator() - a heap of (key, source): the newest first, once a key"
    )
