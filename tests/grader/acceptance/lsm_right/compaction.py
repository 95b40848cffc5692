"""The same choices, written as searches over lists of numbers."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from .codec import SstMeta
from .keys import TOMBSTONE, Row
from .merge_iter import merge_iterator


class CompactionTask(NamedTuple):
    inputs: tuple[SstMeta, ...]
    output_level: int


def _met(low: bytes, high: bytes, tables: Iterable[SstMeta]) -> list[SstMeta]:
    return [t for t in tables if not (t.max_key < low or high < t.min_key)]


def pick_leveled(
    levels: Sequence[Sequence[SstMeta]],
    *,
    l0_trigger: int = 4,
    level_bytes: int = 256 << 20,
    turn: bytes = b"",
) -> CompactionTask | None:
    padded = [list(level) for level in levels] + [[], []]
    if len(padded[0]) >= l0_trigger:
        low = min(t.min_key for t in padded[0])
        high = max(t.max_key for t in padded[0])
        return CompactionTask(tuple(padded[0] + _met(low, high, padded[1])), 1)
    limit = level_bytes
    for number in range(1, len(levels)):
        tables = padded[number]
        if sum(t.size_bytes for t in tables) > limit:
            at = bisect_right([t.min_key for t in tables], turn) % len(tables)
            chosen = tables[at]
            below = _met(chosen.min_key, chosen.max_key, padded[number + 1])
            return CompactionTask((chosen, *below), number + 1)
        limit *= 10
    return None


def pick_tiered(
    levels: Sequence[Sequence[SstMeta]], *, l0_trigger: int = 4
) -> CompactionTask | None:
    runs = list(levels[0]) if levels else []
    if len(runs) < l0_trigger:
        return None
    chosen = runs[:2]
    for run in runs[2:]:
        if run.size_bytes > sum(t.size_bytes for t in chosen):
            break
        chosen.append(run)
    return CompactionTask(tuple(chosen), 0)


def compacted_rows(inputs: Sequence[Iterable[Row]], older: Sequence[SstMeta]) -> Iterator[Row]:
    def hides(key: bytes) -> bool:
        return any(key >= t.min_key and key <= t.max_key for t in older)

    rows = merge_iterator(inputs, keep_tombstones=True)
    return (row for row in rows if row[1] is not TOMBSTONE or hides(row[0]))
