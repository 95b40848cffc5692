"""Read in order what is there at one moment: rows, columns, or only the next entry."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from meridian.database.lsm.chunks import merge_chunks, run_chunks
from meridian.database.lsm.columns import Columns
from meridian.database.lsm.memtable import MemTable
from meridian.database.lsm.options import PrefixFilterKey
from meridian.database.lsm.ordering import concat
from meridian.database.lsm.sstable import ReadCounters, SSTable
from meridian.database.lsm.state import State, TableSet
from meridian.database.lsm.types import Value

__all__ = ["all_columns", "in_memory", "merged", "next_entry", "rows"]


def in_memory(table: MemTable, low: bytes | None, high: bytes | None, limit: int | None) -> Columns:
    """What a memtable holds in a range, as of now; no more of it than `limit` rows can need."""
    if limit is None:
        return table.columns(low, high)
    # Tombstones among the first entries give no rows, but there are only so many of them.
    return Columns.of(table.items(low, high, limit=limit + table.tombstones))


def rows(
    memory: Sequence[Columns],
    tables: TableSet,
    low: bytes | None,
    high: bytes | None,
    limit: int | None,
    *,
    keep_tombstones: bool,
) -> Iterator[tuple[bytes, Value]]:
    """The merged entries, read as they are asked for. The tables stay while this is alive."""
    left = limit
    for columns in merged(memory, tables, low, high, keep_tombstones=keep_tombstones):
        if left is not None:
            if len(columns) >= left:
                yield from columns[:left].items()
                return
            left -= len(columns)
        yield from columns.items()


def all_columns(
    memory: Sequence[Columns], tables: TableSet, low: bytes | None, high: bytes | None
) -> Columns:
    """All of them at once, without tombstones."""
    chunks = merged(memory, tables, low, high, keep_tombstones=False, first_blocks=256)
    return concat([*chunks])


def merged(
    memory: Sequence[Columns],
    tables: TableSet,
    low: bytes | None,
    high: bytes | None,
    *,
    keep_tombstones: bool,
    first_blocks: int = 4,
) -> Iterator[Columns]:
    """All sources as one sorted run, in stretches."""
    sources: list[Iterable[Columns]] = [[columns] for columns in memory]
    sources += [run_chunks(run, low, high, first_blocks=first_blocks) for run in tables.runs]
    return merge_chunks(sources, keep_tombstones=keep_tombstones)


def next_entry(
    state: State, start: bytes, prefix: bytes, counters: ReadCounters
) -> tuple[bytes, Value] | None:
    """The first merged entry from `start` on that begins with `prefix`, tombstones too."""
    start = max(start, prefix) or b"\0"  # the least key there is
    if not start.startswith(prefix):  # it is beyond all of them
        return None
    best: tuple[bytes, Value] | None = None
    for memtable in (state.active, *(each.memtable for each in state.frozen)):
        for first in memtable.items(start, limit=1):
            if best is None or first[0] < best[0]:
                best = first
    filter_key = state.tables.filter_key
    known = filter_key.of_prefix(prefix) if isinstance(filter_key, PrefixFilterKey) else None
    for run in state.tables.runs:
        entry = _first_of_run(run, start, prefix, known, counters)
        if entry is not None and (best is None or entry[0] < best[0]):
            best = entry
    return best if best is not None and best[0].startswith(prefix) else None


def _first_of_run(
    run: Sequence[SSTable],
    start: bytes,
    prefix: bytes,
    known: bytes | None,
    counters: ReadCounters,
) -> tuple[bytes, Value] | None:
    number = bisect_left(run, start, key=_last_key)
    while number < len(run):
        table = run[number]
        first = table.meta.min_key
        if first > start and not first.startswith(prefix):  # beyond the prefix, as all that follow
            return None
        if known is None or _admits(table, known, counters):
            return table.seek(start)
        # No key with the prefix is in this table; the next may begin with one.
        number += 1
    return None


def _admits(table: SSTable, filter_key: bytes, counters: ReadCounters) -> bool:
    counters.bloom_checked += 1
    if table.filter.may_contain(filter_key):
        return True
    counters.bloom_skipped += 1
    return False


def _last_key(table: SSTable) -> bytes:
    return table.meta.max_key
