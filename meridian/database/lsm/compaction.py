"""What to merge next, decided on numbers alone: a strategy sees a `Version`, never a file.

Because `pick` is a pure function, a simulator can run years of compactions in seconds, and a test
can put any tree before it.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Protocol

from meridian.database.lsm.options import LsmOptions
from meridian.database.lsm.version import SstMeta, Version

__all__ = [
    "CompactionKind",
    "CompactionTask",
    "Strategy",
    "check_task",
    "key_span",
    "older_than",
    "overlapping",
]


class CompactionKind(enum.Enum):
    """What becomes of the inputs."""

    MERGE = "merge"
    MOVE = "move"
    """They overlap nothing below: only the list of tables changes."""
    DROP = "drop"
    """They are deleted with all they hold."""


@dataclass(frozen=True, slots=True)
class CompactionTask:
    """One step of a strategy, with all that the merge must know.

    `inputs` stand newest first: those of level 0 in its order, then the deeper levels, each in key
    order. `older` are the tables left out that are older than an input: a tombstone stays if one of
    them could hold its key, or what it hides would come back. The bottommost level is no exception,
    and no special case either: there simply is nothing older.
    """

    inputs: tuple[SstMeta, ...]
    output_level: int
    older: tuple[SstMeta, ...] = ()
    kind: CompactionKind = CompactionKind.MERGE
    cursor: tuple[int, bytes] | None = None

    @property
    def size_bytes(self) -> int:
        return sum(meta.size_bytes for meta in self.inputs)

    def could_hide(self, key: bytes) -> bool:
        """Whether a tombstone of `key` may still hide something."""
        return any(meta.min_key <= key <= meta.max_key for meta in self.older)


class Strategy(Protocol):
    """When to compact what. Its methods read their arguments and nothing else."""

    name: str

    def pick(self, version: Version, opts: LsmOptions, *, now_ns: int = 0) -> CompactionTask | None:
        """The most urgent step, or None: all is as it should be."""
        ...

    def full(self, version: Version, opts: LsmOptions) -> CompactionTask | None:
        """The step that leaves nothing to be gained, or None: it was made."""
        ...

    def must_wait(self, version: Version, opts: LsmOptions) -> bool:
        """Whether writers must wait until a compaction has caught up."""
        ...


def overlapping(tables: Iterable[SstMeta], low: bytes, high: bytes) -> tuple[SstMeta, ...]:
    """Those that could hold a key from `low` to `high`, in their order."""
    return tuple(meta for meta in tables if meta.overlaps(low, high))


def key_span(tables: Collection[SstMeta]) -> tuple[bytes, bytes]:
    """The first and the last key that one of `tables` could hold. They are at least one."""
    return min(meta.min_key for meta in tables), max(meta.max_key for meta in tables)


def older_than(version: Version, inputs: Iterable[SstMeta]) -> tuple[SstMeta, ...]:
    """The tables left out that may be older than an input and share a key with one.

    A table of level 0 is older than those before it, a deeper level older than all above.
    """
    ages = _ages(version)
    chosen = list(inputs)
    ids = {meta.sst_id for meta in chosen}
    newest = min((ages[meta.sst_id] for meta in chosen), default=0)
    return tuple(
        meta
        for meta in version.tables
        if meta.sst_id not in ids
        and ages[meta.sst_id] >= newest
        and any(meta.overlaps(each.min_key, each.max_key) for each in chosen)
    )


def check_task(version: Version, task: CompactionTask) -> None:
    """Raise `ValueError` where carrying out `task` would change what a get answers.

    That is, where the output came to stand on the other side of a table left out than an input
    with the same keys did, or overlapped one of its own level.
    """
    ages = _ages(version)
    for meta in task.inputs:
        if meta.sst_id not in ages:
            raise ValueError(f"Expected inputs that count, got {meta}")
    order = [ages[meta.sst_id] for meta in task.inputs]
    if not order or order != sorted(order):
        raise ValueError("Expected inputs, the newest first")
    if task.kind is CompactionKind.DROP:
        return
    # Level 0 puts the output where its newest input stood.
    runs = len(version.level(0))
    place = runs + task.output_level - 1 if task.output_level else order[0]
    if place < order[-1] if task.output_level else place >= runs:
        raise ValueError(f"Expected an output below all inputs, got one in L{task.output_level}")
    chosen = {meta.sst_id for meta in task.inputs}
    for meta in version.tables:
        if meta.sst_id in chosen or not meta.overlaps(*key_span(task.inputs)):
            continue
        age = ages[meta.sst_id]
        if age == place:
            raise ValueError(f"Expected {meta} among the inputs: the output would overlap it")
        if any(
            (ages[each.sst_id] < age) != (place < age)
            for each in task.inputs
            if each.overlaps(meta.min_key, meta.max_key)
        ):
            raise ValueError(f"Expected {meta} among the inputs: the output would pass it")


def _ages(version: Version) -> dict[int, int]:
    """Each table's age, 0 for the newest; the tables of a deeper level share theirs."""
    ages = {meta.sst_id: age for age, meta in enumerate(version.level(0))}
    first = len(ages)
    for depth, level in enumerate(version.levels[1:]):
        ages.update((meta.sst_id, first + depth) for meta in level)
    return ages
