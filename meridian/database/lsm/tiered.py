"""Tiered compaction, RocksDB's "universal": sorted runs of similar size are merged together.

A byte is rewritten once per tier instead of ten times per level; reads and space pay for it. The
triggers are mini-lsm's: space first, then size ratio, then the number of runs.
"""

from __future__ import annotations

from itertools import accumulate

from meridian.database.lsm.compaction import CompactionTask, older_than
from meridian.database.lsm.options import LsmOptions
from meridian.database.lsm.version import Version

__all__ = ["Tiered"]


class Tiered:
    """All runs stand in level 0, newest first, one table each; neighbours are merged into one."""

    name = "tiered"

    def pick(self, version: Version, opts: LsmOptions, *, now_ns: int = 0) -> CompactionTask | None:
        del now_ns
        runs = version.level(0)
        if len(runs) < opts.num_tiers:
            return None
        sizes = [meta.size_bytes for meta in runs]
        if 100 * sum(sizes[:-1]) >= opts.max_size_amp_percent * sizes[-1]:
            return self._merge(version, len(runs))
        newer = list(accumulate(sizes))
        for count in range(opts.min_merge_width, len(runs)):
            if 100 * sizes[count] > (100 + opts.size_ratio_percent) * newer[count - 1]:
                return self._merge(version, count)
        # One fewer than the trigger is left.
        return self._merge(version, max(len(runs) - opts.num_tiers + 2, opts.min_merge_width))

    def full(self, version: Version, opts: LsmOptions) -> CompactionTask | None:
        """One run of all."""
        tables = version.tables
        alone = len(tables) == 1 and opts.compaction_filter is None and not tables[0].tombstones
        if not tables or alone:
            return None
        # Without a run to stand in for, the output belongs below what is flushed meanwhile.
        return CompactionTask(tables, 0 if version.level(0) else len(version.levels) - 1)

    def must_wait(self, version: Version, opts: LsmOptions) -> bool:
        return len(version.level(0)) >= max(opts.l0_stop, opts.num_tiers)

    def _merge(self, version: Version, count: int) -> CompactionTask:
        inputs = version.level(0)[:count]
        return CompactionTask(inputs, 0, older_than(version, inputs))
