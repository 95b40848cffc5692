"""Leveled compaction: every level one sorted run, ten times the one above.

LevelDB's and RocksDB's default shape: a key is in at most one table per level, so reads stay
short and dead versions few; each byte is rewritten about once per level and size ratio for it.
"""

from __future__ import annotations

from meridian.database.lsm.compaction import (
    CompactionKind,
    CompactionTask,
    key_span,
    older_than,
    overlapping,
)
from meridian.database.lsm.options import LsmOptions
from meridian.database.lsm.version import SstMeta, Version

__all__ = ["Leveled"]


class Leveled:
    """First empty level 0 when it has `l0_trigger` tables, then mend the fullest level.

    Within a level the tables take turns by key (the version remembers where it stopped): choosing
    always the first would rewrite one end of the key range for ever.
    """

    name = "leveled"

    def pick(self, version: Version, opts: LsmOptions, *, now_ns: int = 0) -> CompactionTask | None:
        del now_ns
        zero = version.level(0)
        if len(zero) >= opts.l0_trigger:
            low, high = key_span(zero)
            inputs = zero + overlapping(version.level(1), low, high)
            return CompactionTask(inputs, 1, older_than(version, inputs))
        score, level = max(
            (
                (sum(meta.size_bytes for meta in tables) / opts.level_target_bytes(number), -number)
                for number, tables in enumerate(version.levels[: opts.max_levels - 1])
                if number
            ),
            default=(0.0, 0),
        )
        return self._push_down(version, -level) if score > 1 else None

    def full(self, version: Version, opts: LsmOptions) -> CompactionTask | None:
        """Everything into the deepest level in use."""
        deepest = max((n for n, tables in enumerate(version.levels) if tables), default=0)
        tables = version.tables
        done = deepest and len(tables) == len(version.level(deepest))
        if not tables or (
            done and opts.compaction_filter is None and not any(meta.tombstones for meta in tables)
        ):
            return None
        return CompactionTask(tables, max(deepest, 1))

    def must_wait(self, version: Version, opts: LsmOptions) -> bool:
        return len(version.level(0)) >= opts.l0_stop

    def _push_down(self, version: Version, level: int) -> CompactionTask:
        chosen = self._next(version.level(level), version.cursor(level))
        below = overlapping(version.level(level + 1), chosen.min_key, chosen.max_key)
        inputs = (chosen, *below)
        older = older_than(version, inputs)
        # A table with tombstones that hide nothing more is rewritten, to be rid of them.
        movable = not below and not (chosen.tombstones and not older)
        return CompactionTask(
            inputs,
            level + 1,
            older,
            CompactionKind.MOVE if movable else CompactionKind.MERGE,
            cursor=(level, chosen.max_key),
        )

    @staticmethod
    def _next(tables: tuple[SstMeta, ...], cursor: bytes) -> SstMeta:
        return next((meta for meta in tables if meta.min_key > cursor), tables[0])
