"""FIFO "compaction": a window of time on disk. The oldest tables are dropped, none is merged."""

from __future__ import annotations

from meridian.database.lsm.compaction import CompactionKind, CompactionTask
from meridian.database.lsm.options import LsmOptions
from meridian.database.lsm.version import Version

__all__ = ["Fifo"]


class Fifo:
    """Keep the newest `fifo_bytes`, nothing older than `fifo_ttl_s`. Write amplification is 1.

    It loses data on purpose, and whole tables of it: a deleted key comes to nothing in the end, but
    so does every other.
    """

    name = "fifo"

    def pick(self, version: Version, opts: LsmOptions, *, now_ns: int = 0) -> CompactionTask | None:
        kept = version.tables
        total = version.size_bytes
        while kept and total > opts.fifo_bytes:
            total -= kept[-1].size_bytes
            kept = kept[:-1]
        if opts.fifo_ttl_s is not None:
            expired_ns = now_ns - int(opts.fifo_ttl_s * 1e9)
            while kept and kept[-1].created_ns < expired_ns:
                kept = kept[:-1]
        dropped = version.tables[len(kept) :]
        return CompactionTask(dropped, 0, kind=CompactionKind.DROP) if dropped else None

    def full(self, version: Version, opts: LsmOptions) -> CompactionTask | None:
        """None: what may go is gone."""
        del version, opts
        return None

    def must_wait(self, version: Version, opts: LsmOptions) -> bool:
        del version, opts
        return False
