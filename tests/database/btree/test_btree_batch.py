"""Batches give what single operations on a dict give, whatever the pool and the disk do."""

from __future__ import annotations

import errno
import os
import random
import sqlite3
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meridian.database.btree import NO_RID, BPlusTree, KeyRange, LatchHeld, TreeCorrupt
from meridian.database.storage import BufferPool, PageFile, PoolExhausted, RecordId, StorageClosed
from meridian.testing import FaultyFileSystem
from tests.database.btree.store import Store

MakeStore = Callable[..., Store]
Model = dict[int, int]

KEYS = st.one_of(st.integers(0, 200), st.integers(0, 2**32 - 1))
BATCHES = st.lists(
    st.tuples(st.sampled_from(["put", "put", "delete"]), st.lists(KEYS, max_size=80)), max_size=8
)


def u32(keys: Any) -> np.ndarray:
    return np.array(list(keys), np.uint32)


def u64(rids: Any) -> np.ndarray:
    return np.array(list(rids), np.uint64)


def grown(make_store: MakeStore, count: int = 200, **options: Any) -> tuple[Store, Model]:
    """A tree of several levels with the even numbers, of which a part is in memory."""
    store = make_store(**{"frames": 8, "leaf_cap": 4, "internal_cap": 4, **options})
    keys = list(range(0, 2 * count, 2))
    random.Random(1).shuffle(keys)
    for start in range(0, count, 50):  # batch by batch, so that leaves are not all full
        some = keys[start : start + 50]
        store.tree.put_many(u32(some), u64(key + 1 for key in some))
    return store, {key: key + 1 for key in keys}


def held(tree: BPlusTree) -> Model:
    return dict(tree.items())


# -- against models --------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    batches=BATCHES,
    caps=st.tuples(st.integers(3, 8), st.integers(3, 8)),
    rebalance=st.sampled_from(["lazy", "eager"]),
    append_split=st.booleans(),
    frames=st.sampled_from([8, 16, 200]),
    policy=st.sampled_from(["clock", "lru", "2q"]),
)
def test_any_batches(
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[tuple[str, list[int]]],
    caps: tuple[int, int],
    rebalance: str,
    append_split: bool,
    frames: int,
    policy: str,
) -> None:
    store = Store(
        tmp_path_factory.mktemp("any") / "a.oor",
        frames=frames,
        policy=policy,
        leaf_cap=caps[0],
        internal_cap=caps[1],
        rebalance=rebalance,
        append_split=append_split,
    )
    model: Model = {}
    for number, (op, keys) in enumerate(batches):
        before = len(model)
        if op == "put":
            rids = [number << 20 | i for i in range(len(keys))]
            model.update(zip(keys, rids, strict=True))
            assert store.tree.put_many(u32(keys), u64(rids)) == len(model) - before
        else:
            for key in keys:
                model.pop(key, None)
            assert store.tree.delete_many(u32(keys)) == before - len(model)
        stats = store.tree.check(strict=rebalance == "eager")
        assert stats.count == len(store.tree) == len(model)
        asked = [*keys, *model, 7]
        found = store.tree.get_many(u32(asked)).tolist()
        assert found == [model.get(key, NO_RID) for key in asked]
        assert store.pool.pinned() == {}
    assert held(store.reopen()) == model
    store.close()


def test_a_large_batch_against_sqlite(make_store: MakeStore) -> None:
    """Many slices, leaves of full size, batches that upsert half of what is there."""
    store = make_store(frames=256, page_size=4096)
    oracle = sqlite3.connect(":memory:")
    oracle.execute("CREATE TABLE t (k INTEGER PRIMARY KEY, v INTEGER)")
    rng = np.random.default_rng(5)
    for size in (70_000, 3, 20_000, 70_000):
        keys = rng.integers(0, 200_000, size).astype(np.uint32)
        rids = rng.integers(0, 2**48, size).astype(np.uint64)
        store.tree.put_many(keys, rids)
        pairs = zip(keys.tolist(), rids.tolist(), strict=True)
        oracle.executemany("INSERT OR REPLACE INTO t VALUES (?, ?)", pairs)
        gone = rng.integers(0, 200_000, size // 4).astype(np.uint32)
        store.tree.delete_many(gone)
        oracle.executemany("DELETE FROM t WHERE k = ?", ((key,) for key in gone.tolist()))
    store.tree.check()
    rows = oracle.execute("SELECT k, v FROM t ORDER BY k").fetchall()
    assert list(store.tree.items()) == rows
    keys = rng.integers(0, 200_000, 100_000).astype(np.uint32)
    known = dict(rows)
    assert store.tree.get_many(keys).tolist() == [known.get(k, NO_RID) for k in keys.tolist()]
    oracle.close()


def test_the_last_of_equal_keys_wins(make_store: MakeStore) -> None:
    tree = make_store().tree
    assert tree.put_many(u32([5, 1, 5, 5, 1]), u64([1, 2, 3, 4, 5])) == 2
    assert held(tree) == {1: 5, 5: 4}
    assert tree.put_many(u32([5, 9, 5]), u64([6, 7, 8])) == 1
    assert held(tree) == {1: 5, 5: 8, 9: 7}
    assert tree.delete_many(u32([5, 5, 6, 5])) == 1


def test_the_ends_of_the_range(make_store: MakeStore) -> None:
    tree = make_store(leaf_cap=3, internal_cap=3).tree
    keys = [0, 2**32 - 1, 2**31, 1, 2**32 - 2]
    rids = [0, 2**48 - 1, 1, 2, 3]
    assert tree.put_many(u32(keys), u64(rids)) == 5
    assert tree.get_many(u32(keys)).tolist() == rids
    assert tree.get(2**32 - 1) == RecordId(2**32 - 1, 2**16 - 1)
    assert tree.delete_many(u32(keys)) == 5
    assert (tree.height, len(tree)) == (0, 0)


def test_ascending_batches_fill_their_leaves(make_store: MakeStore) -> None:
    store = make_store(frames=64, page_size=4096)
    for start in range(0, 40_000, 2_500):
        keys = np.arange(start, start + 2_500, dtype=np.uint32)
        assert store.tree.put_many(keys, keys.astype(np.uint64)) == 2_500
    assert store.tree.check().fill_factor > 0.95
    halving = make_store(frames=64, page_size=4096, append_split=False)
    for start in range(0, 40_000, 100):
        keys = np.arange(start, start + 100, dtype=np.uint32)
        halving.tree.put_many(keys, keys.astype(np.uint64))
    assert 0.45 < halving.tree.check(strict=True).fill_factor < 0.6


def test_a_batch_for_one_leaf_opens_many(make_store: MakeStore) -> None:
    """All new keys lie in one gap, and the pool has room for few new leaves at a time."""
    store, model = grown(make_store)
    new = list(range(10**6, 10**6 + 300))
    random.Random(2).shuffle(new)
    store.tree.upsert(2 * 10**6, RecordId(0, 1))
    assert store.tree.put_many(u32(new), u64(new)) == 300
    model.update({key: key for key in new} | {2 * 10**6: 1})
    store.tree.check()
    assert held(store.tree) == model


# -- what is given ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "keys",
    [
        np.array([1.0, 2.0]),
        np.array([1.0, np.nan]),
        np.array([True, False]),
        np.array([1, -1]),
        np.array([2**32]),
        np.array([2**63], np.uint64),
        np.array(["1", "2"]),
        np.array([1, None], object),
        np.array([[1, 2]]),
        np.array(1),
        [1, True],
        [1.0],
        [2**40],
    ],
    ids=repr,
)
def test_what_is_no_array_of_keys(make_store: MakeStore, keys: Any) -> None:
    store, model = grown(make_store, 20)
    version = store.tree.version
    rids = np.zeros(np.size(keys), np.uint64)
    for call in (
        lambda: store.tree.get_many(keys),
        lambda: store.tree.delete_many(keys),
        lambda: store.tree.put_many(keys, rids),
        lambda: make_store().tree.bulk_load(keys, rids),
    ):
        with pytest.raises(ValueError, match=r"Expected a key|flat array") as caught:
            call()
        assert isinstance(caught.value, KeyRange) == (np.ndim(keys) == 1)
    assert store.tree.version == version
    assert held(store.tree) == model


@pytest.mark.parametrize(
    "rids",
    [
        np.array([1]),
        np.array([1, 2, 3]),
        np.array([[1, 2]]),
        np.array([1.0, 2.0]),
        np.array([1, -1]),
        np.array([1, 2**48]),
        np.array([True, False]),
        np.array([1, NO_RID], np.uint64),
        [1, 2**48],
        [1],
    ],
    ids=repr,
)
def test_what_are_no_rids(make_store: MakeStore, rids: Any) -> None:
    store, model = grown(make_store, 20)
    version = store.tree.version
    with pytest.raises(ValueError, match="Expected"):
        store.tree.put_many(u32([1, 2]), rids)
    with pytest.raises(ValueError, match="Expected"):
        make_store().tree.bulk_load(u32([1, 2]), rids)
    assert store.tree.version == version
    assert held(store.tree) == model


@pytest.mark.parametrize(
    "bad", ["12", b"12", 5, None, {1: 2}, iter([1])], ids=lambda bad: type(bad).__name__
)
def test_what_is_no_sequence(make_store: MakeStore, bad: Any) -> None:
    tree = make_store().tree
    with pytest.raises(TypeError, match="Expected keys as an array"):
        tree.get_many(bad)
    with pytest.raises(TypeError, match="Expected packed record ids as an array"):
        tree.put_many(u32([1]), bad)


@pytest.mark.parametrize(
    "form",
    [
        lambda keys: keys.astype(">u4"),
        lambda keys: keys.astype(">i8"),
        lambda keys: keys.astype(np.int64),
        lambda keys: keys.astype(np.uint64),
        lambda keys: np.repeat(keys, 3)[::3],
        lambda keys: keys[::-1].copy()[::-1],
        lambda keys: keys.astype(object),
        lambda keys: keys.tolist(),
        lambda keys: np.frombuffer(keys.tobytes(), np.uint32),
    ],
)
def test_other_forms_of_keys(make_store: MakeStore, form: Callable[[np.ndarray], Any]) -> None:
    tree = make_store(leaf_cap=4, internal_cap=4).tree
    keys = u32([7, 3, 2**31, 5, 11, 2])
    assert tree.put_many(form(keys), keys.astype(">u8")) == 6
    assert tree.get_many(form(keys)).tolist() == keys.tolist()
    assert tree.delete_many(form(keys)) == 6


def test_nothing_is_nothing(make_store: MakeStore) -> None:
    for store in (make_store(), grown(make_store, 5)[0]):
        version = store.tree.version
        for empty in (np.array([]), u32([]), []):
            assert store.tree.get_many(empty).dtype == np.uint64
            assert store.tree.get_many(empty).size == 0
            assert store.tree.put_many(empty, empty) == 0
            assert store.tree.delete_many(empty) == 0
        assert store.tree.version == version
    assert make_store().tree.get_many(u32([1])).tolist() == [NO_RID]
    assert make_store().tree.delete_many(u32([1])) == 0


def test_what_is_given_stays_as_it_is(make_store: MakeStore) -> None:
    keys, rids = u32([3, 1, 2, 1]), u64([1, 2, 3, 4])
    tree = make_store().tree
    tree.put_many(keys, rids)
    tree.get_many(keys)
    tree.delete_many(keys)
    assert (keys.tolist(), rids.tolist()) == ([3, 1, 2, 1], [1, 2, 3, 4])


def test_closed_and_read_only(make_store: MakeStore) -> None:
    store, model = grown(make_store, 20)
    store.close()
    for call in (
        lambda: store.tree.get_many(u32([1])),
        lambda: store.tree.put_many(u32([1]), u64([1])),
        lambda: store.tree.delete_many(u32([1])),
    ):
        with pytest.raises(StorageClosed):
            call()
    with PageFile(store.path, 512, readonly=True) as file, BufferPool(file, 8) as pool:
        tree = BPlusTree(pool, leaf_cap=4, internal_cap=4)
        assert tree.get_many(u32(model)).tolist() == list(model.values())
        with pytest.raises(OSError, match="read-only"):
            tree.put_many(u32([1]), u64([1]))
        with pytest.raises(OSError, match="read-only"):
            tree.delete_many(u32([2]))


def test_the_latch(make_store: MakeStore) -> None:
    store, model = grown(make_store, 20)
    with store.tree.latch.read():
        assert store.tree.get_many(u32([2])).tolist() == [3]
        with pytest.raises(LatchHeld):
            store.tree.put_many(u32([2]), u64([2]))
        with pytest.raises(LatchHeld):
            store.tree.delete_many(u32([2]))
    assert held(store.tree) == model


# -- the pool --------------------------------------------------------------------------------------


def test_missing_pages_come_together_and_half_of_the_pool_stays_free(
    make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(frames=40, page_size=512)
    keys = np.arange(0, 20_000, 2, dtype=np.uint32)
    store.tree.bulk_load(keys, keys.astype(np.uint64))
    store.reopen()
    most = 0
    leaves = store.tree.stats().leaf_count
    fetch_many = BufferPool.fetch_many

    def watched(pool: BufferPool, *args: Any, **more: Any) -> Any:
        nonlocal most
        frames = fetch_many(pool, *args, **more)
        most = max(most, int(np.count_nonzero(pool.pin_counts)))
        return frames

    monkeypatch.setattr(BufferPool, "fetch_many", watched)
    assert store.fs is not None
    store.reopen()
    before, misses = store.fs.counts["preadv"], store.pool.stats.misses
    assert store.tree.get_many(keys).tolist() == keys.tolist()
    assert 2 <= most <= 20
    assert store.pool.stats.misses - misses <= leaves + 20
    assert store.fs.counts["preadv"] - before <= leaves / 10
    assert store.pool.pinned() == {}


def test_a_pool_whose_pages_are_pinned(make_store: MakeStore) -> None:
    """With one free frame lookups still come through, changes of structure do not begin."""
    store, model = grown(make_store)
    tree = store.tree
    pages = list(range(1, store.file.page_count))[-7:]
    pins = [store.pool.fetch(page_id) for page_id in pages]
    try:
        assert tree.get_many(u32(model)).tolist() == list(model.values())
        assert tree.put_many(u32([0, 398]), u64([8, 9])) == 0
        with pytest.raises(PoolExhausted):
            tree.put_many(u32(range(1, 400, 2)), u64(range(200)))
    finally:
        for page in pins:
            page.unpin()
    model |= {0: 8, 398: 9}
    found = held(tree)
    assert {key: rid for key, rid in found.items() if key % 2 == 0} == model
    tree.check()


def test_delete_all_and_refill_does_not_grow_the_file(make_store: MakeStore) -> None:
    store = make_store(frames=32)
    rng = np.random.default_rng(3)
    sizes = set()
    for _ in range(10):
        keys = rng.permutation(3_000).astype(np.uint32)
        assert store.tree.put_many(keys[:1000], keys[:1000].astype(np.uint64)) == 1_000
        assert store.tree.put_many(keys, keys.astype(np.uint64)) == 2_000
        sizes.add(store.file.page_count)
        assert store.tree.delete_many(rng.permutation(keys)) == 3_000
        assert store.file.free_count == store.file.page_count - 1
    assert max(sizes) <= 1.1 * min(sizes)


def test_two_trees_in_one_file(make_store: MakeStore) -> None:
    store = make_store(leaf_cap=4, internal_cap=4)
    other = BPlusTree(store.pool, root_slot=2, leaf_cap=5, internal_cap=3)
    keys = np.random.default_rng(1).permutation(400).astype(np.uint32)
    for part in np.split(keys, 8):
        store.tree.put_many(part, part.astype(np.uint64))
        other.put_many(part * 2, part.astype(np.uint64) + 1)
    store.tree.delete_many(np.arange(0, 400, 3))
    assert held(store.tree) == {k: k for k in range(400) if k % 3}
    assert held(other) == {2 * k: k + 1 for k in range(400)}
    store.tree.check()
    other.check()
    store.tree.delete_many(keys)
    assert len(other) == 400
    other.check()


# -- faults ----------------------------------------------------------------------------------------


def prefixes(model: Model, keys: list[int], change: Callable[[Model, int], None]) -> list[Model]:
    """The model with no key of a batch done, with the lowest one, the two lowest, ..."""
    states, state = [dict(model)], dict(model)
    for key in sorted(keys):
        change(state, key)
        states.append(dict(state))
    return states


@pytest.mark.parametrize(
    ("op", "rebalance"), [("put", "lazy"), ("delete", "lazy"), ("delete", "eager")]
)
@pytest.mark.parametrize("call", ["preadv", "pwritev"])
def test_a_fault_leaves_a_prefix_of_the_batch(
    make_store: MakeStore, faults: FaultyFileSystem, op: str, call: str, rebalance: str
) -> None:
    """Every file operation of a batch fails once: the keys below some key are done, no others."""
    keys = random.Random(4).sample(range(120), 30)
    struck, cut_short = 0, 0
    for nth in range(1, 400):
        store, model = grown(make_store, 60, rebalance=rebalance)
        before = dict(model)
        faults.fail(call, nth, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

        def put(state: Model, key: int) -> None:
            state[key] = key << 20

        def drop(state: Model, key: int) -> None:
            state.pop(key, None)

        states = prefixes(before, keys, put if op == "put" else drop)
        try:
            if op == "put":
                store.tree.put_many(u32(keys), u64(key << 20 for key in keys))
            else:
                store.tree.delete_many(u32(keys))
        except OSError as error:
            struck += 1
            faults.heal()
            found = held(store.tree)
            assert found in states
            done = states.index(found)
            cut_short += 0 < done < len(keys)
            notes = " ".join(getattr(error, "__notes__", []))
            if notes:
                said = int(notes.split()[0])
                assert states[said] == found
                assert f"of 30 keys are done, those below {sorted(keys)[said]}" in notes
            else:
                assert found == before
        else:
            done = not faults.pending
            faults.heal()
            assert held(store.tree) == states[-1]
            if not done:
                store.close()
                break
        store.tree.check(strict=rebalance == "eager")
        assert store.pool.pinned() == {}
        # What failed can be tried again.
        if op == "put":
            store.tree.put_many(u32(keys), u64(key << 20 for key in keys))
        else:
            store.tree.delete_many(u32(keys))
        assert held(store.tree) == states[-1]
        store.tree.check(strict=rebalance == "eager")
        store.close()
    assert struck > 5
    assert cut_short


def test_a_fault_while_looking_up(make_store: MakeStore, faults: FaultyFileSystem) -> None:
    store, model = grown(make_store)
    for nth in range(1, 30):
        faults.fail("preadv", nth)
        try:
            store.tree.get_many(u32(model))
        except OSError:
            assert store.pool.pinned() == {}
        faults.heal()
    assert store.tree.get_many(u32(model)).tolist() == list(model.values())


def test_damaged_nodes_are_named(make_store: MakeStore) -> None:
    """A child outside the file, a wrong level, too many keys: told, and nothing else is read."""
    store, model = grown(make_store, frames=64)
    root = store.tree.root
    room = (512 - 36) // 8
    child_at = 32 + 4 * room
    good = bytes(store.read(root))
    for at, new, rule in (
        (child_at, (10**6).to_bytes(4, "little"), "names it"),
        (child_at, bytes(4), "page 0"),
        (child_at, root.to_bytes(4, "little"), "level"),
        (28, b"\x01", "level"),
        (18, b"\xff\xff", "more keys"),
        (8, b"\x01", "index"),
    ):
        store.patch(root, at, new)
        with pytest.raises(TreeCorrupt, match=rule):
            store.tree.get_many(u32(model))
        with pytest.raises(TreeCorrupt, match=rule):
            store.tree.put_many(u32(model), u64(model.values()))
        with pytest.raises(TreeCorrupt, match=rule):
            store.tree.delete_many(u32(model))
        assert store.pool.pinned() == {}
        store.patch(root, 0, good)
    assert held(store.tree) == model
