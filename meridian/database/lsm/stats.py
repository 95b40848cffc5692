"""What an engine has done and what it keeps: the numbers behind the three amplifications."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Counters", "LsmStats"]


@dataclass(slots=True)
class Counters:
    """What flushes, compactions and waiting writers count."""

    flushes: int = 0
    flush_bytes: int = 0
    compactions: int = 0
    moves: int = 0
    drops: int = 0
    compaction_read_bytes: int = 0
    compaction_bytes: int = 0
    stalls: int = 0
    stall_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LsmStats:
    """`LsmEngine.stats()`: a frozen picture. Counts are since the engine was opened.

    Readers take no lock, so while several read at once a count of theirs may come out low.
    """

    files_per_level: tuple[int, ...]
    bytes_per_level: tuple[int, ...]
    memtable_bytes: int
    """Keys and values in the active memtable."""
    immutables: int
    """Frozen memtables that wait for their flush."""
    immutable_bytes: int
    live_bytes: int | None = None
    """Keys and values that a scan would give, if asked for: finding out is a scan."""

    gets: int
    range_skipped: int
    """Tables passed over because the key was outside their range."""
    bloom_checked: int
    """Tables whose range held the key, so that their filter was asked."""
    bloom_skipped: int
    """Tables passed over because their filter said no."""
    bloom_false_positives: int
    """Tables read in vain: their filter had said maybe."""
    block_reads: int
    cache_hits: int
    cache_misses: int

    user_bytes: int
    """Keys and values as they were given."""
    flushes: int
    flush_bytes: int
    compactions: int
    """Merges, without those that only moved a table down or dropped it."""
    moves: int
    drops: int
    compaction_read_bytes: int
    compaction_bytes: int
    """Written by compactions."""
    stalls: int
    """How often a writer had to wait for a flush or a compaction, and how long in all."""
    stall_s: float

    @property
    def table_bytes(self) -> int:
        return sum(self.bytes_per_level)

    @property
    def write_amp(self) -> float:
        """Bytes written to tables for each byte given; 0 before the first flush."""
        written = self.flush_bytes + self.compaction_bytes
        return written / self.user_bytes if self.user_bytes else 0.0

    @property
    def read_amp(self) -> float:
        """Tables consulted, filter or block, for each get."""
        return self.bloom_checked / self.gets if self.gets else 0.0

    @property
    def space_amp(self) -> float | None:
        """Bytes of tables for each live byte; None unless `live_bytes` is known, and any."""
        return self.table_bytes / self.live_bytes if self.live_bytes else None
