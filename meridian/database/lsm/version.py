"""Which tables count: one immutable picture of them, and the edits that lead to the next.

A reader takes the current `Version` once, by one attribute access, and sees the same tables to its
end, whatever is flushed or compacted meanwhile. A writer builds the next one and puts it in place.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import NamedTuple

__all__ = ["SstMeta", "Version", "VersionEdit", "table_name"]


def table_name(sst_id: int) -> str:
    """The file name of a table: six digits or more, a higher number is newer."""
    return f"sst_{sst_id:06d}.dat"


class SstMeta(NamedTuple):
    """What is known of a table without opening it."""

    sst_id: int
    level: int
    size_bytes: int
    min_key: bytes
    max_key: bytes
    entries: int
    """Tombstones included."""
    tombstones: int
    max_lsn: int = 0
    """The newest write in it."""
    created_ns: int = 0
    """When it began to count, by the wall clock. In the list of tables only, never in the file:
    the same entries make the same bytes."""

    def overlaps(self, low: bytes, high: bytes) -> bool:
        """Whether a key from `low` to `high`, both included, could be in the table."""
        return self.min_key <= high and low <= self.max_key

    def __str__(self) -> str:
        return f"{table_name(self.sst_id)} in L{self.level}"


@dataclass(frozen=True, slots=True)
class VersionEdit:
    """One step: these tables count from now on, those no longer.

    `flushed_lsn` is the newest write that is in tables, `None` where the step does not change
    it; `next_id` the first number that no table was ever given; `cursor` a level and a key, where
    the strategy goes on when it next chooses a table of that level.
    """

    added: tuple[SstMeta, ...] = ()
    removed: tuple[int, ...] = ()
    flushed_lsn: int | None = None
    next_id: int | None = None
    cursor: tuple[int, bytes] | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """The tables that count, by level, and how far they reach.

    Level 0 holds whole memtables, and with tiered compaction all sorted runs: they may overlap,
    and stand newest first. The tables of a deeper level never overlap, and stand in key order.
    """

    levels: tuple[tuple[SstMeta, ...], ...] = field(default=((),))
    flushed_lsn: int = 0
    next_id: int = 1
    cursors: tuple[tuple[int, bytes], ...] = ()
    """By level, where choosing goes on: LevelDB's compaction pointers."""

    @property
    def tables(self) -> tuple[SstMeta, ...]:
        """All of them, newest first where that is known: level 0, then 1, and so on."""
        return tuple(meta for level in self.levels for meta in level)

    @property
    def size_bytes(self) -> int:
        return sum(meta.size_bytes for meta in self.tables)

    def level(self, number: int) -> tuple[SstMeta, ...]:
        """The tables of a level, none if there is no such level yet."""
        return self.levels[number] if number < len(self.levels) else ()

    def cursor(self, level: int) -> bytes:
        """Choose the next table of `level` after this key; ``b""``: from the first."""
        return dict(self.cursors).get(level, b"")

    def applied(self, edit: VersionEdit) -> Version:
        """The next version.

        Raises `ValueError` where the edit does not fit: it removes what is not there, adds what is,
        or tables of a deeper level would overlap.
        """
        here = {meta.sst_id for meta in self.tables}
        unknown = [sst_id for sst_id in edit.removed if sst_id not in here]
        if unknown:
            raise ValueError(
                f"Expected to remove a table that counts, got {table_name(unknown[0])}"
            )
        here.difference_update(edit.removed)
        again = [meta for meta in edit.added if meta.sst_id in here]
        if again:
            raise ValueError(f"Expected new tables, got {again[0]}, which is there already")
        removed = frozenset(edit.removed)
        depth = max([len(self.levels), *(meta.level + 1 for meta in edit.added)])
        levels = [
            _next_level(
                number, self.level(number), removed, [m for m in edit.added if m.level == number]
            )
            for number in range(depth)
        ]
        newest = max([self.next_id - 1, *(meta.sst_id for meta in edit.added)]) + 1
        cursors = dict(self.cursors)
        if edit.cursor is not None:
            cursors[edit.cursor[0]] = edit.cursor[1]
        return replace(
            self,
            cursors=tuple(sorted(cursors.items())),
            levels=tuple(levels),
            flushed_lsn=self.flushed_lsn if edit.flushed_lsn is None else edit.flushed_lsn,
            next_id=max(newest, edit.next_id or 0),
        )


def _next_level(
    number: int, before: tuple[SstMeta, ...], removed: frozenset[int], added: list[SstMeta]
) -> tuple[SstMeta, ...]:
    if number == 0:
        # What runs were merged into is as old as they were; what was flushed is the newest.
        place = next((i for i, meta in enumerate(before) if meta.sst_id in removed), 0)
        newer = tuple(meta for meta in before[:place] if meta.sst_id not in removed)
        older = tuple(meta for meta in before[place:] if meta.sst_id not in removed)
        return newer + tuple(added) + older
    kept = [meta for meta in before if meta.sst_id not in removed]
    ordered = sorted(kept + added, key=lambda meta: meta.min_key)
    for left, right in pairwise(ordered):
        if right.min_key <= left.max_key:
            raise ValueError(f"Expected tables that do not overlap, got {left} and {right}")
    return tuple(ordered)
