"""Criterion 2: keys in order, between any bounds, from the leaves that have them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from grader.acceptance.database._btree import (
    BASE,
    MAX_KEY,
    PROBE,
    RANGE,
    SMALL,
    SPLITS,
    Index,
    expect_rows,
    opened,
    record_ids,
)
from grader.judging.compare import CriterionFailed, expect, require
from grader.proxy.submission import Submission

IDS = 10_000


@pytest.mark.criterion("2", points=5, after=BASE)
def test_a_hundred_and_one(submission: Submission, rng: random.Random) -> None:
    """Of ids 1 to 10,000, inserted shuffled, range(5000, 5100) gives 101, ascending."""
    entries = record_ids(rng, rng.sample(range(1, IDS + 1), IDS))
    with opened(submission, "range.oor") as index:
        index.expect_range(0, MAX_KEY, {})
        index.insert(entries)
        index.expect_range(5000, 5100, entries)
        index.expect_range(5001, 5101, entries)  # at most one of the two begins with its leaf
        index.expect_range(1, IDS, entries)
        expect_rows(index.there.everything(), 0, MAX_KEY, entries)


@pytest.mark.criterion("2", points=6, after=[RANGE, *SPLITS])
def test_any_bounds(submission: Submission, rng: random.Random) -> None:
    """Bounds in gaps, at the edges of leaves, outside, equal, and in the wrong order."""
    entries = record_ids(rng, rng.sample(range(10, 4_000, 10), 300))
    with opened(submission, "bounds.oor", **SMALL) as index:
        index.insert(entries)
        leaves = index.saved().leaves
        bounds = [(0, MAX_KEY), (MAX_KEY, 0), (0, 0), (MAX_KEY, MAX_KEY), (0, 9), (4_000, MAX_KEY)]
        for leaf in rng.sample(leaves, min(60, len(leaves))):
            first, last = leaf.keys[0], leaf.keys[-1]
            # One key, a gap, from the gap before a leaf, across its edge, all but its edges.
            bounds += [(first, first), (last + 1, last + 9), (first - 5, first), (last, last + 10)]
            bounds += [(first + 1, last - 1), (last + 5, first - 5), (last + 1, last + 25)]
        bounds += [(lo, lo + rng.randrange(500)) for lo in rng.sample(range(4_000), 60)]
        expect_all(index, bounds, entries)


def expect_all(
    index: Index, bounds: Sequence[tuple[int, int]], entries: Mapping[int, int], **options: Any
) -> None:
    """Every range as it must be; of the wrong ones, the one with the fewest rows is told."""
    wrong: list[CriterionFailed] = []
    ordered = sorted(set(bounds), key=lambda b: (max(0, b[1] - b[0]), b))
    for (lo, hi), got in zip(ordered, index.there.ranges(ordered, options), strict=True):
        try:
            expect_rows(got, lo, hi, entries, **options)
        except CriterionFailed as error:
            wrong.append(error)
    if wrong:
        raise wrong[0]


@pytest.mark.criterion("2", points=2, after=[RANGE, *SPLITS])
def test_only_the_leaves_it_needs(submission: Submission, rng: random.Random) -> None:
    """A range reads the way down and the leaves that have its keys, at most one leaf more."""
    entries = record_ids(rng, rng.sample(range(1, IDS + 1), IDS))
    with opened(submission, "reads.oor") as index:
        index.insert(entries)
        tree = index.expect_stored(entries, "After the inserts")
        index.close()
    widths = (0, 100, 1_000, 4_000)
    bounds = [(lo, lo + width) for width in widths for lo in rng.sample(range(1, IDS - 4_000), 4)]
    cold = submission.probe(PROBE).Cold(submission.module(), submission.path("reads.oor"), {})
    for (lo, hi), (count, reads) in zip(bounds, cold.ranges(bounds), strict=True):
        expect(count, hi - lo + 1, f"Rows of range({lo}, {hi})")
        needed = sum(leaf.keys[0] <= hi and leaf.keys[-1] >= lo for leaf in tree.leaves)
        most = tree.height - 1 + needed + 1
        require(
            reads <= most,
            f"range({lo}, {hi}) in a pool that holds nothing read {reads} pages; its keys lie in "
            f"{needed} leaves, {most} are enough",
        )


@pytest.mark.criterion("2", points=2, after=[RANGE, "5"])
def test_a_tree_that_changes_meanwhile(submission: Submission, rng: random.Random) -> None:
    """While a range waits the tree may change: order stays, nothing comes twice or is missed."""
    expect_steady(submission, rng)


def expect_steady(submission: Submission, rng: random.Random, **options: Any) -> None:
    for turn in range(4):
        entries = record_ids(rng, range(0, 1200, 4))
        # Whole leaves go: as many keys as stay between them.
        stays = {key for key in entries if key // 64 % 2 == 0}
        steps = [("delete", key) for key in entries if key not in stays]
        if turn % 3:  # right before the range, which is at the leaf whose neighbour goes
            steps.sort(key=lambda step: step[1], reverse="reverse" in options)
        else:
            steps += [("insert", key) for key in range(1, 1200, 4)]
            steps = rng.sample(steps, len(steps))
        with opened(submission, "changing.oor", **SMALL) as index:
            index.insert(entries)
            rows = index.there.changing(steps, 7, options)
            keys = [row[0] for row in rows]
            what = f"range({', '.join(f'{k}={v}' for k, v in options.items())})"
            want = sorted(set(keys), reverse=bool(options.get("reverse")))
            expect(keys, want, f"Keys of {what} while keys are inserted and deleted")
            missed = sorted(stays - set(keys))
            require(
                not missed,
                f"{what} while other keys are inserted and deleted: {len(missed)} keys that were "
                f"there all the time did not come, {missed[:3]} among them",
            )


__all__ = [
    "test_a_hundred_and_one",
    "test_a_tree_that_changes_meanwhile",
    "test_any_bounds",
    "test_only_the_leaves_it_needs",
]
