"""The bonuses: nodes kept half full, ranges backwards, many lookups at once, ascending loads."""

from __future__ import annotations

import random
import time

import numpy as np
import pytest
from hypothesis import strategies as st

from grader.acceptance.database._btree import (
    BASE,
    MAX_KEY,
    PROBE,
    SMALL,
    SPLITS,
    opened,
    random_keys,
    record_ids,
)
from grader.acceptance.database._btree_range import expect_all, expect_steady
from grader.acceptance.database._btree_structure import EXAMPLES, SHRINK_S
from grader.judging.compare import expect, require
from grader.judging.properties import Finder
from grader.proxy.submission import Submission

NO_RID = 2**64 - 1
MANY, TRIES = 20_000, 5
TIMES = 5.0  # get_many against a loop of get
FULL = 0.95  # of a leaf, after ascending inserts
STEPS = 12


@pytest.mark.criterion("eager", points=3, after="5")
def test_nodes_stay_half_full(submission: Submission, rng: random.Random, find: Finder) -> None:
    """rebalance="eager": deletes borrow or merge, no node is less than half full.

    Nodes on the rightmost path are excepted.
    """

    def check(count: int, deleted: list[int]) -> None:
        entries = {key: key << 16 | 4 for key in range(count)}
        with opened(submission, "eager.oor", **SMALL, rebalance="eager") as index:
            index.insert(entries)
            index.delete(deleted, entries)
            index.expect_stored(entries, "After deletes, 4 keys to a node", strict=True)

    keys = st.lists(st.integers(0, 79), max_size=80, unique=True)
    find(check, examples=EXAMPLES, shrink_s=SHRINK_S, count=st.integers(1, 80), deleted=keys)
    entries: dict[int, int] = {}
    with opened(submission, "eager-long.oor", **SMALL, rebalance="eager") as index:
        for step in range(STEPS):
            fresh = [key for key in rng.sample(range(2_000), 300) if key not in entries]
            more = record_ids(rng, fresh)
            index.insert(more)
            entries |= more
            share = (0.3, 0.9, 0.5)[step % 3]
            index.delete(rng.sample(sorted(entries), int(len(entries) * share)), entries)
            index.expect_stored(entries, "After inserts and deletes, eagerly", strict=True)
            index.expect_range(0, MAX_KEY, entries)
    entries = record_ids(rng, rng.sample(range(10_000), 5_000))
    with opened(submission, "eager-full.oor", rebalance="eager") as index:
        index.insert(entries)
        index.delete(rng.sample(sorted(entries), 4_000), entries)
        index.expect_stored(entries, "After 4,000 of 5,000 deletes, eagerly", strict=True)


@pytest.mark.criterion("reverse", points=2, after=["2", "5"])
def test_backwards(submission: Submission, rng: random.Random) -> None:
    """range(lo, hi, reverse=True): the same rows, descending, whatever the bounds."""
    entries = record_ids(rng, rng.sample(range(10, 4_000, 10), 300))
    with opened(submission, "backwards.oor", **SMALL) as index:
        index.expect_range(0, MAX_KEY, {}, reverse=True)
        index.insert(entries)
        bounds = [(0, MAX_KEY), (MAX_KEY, 0), (0, 0), (0, 9), (4_000, MAX_KEY)]
        for leaf in index.saved().leaves[:60]:
            first, last = leaf.keys[0], leaf.keys[-1]
            bounds += [(first, last), (first - 5, first), (last, last + 10), (last + 1, last + 9)]
            bounds += [(first + 1, last - 1), (last + 1, last + 25)]
        expect_all(index, bounds, entries, reverse=True)
    expect_steady(submission, rng, reverse=True)


@pytest.mark.criterion("batch", points=3, after=BASE)
def test_many_lookups(submission: Submission, rng: random.Random) -> None:
    """get_many(keys) answers in the keys' order, 5 times as fast as a loop of get."""
    entries = record_ids(rng, random_keys(rng, MANY))
    draw = np.random.default_rng(rng.getrandbits(32))
    present = np.array(sorted(entries), np.uint32)
    with opened(submission, "many.oor") as index:
        empty = index.there.get_many(np.array([1, 2], np.uint32))
        expect(empty, np.full(2, NO_RID, np.uint64), "get_many of two keys of an empty tree")
        index.insert(entries)
        absent = draw.integers(0, 2**32, 3_000, np.uint32)
        keys = draw.permutation(np.concatenate([present, absent, present[:500]]))
        for asked in (keys, keys[::2], keys.astype(">u4"), keys.astype(np.int64), keys[:0]):
            want = np.array([entries.get(key, NO_RID) for key in asked.tolist()], np.uint64)
            expect(index.there.get_many(asked), want, f"get_many of {len(asked)} {asked.dtype}")
        for wrong in (np.array([1.0]), np.array([[1, 2]]), np.array([-1]), np.array([2**32])):
            with submission.raises("ValueError", call=f"get_many({wrong!r})"):
                index.there.get_many(wrong)
    racer = submission.probe(PROBE).Racer(submission.module(), submission.path("many-race.oor"))
    racer.deal(list(entries), list(entries.values()))
    racer.insert()
    best = {"get": 1e9, "get_many": 1e9}
    for _ in range(TRIES):
        asked = draw.permutation(present)
        racer.batch(asked)
        for name in best:
            start = time.perf_counter()
            getattr(racer, name)()
            best[name] = min(best[name], time.perf_counter() - start)
        want = np.array([entries[key] for key in asked.tolist()], np.uint64)
        expect(racer.answer(), want, f"get_many of {MANY:,} keys")
    racer.close()
    times = best["get"] / best["get_many"]
    require(
        times >= TIMES,
        f"get_many of {MANY:,} keys is {times:.1f} times as fast as a loop of get, expected at "
        f"least {TIMES:g} times",
    )


@pytest.mark.criterion("append", points=2, after=[BASE, *SPLITS])
def test_ascending_inserts(submission: Submission, rng: random.Random) -> None:
    """Keys inserted in ascending order fill their leaves to 95 % and more."""
    entries = record_ids(rng, sorted(random_keys(rng, MANY)))
    with opened(submission, "ascending.oor") as index:
        index.insert(entries)
        leaves = len(index.expect_stored(entries, "After ascending inserts").leaves)
        fill = MANY / (leaves * 406)
        require(
            fill >= FULL,
            f"{MANY:,} keys inserted in ascending order lie in {leaves} leaves, which are "
            f"{fill:.0%} full; expected {FULL:.0%}",
        )


__all__ = [
    "test_ascending_inserts",
    "test_backwards",
    "test_many_lookups",
    "test_nodes_stay_half_full",
]
