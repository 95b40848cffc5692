"""Trees built at once: the shape they must have, what is refused, and what a fault leaves."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meridian.database.btree import BPlusTree, IndexNeedsRebuild, LatchHeld
from meridian.database.btree import _batch_kernels as batch
from meridian.database.btree import _bulk_kernels as bulk
from meridian.database.btree.batch_common import new_state
from meridian.database.btree.bulk import shares
from meridian.database.btree.layout import min_children, min_keys
from meridian.database.storage import BufferPool, PageFile, RecordId, StorageClosed
from meridian.database.storage._kernels import read_only
from meridian.testing import FaultyFileSystem
from tests.database.btree.store import Store

MakeStore = Callable[..., Store]


def ascending(count: int) -> tuple[np.ndarray, np.ndarray]:
    keys = np.arange(0, 3 * count, 3, dtype=np.uint32)
    return keys, keys.astype(np.uint64) * np.uint64(7)


@settings(max_examples=80, deadline=None)
@given(
    keys=st.sets(st.integers(0, 2**32 - 1), max_size=300).map(sorted),
    fill=st.sampled_from([0.5, 0.6, 0.75, 0.9, 1.0]),
    caps=st.tuples(st.integers(3, 9), st.integers(3, 9)),
    frames=st.sampled_from([8, 16, 300]),
)
def test_any_tree(
    tmp_path_factory: pytest.TempPathFactory,
    keys: list[int],
    fill: float,
    caps: tuple[int, int],
    frames: int,
) -> None:
    path = tmp_path_factory.mktemp("any") / "a.oor"
    store = Store(path, frames=frames, leaf_cap=caps[0], internal_cap=caps[1])
    rids = [key % 2**20 << 16 | 5 for key in keys]
    store.tree.bulk_load(keys, rids, fill=fill)
    stats = store.tree.check(strict=True)
    assert stats.count == len(keys)
    assert list(store.tree.items()) == list(zip(keys, rids, strict=True))
    assert store.pool.pinned() == {}
    tree = store.reopen()
    assert tree.check(strict=True).count == len(keys)
    for key in keys[::7]:
        assert tree.delete(key) is not None
    tree.check()
    store.close()


@given(
    count=st.integers(1, 10_000),
    cap=st.integers(3, 508),
    fill=st.floats(0.5, 1.0),
    children=st.booleans(),
)
def test_shares(count: int, cap: int, fill: float, children: bool) -> None:
    most = cap + children
    least = min_children(cap) if children else min_keys(cap)
    sizes = shares(count, int(most * fill), most, least).tolist()
    assert sum(sizes) == count
    assert max(sizes) <= most
    assert len(sizes) == 1 or min(sizes) >= least
    assert len(sizes) <= -(-count // int(most * fill))


def test_a_hundred_thousand(make_store: MakeStore) -> None:
    """247 leaves on consecutive pages, height 2, in long writes, each page once."""
    store = make_store(frames=512, page_size=4096)
    keys, rids = ascending(100_000)
    assert store.fs is not None
    before = store.fs.counts["pwritev"]
    store.tree.bulk_load(keys, rids)
    stats = store.tree.check(strict=True)
    assert (stats.leaf_count, stats.internal_count, stats.height) == (247, 1, 2)
    assert stats.fill_factor > 0.99
    assert store.fs.counts["pwritev"] - before <= 4
    assert store.pool.statistics().dirty == 0
    leaf, pages = 1, []
    while leaf:
        pages.append(leaf)
        leaf = int.from_bytes(store.read(leaf)[20:24], "little")
    assert pages == list(range(1, 248))
    assert store.reopen().get(3 * 77_777) == RecordId.unpack(21 * 77_777)


@pytest.mark.parametrize("fill", [0.5, 0.8])
def test_fill(make_store: MakeStore, fill: float) -> None:
    store = make_store(frames=64, page_size=4096)
    keys, rids = ascending(50_000)
    store.tree.bulk_load(keys, rids, fill=fill)
    assert abs(store.tree.check(strict=True).fill_factor - fill) < 0.02


def test_shuffled_inserts_need_more_leaves(make_store: MakeStore) -> None:
    keys, rids = ascending(20_000)
    order = np.random.default_rng(1).permutation(20_000)
    loaded, grown = make_store(page_size=4096), make_store(page_size=4096, frames=256)
    loaded.tree.bulk_load(keys, rids)
    for part in np.split(order, 40):
        grown.tree.put_many(keys[part], rids[part])
    assert loaded.tree.stats().leaf_count == 50
    assert 60 <= grown.tree.stats().leaf_count <= 100
    assert list(loaded.tree.items()) == list(grown.tree.items())


@pytest.mark.parametrize(
    ("keys", "rids", "fill", "says"),
    [
        ([1, 3, 2], [0, 0, 0], 1.0, "got 2 after 3 at index 2"),
        ([1, 1], [0, 0], 1.0, "got 1 after 1 at index 1"),
        ([1, 2], [0], 1.0, "2 packed record ids"),
        ([1, 2], [0, 0], 0.49, "0.5 <= fill <= 1.0"),
        ([1, 2], [0, 0], 1.01, "0.5 <= fill <= 1.0"),
        ([1, 2], [0, 0], float("nan"), "fill"),
        ([1, 2], [0, 2**48], 1.0, "48 bits"),
        ([1, 2**32], [0, 0], 1.0, "Expected a key"),
    ],
)
def test_refused_before_any_page_is_touched(
    make_store: MakeStore, keys: list[int], rids: list[int], fill: float, says: str
) -> None:
    store = make_store()
    assert store.fs is not None
    before = dict(store.fs.counts)
    with pytest.raises(ValueError, match=says):
        store.tree.bulk_load(np.array(keys), np.array(rids), fill=fill)
    assert dict(store.fs.counts) == before
    assert (store.tree.height, store.file.page_count) == (0, 1)
    store.tree.bulk_load([1], [2])
    assert store.tree.get(1) == RecordId(0, 2)


@pytest.mark.parametrize("fill", ["1", None, True, 1j], ids=repr)
def test_fill_is_a_number(make_store: MakeStore, fill: Any) -> None:
    with pytest.raises(TypeError, match="fill"):
        make_store().tree.bulk_load([1], [1], fill=fill)


def test_only_into_an_empty_open_tree(make_store: MakeStore) -> None:
    store = make_store()
    store.tree.bulk_load([], [])
    store.tree.insert(5, RecordId(1, 1))
    with pytest.raises(ValueError, match="The tree has 1 keys"):
        store.tree.bulk_load([1], [1])
    with store.tree.latch.read(), pytest.raises(LatchHeld):
        store.tree.bulk_load([1], [1])
    assert [key for key, _ in store.tree.range()] == [5]
    store.close()
    with pytest.raises(StorageClosed):
        store.tree.bulk_load([1], [1])


def test_free_pages_are_used_first(make_store: MakeStore) -> None:
    """Ten times filled and cleared, in any way: the file stays as it is, chains are right."""
    store = make_store(frames=16)
    keys, rids = ascending(2_000)
    store.tree.bulk_load(keys, rids)
    pages = store.file.page_count
    for turn in range(10):
        if turn % 2:
            store.tree.clear()
        else:
            store.tree.delete_many(np.random.default_rng(turn).permutation(keys))
        assert store.file.free_count == pages - 1
        store.tree.bulk_load(keys, rids)
        store.tree.check(strict=True)
        assert store.file.page_count == pages
    store.tree.clear()
    keys, rids = ascending(4_000)  # some pages free, some new
    store.tree.bulk_load(keys, rids)
    assert store.tree.check(strict=True).count == 4_000
    assert store.tree.range_arrays()[0].tolist() == keys.tolist()


def test_every_page_passes_the_hook_of_the_pool(make_store: MakeStore) -> None:
    store = make_store(frames=16)
    seen: set[int] = set()
    store.pool.before_flush = lambda page_id, _page: seen.add(page_id)
    store.tree.bulk_load(*ascending(2_000))
    store.pool.flush_all()
    assert seen == set(range(1, store.file.page_count))
    assert store.tree.check(strict=True).count == 2_000


@pytest.mark.parametrize("call", ["pwritev", "preadv"])
@pytest.mark.parametrize("recycled", [False, True])
def test_a_fault_leaves_the_tree_empty(
    make_store: MakeStore, faults: FaultyFileSystem, call: str, recycled: bool
) -> None:
    keys, rids = ascending(700)
    struck = 0
    for nth in range(1, 200):
        store = make_store(frames=8)
        if recycled:
            store.tree.bulk_load(*ascending(500))
            store.tree.clear()
        pages = store.file.page_count
        faults.fail(call, nth, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        try:
            store.tree.bulk_load(keys, rids)
        except OSError:
            struck += 1
            faults.heal()
            assert (store.tree.height, len(store.tree)) == (0, 0)
            assert store.tree.get(3) is None
            assert store.pool.pinned() == {}
            assert store.file.free_count >= pages - 1
            store.tree.bulk_load(keys, rids)
            assert store.tree.check(strict=True).count == 700
        else:
            through = bool(faults.pending)
            faults.heal()
            assert store.tree.check(strict=True).count == 700
            if through:
                break
        store.close()
    assert struck or call == "preadv"


# -- rebuild ---------------------------------------------------------------------------------------


def test_rebuild(make_store: MakeStore) -> None:
    """From batches in no order; the last of equal keys wins; the old tree is not looked at."""
    store = make_store(leaf_cap=4, internal_cap=4)
    store.tree.put_many(range(100), range(100))
    store.patch(store.tree.root, 17, b"\xff" * 100)
    batches = [([5, 1, 9], [1, 2, 3]), ([], []), ([7, 1], [4, 5])]
    tree = BPlusTree.rebuild(
        store.pool,
        ((np.array(keys, np.uint32), np.array(rids, np.uint64)) for keys, rids in batches),
        leaf_cap=4,
        internal_cap=4,
    )
    assert list(tree.items()) == [(1, 5), (5, 1), (7, 4), (9, 3)]
    store.tree = tree
    assert list(store.reopen().items()) == [(1, 5), (5, 1), (7, 4), (9, 3)]
    assert len(BPlusTree.rebuild(store.pool, [])) == 0


def test_rebuild_of_a_file_that_was_not_closed(tmp_path: Any) -> None:
    path = tmp_path / "a.oor"
    file = PageFile(path, 512)
    pool = BufferPool(file, 8)
    BPlusTree(pool).put_many([1, 2], [1, 2])
    pool.flush_all(sync=True)
    torn = path.read_bytes()
    pool.close()
    file.close()
    path.write_bytes(torn)
    with PageFile(path, 512) as again, BufferPool(again, 8) as fresh:
        with pytest.raises(IndexNeedsRebuild):
            BPlusTree(fresh)
        with pytest.raises(ValueError, match="rebalance"):
            BPlusTree.rebuild(fresh, [], rebalance="never")
        with pytest.raises(IndexNeedsRebuild):  # a refused option has changed nothing
            BPlusTree(fresh)
        tree = BPlusTree.rebuild(fresh, [(np.array([3]), np.array([4]))])
        assert list(tree.items()) == [(3, 4)]


# -- kernels and their twins -----------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    data=st.data(),
    keys=st.sets(st.integers(0, 300), min_size=1, max_size=100).map(sorted),
    damage=st.lists(
        st.tuples(
            st.integers(0, 7),
            st.sampled_from([2, 4, 7, 8, 9, 40, 60, 70]),
            st.integers(0, 2**32 - 1),
        ),
        max_size=3,
    ),
)
def test_kernels_and_their_twins(
    data: st.DataObject, keys: list[int], damage: list[tuple[int, int, int]]
) -> None:
    """On the same pages, sound or not, both do and answer the same."""
    meta = _meta()
    frames = np.array([3, 0, 5, 1], np.int32)
    page_ids = np.array([1, 2, 3, 4], np.int64)
    cut = sorted(data.draw(st.lists(st.integers(0, len(keys)), min_size=3, max_size=3)))
    starts = np.array([0, *cut, len(keys)], np.int64)
    column = read_only(np.array(keys, np.uint32))
    rids = read_only(np.array([key << 16 | 1 for key in keys], np.uint64))
    asked = sorted(data.draw(st.sets(st.integers(0, 310), min_size=1, max_size=40)))
    wanted = read_only(np.array(asked, np.uint32))
    order = read_only(np.arange(len(asked), dtype=np.uint32))
    marks = sorted(data.draw(st.lists(st.integers(0, len(asked)), min_size=2, max_size=2)))
    groups = np.array([0, *marks, len(asked)], np.int64)
    nodes = np.array(data.draw(st.lists(st.integers(1, 7), min_size=3, max_size=3)), np.int64)
    table = np.array([-1, 3, 0, 5, 1, 2, 9], np.int32)

    def run(compiled: bool) -> list[Any]:
        def of(kernel: Any) -> Any:
            return kernel if compiled else kernel.py_func

        words, refs, own = np.zeros(8 * 128, np.uint32), np.zeros(8, np.uint8), meta.copy()
        dirty = np.zeros(8, np.uint8)
        of(bulk.fill_leaves)(words, own, frames, page_ids, starts, column, rids, 9, 10)
        parent = np.array([2], np.int32)
        lowest, at = np.array([0, 50, 100, 200], np.uint32), np.array([0, 4], np.int64)
        of(bulk.fill_nodes)(words, own, parent, np.array([5]), at, lowest, page_ids, 1)
        for frame, word, value in damage:
            words[frame * 128 + word] = value
        memory = (words, table, refs, own)
        said: list[Any] = []

        def note(found: Any, *arrays: np.ndarray) -> None:
            said.append((int(found), *(array.tolist() for array in arrays), words.tolist()))

        state, below, below_at = new_state(), np.zeros(200, np.int64), np.zeros(201, np.int64)
        root = np.array([5], np.int64)
        whole = np.array([0, len(asked)], np.int64)
        found = of(batch.route)(*memory, wanted, root, whole, 1, below, below_at, state, 0, 1)
        note(found, below, below_at, state)
        out, state = np.zeros(len(asked), np.uint64), new_state()
        note(of(batch.find)(*memory, wanted, order, nodes, groups, out, state, 0, 3), out, state)
        state, into, packed = new_state(), np.zeros(150, np.uint32), np.zeros(150, np.uint64)
        found = of(bulk.copy_entries)(*memory, nodes, 20, 250, into, packed, state, 0, 3)
        note(found, into, packed, state)
        seek = np.array([5, 1, 0, 2**32], np.int64)
        note(of(bulk.seek)(*memory, 20, 250, False, below, seek), below, seek)
        seek = np.array([5, 1, 0, 2**32], np.int64)
        note(of(bulk.seek)(*memory, 20, 250, True, below, seek), below, seek)
        state = new_state()
        note(of(bulk.children_of)(*memory, root, 1, below, state, 0, 1), below, state)
        note(of(bulk.key_counts)(*memory, nodes, 0, below, state, 0, 3), below, state)
        news = read_only(np.array(asked, np.uint64))
        note(of(bulk.merge_leaf)(words, own, 3, wanted, news, into, packed), into, packed)
        state, places = new_state(), np.zeros(len(asked), np.int32)
        args = (dirty, wanted, news, places, nodes, groups, state, 0, 3)
        note(of(batch.put_sorted)(*memory, *args), state, dirty, own)
        state = new_state()
        args = (dirty, wanted, nodes, groups, state, 0, 3)
        note(of(batch.take_sorted)(*memory, *args), state, dirty, own, refs)
        return said

    with np.errstate(over="ignore"):
        assert run(True) == run(False)


def _meta() -> np.ndarray:
    from meridian.database.btree.tree_meta import HEIGHT, TreeMeta

    meta = TreeMeta(512, 48, 59, 1)
    meta.numbers[HEIGHT] = 2
    return meta.array
