"""Which tables to merge, and what of their rows to keep. Nothing here reads or writes a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from .codec import SstMeta
from .keys import Row, Tombstone
from .merge_iter import merge_iterator

RATIO = 10  # each level may hold this many times what the one above it may

Levels = Sequence[Sequence[SstMeta]]


class CompactionTask(NamedTuple):
    """Merge `inputs`, newest first, into tables of level `output_level`."""

    inputs: tuple[SstMeta, ...]
    output_level: int


def overlapping(tables: Iterable[SstMeta], others: Iterable[SstMeta]) -> list[SstMeta]:
    """Given. Those of `others` whose key range meets the range of all `tables` together."""
    chosen = list(tables)
    low, high = min(t.min_key for t in chosen), max(t.max_key for t in chosen)
    return [other for other in others if other.min_key <= high and low <= other.max_key]


def pick_leveled(
    levels: Levels, *, l0_trigger: int = 4, level_bytes: int = 256 << 20, turn: bytes = b""
) -> CompactionTask | None:
    """What is due, or `None`.

    `levels[0]` are flushed tables, newest first, which may overlap. In each deeper level tables
    are sorted and do not. First: `l0_trigger` tables or more in level 0: all of them, and the
    tables of level 1 that they overlap, into level 1. Then: a level n >= 1 with more than
    `level_bytes * RATIO ** (n - 1)` bytes: its first table whose smallest key is greater than
    `turn` (else its first), and the tables below that it overlaps, into level n + 1. `turn` is
    the largest key that was moved down before, so that all take their turn.
    """
    raise NotImplementedError(
        "database/03-lsm #6: pick_leveled() - level 0 by count, deeper levels by bytes and in turn"
    )


def pick_tiered(levels: Levels, *, l0_trigger: int = 4) -> CompactionTask | None:
    """Bonus: the same question for tiers; all tables are runs in level 0, newest first.

    With `l0_trigger` runs or more: the newest run, and each older one as long as it is no larger
    than all chosen before it together; at least two. The result stays in level 0, in their place.
    """
    raise NotImplementedError(
        "database/03-lsm #tiered: pick_tiered() - from the newest run on, while sizes are alike"
    )


def compacted_rows(inputs: Sequence[Iterable[Row]], older: Sequence[SstMeta]) -> Iterator[Row]:
    """The rows that merging `inputs` (newest first) must write.

    A tombstone may go only when no table outside of the inputs that is older, one of `older`,
    could hold its key; the bottom level is not the only place where an older version can be.
    """
    raise NotImplementedError(
        "database/03-lsm #6: compacted_rows() - merge, keep tombstones that still hide something"
    )
