"""Criteria 6 and 7: sixteen frames, no pin left, and the acceptance run.

Evictions and pins are those of the pool that the judge's probe made beside the tree.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from grader.acceptance.database._btree import (
    BOUNDS,
    BULK,
    MAX_KEY,
    RANGE,
    SMALL,
    SPLITS,
    Index,
    opened,
    random_keys,
    record_ids,
    stored,
)
from grader.acceptance.database._btree_walk import LEAF_CAP, walk
from grader.judging.compare import expect, require, show
from grader.proxy.submission import Submission

FRAMES = 16
KEYS = 10_000
OPEN = 20  # ranges at once, more than there are frames
BASES = (RANGE, BOUNDS, *SPLITS, BULK, "5")


@pytest.mark.criterion("6", points=6, after=BASES)
def test_sixteen_frames(submission: Submission, rng: random.Random) -> None:
    """With 16 frames every answer is the same, pages are evicted, no call leaves a pin."""
    entries = record_ids(rng, random_keys(rng, KEYS))
    with opened(submission, "frames.oor", FRAMES) as index:
        index.insert(entries)
        _expect_evictions(index)
        index.expect_found(entries, entries)
        index.expect_range(0, MAX_KEY, entries)
        index.delete(rng.sample(sorted(entries), KEYS // 10), entries)
        index.delete([1, 2, 3], entries)
        index.expect_stored(entries, f"{FRAMES} frames, after inserts and deletes")
        index.delete(list(entries), entries)
        index.expect_stored({}, f"{FRAMES} frames, after everything was deleted")
        loaded = record_ids(rng, range(0, 60_000, 3))
        index.there.bulk_load(list(loaded), list(loaded.values()))
        index.expect_stored(loaded, f"{FRAMES} frames, after bulk_load")
        _expect_no_pin(index)


@pytest.mark.criterion("6", points=4, after=BASES)
def test_many_levels_in_sixteen_frames(submission: Submission, rng: random.Random) -> None:
    """A tree of many small nodes in 16 frames: inserts, lookups, ranges, deletes in turn."""
    entries: dict[int, int] = {}
    with opened(submission, "levels.oor", FRAMES, **SMALL) as index:
        for _ in range(6):
            fresh = [key for key in rng.sample(range(3_000), 400) if key not in entries]
            more = record_ids(rng, fresh)
            index.insert(more)
            entries |= more
            index.delete(rng.sample(sorted(entries), len(entries) // 3), entries)
            index.expect_found(rng.sample(range(3_000), 300), entries)
            index.expect_range(rng.randrange(1_000), 2_000, entries)
            index.expect_stored(entries, f"{FRAMES} frames, 4 keys to a node")
        _expect_evictions(index)
        _expect_no_pin(index)


@pytest.mark.criterion("6", points=3, after=BASES)
def test_ranges_left_open(submission: Submission, rng: random.Random) -> None:
    """20 ranges open at once in 16 frames hold no pin while they wait, and go on."""
    entries = record_ids(rng, range(0, 20_000, 2))
    with opened(submission, "open.oor", FRAMES) as index:
        index.insert(entries)
        starts = [rng.randrange(0, 18_000) for _ in range(OPEN)]
        hi = 19_000
        first = index.there.open_ranges(starts, hi)
        _expect_no_pin(index)
        index.expect_found(rng.sample(range(20_000), 200), entries)
        for lo, row, rest in zip(starts, first, index.there.go_on(), strict=True):
            want = [(key, rid) for key, rid in entries.items() if lo <= key <= hi]
            expect([row, *rest], want, f"range({lo}, {hi}), one of {OPEN} that were open at once")
        _expect_no_pin(index)


@pytest.mark.criterion("6", points=2, after=BASES)
def test_errors_leave_no_pin(submission: Submission, rng: random.Random) -> None:
    """An insert that is refused, a load that is refused, a key that is none: no pin is left."""
    entries = record_ids(rng, range(100))
    with opened(submission, "errors.oor", FRAMES, **SMALL) as index:
        index.insert(entries)
        for _ in range(FRAMES + 1):
            with submission.raises("DuplicateKey", call="insert(50, ...), which is in the tree"):
                index.there.insert([50], [7])
            with submission.raises("ValueError", call="bulk_load(pairs) into a tree with keys"):
                index.there.bulk_load([1, 2], [1, 2])
            with submission.raises("KeyRange", call="get(-1)"):
                index.there.get([-1])
        index.expect_found(entries, entries)
        _expect_no_pin(index)


def _expect_evictions(index: Index) -> None:
    evictions = index.there.counters()[2]
    require(
        evictions > 0,
        f"More pages than {FRAMES} frames, and the pool's stats count {evictions} evictions: the "
        "tree must work on the pages of its pool",
    )


def _expect_no_pin(index: Index) -> None:
    left = index.there.left_pinned()
    require(left == "", f"{FRAMES} frames: {left}")


# -- 7 -------------------------------------------------------------------------------------------

RUN_IDS = 6_000
PHASES = ("insert", "lookup", "range", "delete", "bulk")
FIELDS = ("phase", "height", "leaves", "fill", "hits", "misses")


@pytest.mark.criterion("7", points=5, after=BASES)
def test_the_same_run_twice(submission: Submission) -> None:
    """run_acceptance(path) gives and prints the same rows every time, and they are true."""
    runs, printed = [], []
    for name in ("one.oor", "one.oor", "two.oor"):
        seen = len(submission.output())
        runs.append(submission.run_acceptance(submission.path(name)))
        printed.append(submission.output()[seen:])
        submission.restart()  # another hash seed, another process
    first = runs[0]
    require(
        type(first) is list and all(type(row) is dict for row in first),
        f"run_acceptance(path): expected a list of dicts, got {show(first)}",
    )
    expect([row.get("phase") for row in first], list(PHASES), "The phases of run_acceptance(path)")
    for row in first:
        expect(list(row), list(FIELDS), f"Keys of the row of phase {row['phase']!r}")
    for other, when in ((runs[1], "over the same file"), (runs[2], "on another file")):
        expect(other, first, f"run_acceptance {when}, compared with the first run")
    for text in printed[1:]:
        expect(text, printed[0], "What the run printed, compared with the first run")
    lines = printed[0].splitlines()
    for row in first:
        shown = f"{row['phase']}: " + " ".join(f"{name}={row[name]}" for name in FIELDS[1:])
        require(shown in lines, f"The run must print {shown!r}", printed[0][:400])
    _expect_true(first, submission.read("two.oor"))


def _expect_true(rows: list[dict[str, Any]], raw: bytes) -> None:
    tree = walk(raw)
    stored(
        tree,
        {key: 1 + key // 47 << 16 | key % 47 for key in range(1, RUN_IDS + 1)},
        "After the run",
    )
    last, emptied = rows[4], rows[3]
    fill = round(RUN_IDS / (len(tree.leaves) * LEAF_CAP), 4)
    want = (tree.height, len(tree.leaves), fill)
    got = (last["height"], last["leaves"], last["fill"])
    expect(got, want, "height, leaves and fill of phase 'bulk', beside the file")
    expect(emptied["fill"], 0.0, "fill of phase 'delete', which deletes everything")
    for row in rows[:4]:
        require(
            type(row["misses"]) is int and row["misses"] > 0,
            f"misses of phase {row['phase']!r}: expected some with 16 frames, got {row['misses']}",
        )


__all__ = [
    "test_errors_leave_no_pin",
    "test_many_levels_in_sixteen_frames",
    "test_ranges_left_open",
    "test_sixteen_frames",
    "test_the_same_run_twice",
]
