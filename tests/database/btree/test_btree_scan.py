"""Ranges come in order, whole, and without holding anything, whatever happens between two steps."""

from __future__ import annotations

import bisect
import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meridian.database.btree import KeyRange, TreeCorrupt
from meridian.database.storage import ChecksumMismatch, RecordId, StorageClosed
from tests.database.btree.store import Store, rid_of

MakeStore = Callable[..., Store]

BOUNDS = st.one_of(st.integers(0, 420), st.sampled_from([0, 2**31, 2**32 - 1]))


def grown(make_store: MakeStore, count: int = 200, **options: Any) -> tuple[Store, list[int]]:
    """A tree of several levels with the even numbers below twice `count`."""
    store = make_store(**{"frames": 8, "leaf_cap": 4, "internal_cap": 4, **options})
    keys = list(range(0, 2 * count, 2))
    random.Random(1).shuffle(keys)
    for key in keys:
        store.tree.insert(key, rid_of(key))
    return store, sorted(keys)


def all_ways(store: Store, lo: int, hi: int) -> list[tuple[int, RecordId]]:
    """A range, by every call there is; they must agree."""
    tree = store.tree
    one_by_one = list(tree.range(lo, hi))
    assert list(tree.range(lo, hi, reverse=True)) == one_by_one[::-1]
    packed = [(key, rid.pack()) for key, rid in one_by_one]
    assert list(tree.items(lo, hi)) == packed
    keys, rids = tree.range_arrays(lo, hi)
    assert (keys.dtype, rids.dtype) == (np.uint32, np.uint64)
    assert list(zip(keys.tolist(), rids.tolist(), strict=True)) == packed
    assert store.pool.pinned() == {}
    return one_by_one


@settings(max_examples=80, deadline=None)
@given(
    keys=st.sets(BOUNDS, max_size=120),
    bounds=st.lists(st.tuples(BOUNDS, BOUNDS), min_size=1, max_size=8),
    caps=st.tuples(st.integers(3, 6), st.integers(3, 6)),
    policy=st.sampled_from(["clock", "lru", "2q"]),
)
def test_any_range(
    tmp_path_factory: pytest.TempPathFactory,
    keys: set[int],
    bounds: list[tuple[int, int]],
    caps: tuple[int, int],
    policy: str,
) -> None:
    path = tmp_path_factory.mktemp("any") / "a.oor"
    store = Store(path, frames=8, policy=policy, leaf_cap=caps[0], internal_cap=caps[1])
    for key in keys:
        store.tree.insert(key, RecordId(key, 3))
    ordered = sorted(keys)
    for lo, hi in [*bounds, (0, 2**32 - 1)]:
        want = ordered[bisect.bisect_left(ordered, lo) : bisect.bisect_right(ordered, hi)]
        assert all_ways(store, lo, hi) == [(key, RecordId(key, 3)) for key in want]
    store.close()


def test_bounds(make_store: MakeStore) -> None:
    """Both ends belong to the range: in gaps, on the edges of leaves, outside of everything."""
    store = make_store(frames=64, page_size=4096)
    keys = np.arange(1, 10_001, dtype=np.uint32)
    store.tree.put_many(np.random.default_rng(1).permutation(keys), keys.astype(np.uint64))
    found = all_ways(store, 5000, 5100)
    assert [key for key, _ in found] == list(range(5000, 5101))
    assert len(all_ways(store, 7, 7)) == 1
    assert all_ways(store, 8, 7) == []
    assert all_ways(store, 10_001, 2**32 - 1) == []
    assert all_ways(store, 0, 0) == []
    assert len(all_ways(store, 0, 2**32 - 1)) == 10_000
    store.tree.delete_many(np.arange(2_000, 6_000))
    assert all_ways(store, 2_500, 5_500) == []
    assert [key for key, _ in all_ways(store, 1_999, 6_000)] == [1_999, 6_000]


def test_an_empty_tree_and_defaults(make_store: MakeStore) -> None:
    store, keys = grown(make_store, 30)
    assert [key for key, _ in store.tree.range()] == keys
    assert [key for key, _ in store.tree.range(reverse=True)] == keys[::-1]
    assert [key for key, _ in store.tree.items()] == keys
    assert store.tree.range_arrays()[0].tolist() == keys
    assert all_ways(make_store(), 0, 2**32 - 1) == []


@pytest.mark.parametrize("bad", [-1, 2**32, True, 1.0, None, "1"], ids=repr)
def test_bounds_that_are_no_keys(make_store: MakeStore, bad: Any) -> None:
    tree = make_store().tree
    for call in (tree.range, tree.items, tree.range_arrays):
        with pytest.raises(KeyRange):
            call(bad, 5)
        with pytest.raises(KeyRange):
            call(0, bad)


def test_numpy_bounds(make_store: MakeStore) -> None:
    store, _ = grown(make_store, 30)
    lo, hi = np.uint32(4), np.int64(8)
    assert [key for key, _ in store.tree.range(lo, hi)] == [4, 6, 8]
    assert store.tree.range_arrays(lo, hi)[0].tolist() == [4, 6, 8]


def test_closed(make_store: MakeStore) -> None:
    store, _ = grown(make_store, 30)
    running = store.tree.range()
    next(running)
    store.close()
    with pytest.raises(StorageClosed):
        list(running)
    for call in (store.tree.range, store.tree.items, store.tree.range_arrays):
        with pytest.raises(StorageClosed):
            list(call())


# -- changes while iterating -----------------------------------------------------------------------


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("next"), st.integers(1, 30)),
        st.tuples(
            st.sampled_from(["insert", "delete"]), st.lists(st.integers(0, 420), max_size=30)
        ),
        st.tuples(st.sampled_from(["vacuum", "clear"]), st.just(0)),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, reverse=st.booleans(), way=st.sampled_from(["range", "items"]))
def test_change_while_iterating(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[str, Any]],
    reverse: bool,
    way: str,
) -> None:
    """In order, nothing twice; what was there all the time comes; what `range` gives is true."""
    path = tmp_path_factory.mktemp("change") / "a.oor"
    store = Store(path, frames=8, leaf_cap=4, internal_cap=4)
    tree = store.tree
    model = {key: key for key in range(0, 400, 2)}
    tree.put_many(np.array(list(model)), np.array(list(model.values())))
    always = set(model)
    reverse &= way == "range"
    running: Iterator[tuple[int, Any]] = tree.range(reverse=True) if reverse else tree.items()
    if way == "range" and not reverse:
        running = tree.range()
    seen: list[int] = []
    for number, (step, what) in enumerate([*steps, ("next", 10**6)]):
        if step == "next":
            for key, rid in itertools.islice(running, what):
                if way == "range":
                    assert model[key] == rid.pack()
                seen.append(key)
        elif step == "insert":
            model.update((key, number << 16 | key) for key in what)
            tree.put_many(what, [number << 16 | key for key in what])
        elif step == "delete":
            for key in what:
                model.pop(key, None)
                tree.delete(key)
            always.difference_update(what)
        elif step == "vacuum":
            tree.vacuum()
        else:
            tree.clear()
            model.clear()
            always.clear()
        assert store.pool.pinned() == {}
    assert seen == sorted(set(seen), reverse=reverse)
    assert always <= set(seen)
    store.close()


def test_deleting_what_was_just_seen(make_store: MakeStore) -> None:
    store, keys = grown(make_store)
    seen = []
    for key, rid in store.tree.range():
        assert store.tree.delete(key) == rid
        seen.append(key)
    assert seen == keys
    assert len(store.tree) == 0


def test_a_range_that_makes_its_own_future(make_store: MakeStore) -> None:
    """Keys put ahead are found, so a loop that stops putting ends."""
    store, _ = grown(make_store, 10)
    seen = []
    for key, _ in store.tree.range():
        seen.append(key)
        if key < 100:
            store.tree.upsert(key + 5, RecordId(1, 1))
    assert seen == sorted(set(seen))
    assert set(range(0, 105, 5)) <= set(seen)


# -- pins and reads --------------------------------------------------------------------------------


def test_open_and_abandoned_scans_hold_no_pins(make_store: MakeStore) -> None:
    store, keys = grown(make_store)
    running = [store.tree.range(reverse=i % 2 == 1) for i in range(16)]
    running += [store.tree.items() for _ in range(16)]
    first = [next(scan)[0] for scan in running]
    assert set(first) == {keys[0], keys[-1]}
    assert store.pool.pinned() == {}
    del running[::2]
    assert [len(list(scan)) for scan in running] == [199] * 16
    assert store.pool.statistics().leaks == 0


def test_reads_of_a_range(make_store: MakeStore) -> None:
    """K rows cost K / 406 leaf reads; who takes three rows reads one leaf."""
    store = make_store(frames=64, page_size=4096)
    keys = np.arange(100_000, dtype=np.uint32)
    store.tree.bulk_load(keys, keys.astype(np.uint64))

    def reads(work: Callable[[], Any]) -> int:
        store.reopen()
        before = store.pool.stats.misses
        work()
        return store.pool.stats.misses - before

    tree = lambda: store.tree  # noqa: E731
    assert reads(lambda: list(itertools.islice(tree().range(), 3))) == 2
    assert reads(lambda: list(itertools.islice(tree().items(50_000), 3))) == 2
    assert reads(lambda: list(itertools.islice(tree().range(reverse=True), 3))) == 2
    for scan in (
        lambda: list(tree().range(40_000, 44_059)),
        lambda: list(tree().range(40_000, 44_059, reverse=True)),
        lambda: tree().range_arrays(40_000, 44_059),
        lambda: list(tree().items(40_000, 44_059)),
    ):
        assert reads(scan) <= 1 + 4_060 // 406 + 1
    assert reads(lambda: tree().range_arrays()) == 248


def test_cold_scans_read_neighbours_together(make_store: MakeStore) -> None:
    store = make_store(frames=64)
    keys = np.arange(5_000, dtype=np.uint32)
    store.tree.bulk_load(keys, keys.astype(np.uint64))
    leaves = store.tree.stats().leaf_count
    store.reopen()
    assert store.fs is not None
    before = store.fs.counts["preadv"]
    assert store.tree.range_arrays()[0].tolist() == keys.tolist()
    assert store.fs.counts["preadv"] - before < leaves / 4


# -- damage ----------------------------------------------------------------------------------------


def test_a_damaged_leaf_stops_only_who_reaches_it(make_store: MakeStore) -> None:
    store, keys = grown(make_store, leaf_cap=4)
    store.close()
    store.open()
    path = [page for page in range(1, store.file.page_count) if _is_leaf(store, page)]
    victim = path[len(path) // 2]
    inside = int.from_bytes(store.read(victim)[32:36], "little")
    store.close()
    assert store.fs is not None
    store.fs.flip_bit(store.path, victim * 512 + 100, 3)
    store.open()
    before = [key for key, _ in store.tree.range(0, inside - 1)]
    assert before == [key for key in keys if key < inside]
    for call in (store.tree.range, store.tree.items, store.tree.range_arrays):
        with pytest.raises(ChecksumMismatch):
            list(call(inside, 2**32 - 1))
    seen: list[int] = []
    with pytest.raises(ChecksumMismatch):
        seen.extend(key for key, _ in store.tree.range())
    assert seen == before
    assert store.pool.pinned() == {}


def _is_leaf(store: Store, page_id: int) -> bool:
    page = store.read(page_id)
    return page[8] == 2 and page[17] == 1


def test_separators_out_of_order_are_no_endless_loop(make_store: MakeStore) -> None:
    store, _ = grown(make_store, frames=64)
    root = store.tree.root
    first = bytes(store.read(root)[32:36])
    store.patch(root, 36, bytes(4))  # the second separator
    for scan in (store.tree.range, store.tree.items, store.tree.range_arrays):
        try:
            rows = list(scan())
        except TreeCorrupt:
            rows = []
        assert len(rows) <= 400
    store.patch(root, 32, (2**32 - 1).to_bytes(4, "little"))
    for reverse in (False, True):
        try:
            assert len(list(store.tree.range(reverse=reverse))) <= 400
        except TreeCorrupt:
            continue
    store.patch(root, 32, first)
    assert store.pool.pinned() == {}
