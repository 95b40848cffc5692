"""Criteria 3, 4 and 5: the judge walks the pages; bulk loading; deleting."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import strategies as st

from grader.acceptance.database._btree import (
    ABSENT,
    BASE,
    BULK,
    DELETE,
    MAX_KEY,
    PROBE,
    RANGE,
    SMALL,
    SPLITS,
    opened,
    random_keys,
    record_ids,
)
from grader.acceptance.database._btree_walk import LEAF_CAP, Tree
from grader.judging.compare import expect, require
from grader.judging.properties import Finder
from grader.proxy.submission import Submission

EXAMPLES = 40
SHRINK_S = 10.0
STAGES = (1, 4, 5, 6, 20, 21, 60, 200)  # keys in a small tree when the judge looks
BULK_KEYS = 100_000
FEWEST, MOST = 300, 420  # leaves of as many keys, inserted in random order
IDS = 10_000  # of which a tenth is deleted
REFILLED, CYCLES = 3_000, 4


# -- 3 -------------------------------------------------------------------------------------------


@pytest.mark.criterion("3", points=5, after=[BASE, ABSENT])
def test_leaves_split(submission: Submission, rng: random.Random) -> None:
    """After three leaf splits and more: one depth, separators, both chains, every key."""
    for order in ("random", "ascending", "descending"):
        keys = random_keys(rng, 2_500)
        if order != "random":
            keys.sort(reverse=order == "descending")
        entries = record_ids(rng, keys)
        with opened(submission, "splits.oor") as index:
            index.insert(entries)
            tree = index.expect_stored(entries, f"{len(keys):,} keys in {order} order")
            require(len(tree.leaves) >= 4, f"{len(keys):,} keys lie in {len(tree.leaves)} leaves")
            index.expect_found(keys, entries)


@pytest.mark.criterion("3", points=4, after=[BASE, ABSENT])
def test_levels_grow(submission: Submission, rng: random.Random) -> None:
    """With 4 keys to a node a tree has three levels soon; every rule holds on the way."""
    entries: dict[int, int] = {}
    keys = rng.sample(range(1_000), STAGES[-1])
    with opened(submission, "levels.oor", **SMALL) as index:
        for stage in STAGES:
            more = record_ids(rng, keys[len(entries) : stage])
            index.insert(more)
            entries |= more
            tree = index.expect_stored(entries, f"{stage} keys, 4 to a node")
            index.expect_found(range(0, 1_000, 7), entries)
    require(tree.height >= 3, f"{stage} keys, 4 to a node, in a tree of {tree.height} levels")


def _expect_stats(got: list[Any], tree: Tree, count: int, cap: int) -> None:
    names = "height, leaf_count, internal_count and count of stats()"
    want = [tree.height, len(tree.leaves), tree.internal, count]
    expect(got[:4], want, f"{names}, beside the file")
    fill = count / (cap * len(tree.leaves))
    expect(round(got[4], 6), round(fill, 6), "fill_factor of stats(), to 6 digits")


@pytest.mark.criterion("3", points=4, after=[BASE, ABSENT])
def test_every_order(submission: Submission, find: Finder) -> None:
    """Whatever the order of a few dozen inserts, the tree keeps every rule."""

    def check(keys: list[int]) -> None:
        entries = {key: key << 16 | 1 for key in keys}
        with opened(submission, "orders.oor", **SMALL) as index:
            index.insert(entries)
            index.expect_stored(entries, "After the inserts, 4 keys to a node")

    find(check, examples=EXAMPLES, shrink_s=SHRINK_S, keys=_any_order(40))


def _any_order(most: int) -> st.SearchStrategy[list[int]]:
    """The keys from 0 to some number below `most`, in any order."""
    return st.integers(1, most).flatmap(lambda count: st.permutations(range(count)))


@pytest.mark.criterion("3", points=2, after=BASE)
def test_nodes_alone(submission: Submission) -> None:
    """find_child goes right at a separator; a node comes back from its page as it was."""
    keys, children, asked = [10, 20, 30], [5, 6, 8, 9], [0, 9, 10, 19, 20, 30, MAX_KEY]
    node = submission.probe(PROBE).node
    found, raw, again = node(submission.module(), keys, children, asked)
    for key, got, want in zip(asked, found, (0, 0, 1, 1, 2, 3, 3), strict=True):
        expect(got, want, f"InternalNode, keys 10 20 30: find_child({key})")
    expect(raw[17:20], b"\0\3\0", "Bytes 17..19 of that node: type 0, 3 keys")
    expect(raw[20:32], bytes(8) + b"\1\0\0\0", "Bytes 20..31 of that node: no links, level 1")
    expect(raw[32:44].hex(" ", 4), "0a000000 14000000 1e000000", "Its keys, from byte 32")
    expect(raw[2060:2076].hex(" ", 4), "05000000 06000000 08000000 09000000", "Its children")
    expect(again, [keys, children], "Keys and children of InternalNode.from_page(page)")


# -- 4 -------------------------------------------------------------------------------------------


@pytest.mark.criterion("4", points=5, after=[BASE, ABSENT])
def test_bulk_load(submission: Submission, rng: random.Random) -> None:
    """bulk_load of 100,000 keys: 247 leaves, more than 95 % full, two levels."""
    entries = record_ids(rng, sorted(random_keys(rng, BULK_KEYS)))
    with opened(submission, "bulk.oor", 512) as index:
        index.there.bulk_load(list(entries), list(entries.values()))
        tree = index.expect_stored(entries, "After bulk_load")
        least = -(-BULK_KEYS // LEAF_CAP)
        expect((len(tree.leaves), tree.height), (least, 2), "Leaves and levels after bulk_load")
        _expect_stats(index.there.stats(), tree, BULK_KEYS, LEAF_CAP)
        some = rng.sample(sorted(entries), 500)
        index.expect_found([*some, *(key + 1 for key in some if key < MAX_KEY)], entries)


@pytest.mark.criterion("4", points=1, after=[BULK, *SPLITS])
def test_bulk_load_of_any_size(submission: Submission, rng: random.Random) -> None:
    """Loading no keys, one, a full node, one more: a sound tree, which takes inserts."""
    for count in (0, 1, 4, 5, 20, 21, 25, 100, 101, 125, 126):
        entries = record_ids(rng, range(0, 3 * count, 3))
        with opened(submission, "sizes.oor", **SMALL) as index:
            index.there.bulk_load(list(entries), list(entries.values()))
            tree = index.expect_stored(entries, f"After bulk_load of {count} keys, 4 to a node")
            if count:
                _expect_stats(index.there.stats(), tree, count, 4)
            more = record_ids(rng, rng.sample(range(1, 400, 3), 40))
            index.insert(more)
            index.expect_stored(entries | more, f"{count} keys loaded, 40 inserted, 4 to a node")


@pytest.mark.criterion("4", points=2, after=[BULK, *SPLITS])
def test_one_by_one(submission: Submission, rng: random.Random) -> None:
    """The same keys inserted in random order: 300 to 420 leaves instead of 247."""
    entries = record_ids(rng, random_keys(rng, BULK_KEYS))
    with opened(submission, "shuffled.oor", 1024) as index:
        index.insert(entries)
        leaves = len(index.expect_stored(entries, "After the inserts").leaves)
        require(
            FEWEST <= leaves <= MOST,
            f"{BULK_KEYS:,} keys inserted in random order lie in {leaves} leaves, "
            f"expected {FEWEST} to {MOST}",
        )


@pytest.mark.criterion("4", points=2, after=BULK)
def test_a_load_that_is_refused(submission: Submission, rng: random.Random) -> None:
    """Keys that do not ascend, or a tree that has keys: ValueError, nothing changed."""
    ascending = list(range(10, 1_000, 10))
    swapped, doubled = ascending.copy(), ascending.copy()
    at = rng.randrange(50, len(ascending) - 1)
    swapped[at], swapped[at + 1] = swapped[at + 1], swapped[at]
    doubled[at + 1] = doubled[at]
    with opened(submission, "refused.oor", **SMALL) as index:
        for keys, what in ((swapped, "two keys swapped"), (doubled, "a key twice")):
            pages = index.there.pages()
            with submission.raises("ValueError", call=f"bulk_load(pairs), {what}"):
                index.there.bulk_load(keys, keys)
            index.expect_stored({}, f"After bulk_load was refused, {what}")
            expect(index.there.pages(), pages, f"Pages of the file after bulk_load, {what}")
            index.expect_found(ascending[:5], {}, f" after bulk_load was refused, {what},")
        entries = record_ids(rng, [500])
        index.insert(entries)
        with submission.raises("ValueError", call="bulk_load(pairs) into a tree with a key"):
            index.there.bulk_load(ascending, ascending)
        index.expect_stored(entries, "After bulk_load into a tree with a key")


# -- 5 -------------------------------------------------------------------------------------------


@pytest.mark.criterion("5", points=5, after=[RANGE, *SPLITS])
def test_a_thousand_deleted(submission: Submission, rng: random.Random) -> None:
    """1,000 of 10,000 deleted: those are gone, the others and the ranges around them are right."""
    entries = record_ids(rng, rng.sample(range(1, IDS + 1), IDS))
    gone = rng.sample(sorted(entries), IDS // 10)
    with opened(submission, "delete.oor") as index:
        index.delete([7], {})
        index.insert(entries)
        index.delete(gone, entries)
        index.delete([*gone[:100], 0, IDS + 1, MAX_KEY], entries)  # not there: None
        index.expect_found(range(1, IDS + 1), entries)
        for key in rng.sample(gone, 50):
            index.expect_range(max(0, key - 5), key + 5, entries)
        index.expect_stored(entries, "After the deletes")


@pytest.mark.criterion("5", points=5, after=DELETE)
def test_every_mixture(submission: Submission, find: Finder) -> None:
    """Inserts and deletes in any order: the tree keeps every rule, empty leaves go."""

    def check(inserted: list[int], runs: list[tuple[int, int]], again: list[int]) -> None:
        entries = {key: key << 16 | 2 for key in inserted}
        deleted = list(dict.fromkeys(a + i for a, size in runs for i in range(size)))
        with opened(submission, "mixture.oor", **SMALL) as index:
            index.insert(entries)
            index.delete(deleted, entries)
            index.expect_stored(entries, "After inserts and deletes, 4 keys to a node")
            more = {key: key << 16 | 3 for key in again if key not in entries}
            index.insert(more)
            entries |= more
            index.expect_stored(entries, "After more inserts, 4 keys to a node")
            index.expect_range(0, MAX_KEY, entries)

    runs = st.lists(st.tuples(st.integers(0, 59), st.integers(1, 16)), max_size=6)
    find(
        check,
        examples=EXAMPLES,
        shrink_s=SHRINK_S,
        inserted=_any_order(60),
        runs=runs,
        again=_any_order(60),
    )


@pytest.mark.criterion("5", points=5, after=DELETE)
def test_everything_deleted(submission: Submission, rng: random.Random) -> None:
    """Everything deleted leaves an empty tree; filled again, the file has not grown."""
    for count, options in ((REFILLED, {}), (REFILLED // 10, SMALL)):
        with opened(submission, f"refill-{count}.oor", **options) as index:
            pages = []
            for cycle in range(CYCLES):
                when = f"Cycle {cycle + 1} of filling and emptying, {count:,} keys"
                entries = record_ids(rng, range(5, 5 + 2 * count, 2))
                index.insert(entries)
                index.expect_stored(entries, when)
                pages.append(index.there.pages())
                keys = sorted(entries, reverse=cycle == 1)
                if cycle == 0:
                    rng.shuffle(keys)
                index.delete(keys[:-1], entries)
                index.expect_stored(entries, f"{when}: one key left")
                index.delete(keys[-1:], entries)
                index.expect_range(0, MAX_KEY, {})
                index.expect_stored({}, f"{when}: empty")
            require(
                max(pages) == pages[0],
                f"The same {count:,} keys inserted and deleted {CYCLES} times: the file had "
                f"{pages} pages; what is free must be used again",
            )


__all__ = [
    "test_a_load_that_is_refused",
    "test_a_thousand_deleted",
    "test_bulk_load",
    "test_bulk_load_of_any_size",
    "test_every_mixture",
    "test_every_order",
    "test_everything_deleted",
    "test_leaves_split",
    "test_levels_grow",
    "test_nodes_alone",
    "test_one_by_one",
]
