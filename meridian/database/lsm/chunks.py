"""Merge sorted runs a stretch at a time, so that their size does not matter.

What `merge_iter` does entry by entry, here in columns: of every run a stretch is in memory, all are
cut where the shortest ends, and the pieces are merged by one kernel.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from meridian.database.lsm.columns import Columns
from meridian.database.lsm.merge import merge_columns
from meridian.database.lsm.ordering import concat
from meridian.database.lsm.sstable import SSTable

__all__ = [
    "first_above",
    "first_from",
    "merge_chunks",
    "run_chunks",
    "whole_groups",
]

_FIRST_BLOCKS: Final = 4  # of a scan that may end soon
_MOST_BLOCKS: Final = 256


def first_from(columns: Columns, key: bytes) -> int:
    """How many keys of `columns`, which ascend, are below `key`."""
    return bisect_left(range(len(columns)), key, key=columns.key)


def first_above(columns: Columns, key: bytes) -> int:
    """How many keys of `columns`, which ascend, are not above `key`."""
    return bisect_right(range(len(columns)), key, key=columns.key)


def run_chunks(
    tables: Sequence[SSTable],
    low: bytes | None = None,
    high: bytes | None = None,
    *,
    first_blocks: int = _FIRST_BLOCKS,
    most_blocks: int = _MOST_BLOCKS,
) -> Iterator[Columns]:
    """The entries of one sorted run from `low` to `high`, both included, a few blocks at a time.

    `tables` ascend and do not overlap. Every stretch has twice the blocks of the one before, so
    that a scan that ends soon has read little.
    """
    count = first_blocks
    for table in tables:
        firsts, lasts = table.index.first_keys, table.index.last_keys
        block = 0 if low is None else bisect_left(lasts, low)
        behind = len(firsts) if high is None else bisect_right(firsts, high)
        while block < behind:
            stop = min(block + count, behind)
            start = firsts[block] if low is None else max(low, firsts[block])
            end = lasts[stop - 1] if high is None else min(high, lasts[stop - 1])
            if start <= end:
                columns = table.columns(start, end)
                if len(columns):
                    yield columns
            block, count = stop, min(2 * count, most_blocks)


def merge_chunks(
    sources: Sequence[Iterable[Columns]], *, keep_tombstones: bool = True
) -> Iterator[Columns]:
    """One sorted run of all `sources`, the newest first, each a sorted run in stretches.

    Of a key in several sources the first one's entry stays.
    """
    runs = [iter(source) for source in sources]
    waiting = list(range(len(runs)))  # runs that may have more than their head
    heads = [_NOTHING] * len(runs)
    while True:
        for which in list(waiting):
            while not len(heads[which]):
                following = next(runs[which], None)
                if following is None:
                    waiting.remove(which)
                    break
                heads[which] = following
        filled = [which for which in range(len(runs)) if len(heads[which])]
        if not filled:
            return
        # A run that ended has nothing behind its head, so it need not hold the others up.
        last_keys = [
            heads[which].key(len(heads[which]) - 1) for which in filled if which in waiting
        ]
        bound = min(last_keys, default=None)
        parts = []
        for which in filled:
            head = heads[which]
            cut = len(head) if bound is None else first_above(head, bound)
            if cut:
                parts.append(head[:cut])
            heads[which] = head[cut:]
        merged = merge_columns(parts, keep_tombstones=keep_tombstones)
        if len(merged):
            yield merged


def whole_groups(
    chunks: Iterable[Columns], group_of: Callable[[bytes], bytes]
) -> Iterator[Columns]:
    """The same entries, cut only between keys of different groups."""
    held: list[Columns] = []
    for chunk in chunks:
        group = group_of(chunk.key(len(chunk) - 1))
        # Where the last group begins: its keys stand together.
        low, high = 0, len(chunk) - 1
        while low < high:
            middle = (low + high) >> 1
            if group_of(chunk.key(middle)) == group:
                high = middle
            else:
                low = middle + 1
        if low or (held and group_of(held[0].key(0)) != group):
            held.append(chunk[:low])
            yield concat([part for part in held if len(part)])
            held = []
        held.append(chunk[low:])
    if held:
        yield concat(held)


_NOTHING = Columns.of(())
