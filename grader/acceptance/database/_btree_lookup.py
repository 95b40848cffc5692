"""Criterion 1: every key is found, in as many page reads as the tree has levels."""

from __future__ import annotations

import random

import pytest

from grader.acceptance.database._btree import (
    BASE,
    MAX_KEY,
    PROBE,
    SMALL,
    SPLITS,
    Index,
    opened,
    random_keys,
    record_ids,
)
from grader.acceptance.database._btree_walk import LEAF_CAP
from grader.judging.compare import expect, require
from grader.proxy.submission import Submission
from meridian.testing.storage import decode_file_header

KEYS, ABSENT = 10_000, 1_000
COLD = 40  # lookups, each through a pool of its own


@pytest.mark.criterion("1", points=1)
def test_one_leaf(submission: Submission, rng: random.Random) -> None:
    """As many keys as one leaf holds are found."""
    entries = record_ids(rng, random_keys(rng, LEAF_CAP))
    with opened(submission, "leaf.oor") as index:
        index.insert(entries)
        index.expect_found(entries, entries)


@pytest.mark.criterion("1", points=5, after="test_one_leaf")
def test_ten_thousand_lookups(submission: Submission, rng: random.Random) -> None:
    """10,000 different random keys: get finds each, also in another process on the same file."""
    entries = record_ids(rng, random_keys(rng, KEYS))
    index = Index(submission, "lookup.oor")
    index.insert(entries)
    index.expect_found(entries, entries)
    index.close()
    submission.restart()
    with opened(submission, "lookup.oor", fresh=False) as index:
        index.expect_found(entries, entries, " after the file was closed and opened again")


@pytest.mark.criterion("1", points=3, after=BASE)
def test_absent_keys(submission: Submission, rng: random.Random) -> None:
    """1,000 keys that are not in the tree give None, neighbours of keys that are among them."""
    entries = record_ids(rng, rng.sample(range(2, MAX_KEY - 2), KEYS))
    with opened(submission, "absent.oor") as index:
        index.expect_found((0, 7, MAX_KEY), {}, ", nothing inserted yet,")
        index.insert(entries)
        beside = [key + step for key in rng.sample(sorted(entries), ABSENT) for step in (-1, 1)]
        absent = [key for key in (0, MAX_KEY, *beside) if key not in entries][:ABSENT]
        index.expect_found(absent, entries)


@pytest.mark.criterion("1", points=3, after=BASE)
def test_cold_lookups(submission: Submission, rng: random.Random) -> None:
    """A lookup in a pool that holds nothing reads exactly one page for each level."""
    for count in (KEYS, 300):
        _expect_cold(submission, rng, count)


@pytest.mark.criterion("1", points=1, after=[BASE, *SPLITS])
def test_cold_lookups_in_many_levels(submission: Submission, rng: random.Random) -> None:
    """The same in a tree of many levels, with 4 keys to a node."""
    _expect_cold(submission, rng, 600, **SMALL)


def _expect_cold(submission: Submission, rng: random.Random, count: int, **options: int) -> None:
    entries = record_ids(rng, random_keys(rng, count))
    name = f"cold-{count}.oor"
    with opened(submission, name, **options) as index:
        index.insert(entries)
        index.close()
    height = decode_file_header(submission.read(name)).roots[0] >> 32
    keys = [*rng.sample(sorted(entries), COLD // 2), *rng.sample(range(MAX_KEY), COLD // 2)]
    cold = submission.probe(PROBE).Cold(submission.module(), submission.path(name), options)
    for key, (found, reads) in zip(keys, cold.get(keys), strict=True):
        expect(found, entries.get(key), f"get({key}) in a pool that holds nothing")
        require(
            reads == height,
            f"get({key}) read {reads} pages, by the pool's stats; the tree has {height} levels "
            f"({count:,} keys)",
        )


@pytest.mark.criterion("1", points=2, after=BASE)
def test_what_is_refused(submission: Submission, rng: random.Random) -> None:
    """A key that is there is a DuplicateKey, what is no key a KeyRange: both ValueErrors."""
    entries = record_ids(rng, range(0, 90, 3))
    with opened(submission, "refused.oor") as index:
        tree = index.there.tree
        index.insert(entries)
        for key in (0, 45, 87):
            for name in ("DuplicateKey", "ValueError"):
                with submission.raises(name, call=f"insert({key}, ...), which is in the tree"):
                    index.there.insert([key], [7])
        for wrong in (-1, 2**32, True, 4.0, "25544"):
            for name in ("KeyRange", "ValueError"):
                with submission.raises(name, call=f"get({wrong!r})"):
                    tree.get(wrong)
            with submission.raises("KeyRange", call=f"insert({wrong!r}, ...)"):
                index.there.insert([wrong], [7])
            with submission.raises("KeyRange", call=f"delete({wrong!r})"):
                tree.delete(wrong)
        index.expect_found(range(90), entries, " after inserts that were refused")


__all__ = [
    "test_absent_keys",
    "test_cold_lookups",
    "test_cold_lookups_in_many_levels",
    "test_one_leaf",
    "test_ten_thousand_lookups",
    "test_what_is_refused",
]
