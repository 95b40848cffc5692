"""What a tree promises, call by call."""

from __future__ import annotations

import io
import itertools
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from meridian.database.btree import (
    BPlusTree,
    BTreeError,
    DuplicateKey,
    IndexNeedsRebuild,
    KeyRange,
    TreeCorrupt,
)
from meridian.database.storage import BufferPool, PageFile, RecordId, StorageClosed
from meridian.testing import FaultyFileSystem
from tests.database.btree.store import Store, rid_of

MakeStore = Callable[..., Store]


def shuffled(keys: range, seed: int = 1) -> list[int]:
    result = list(keys)
    random.Random(seed).shuffle(result)
    return result


def test_an_empty_tree(make_store: MakeStore) -> None:
    tree = make_store().tree
    assert tree.get(5) is None
    assert tree.delete(5) is None
    assert 5 not in tree
    assert (tree.root, tree.height, tree.count, len(tree)) == (0, 0, 0, 0)
    assert (tree.min(), tree.max()) == (None, None)
    stats = tree.check(strict=True)
    assert (stats.height, stats.leaf_count, stats.fill_factor, stats.min_leaf_fill) == (0, 0, 0, 0)


def test_one_key(make_store: MakeStore) -> None:
    tree = make_store().tree
    for key in (0, 2**32 - 1, 77):
        assert tree.upsert(key, RecordId(2**32 - 1, 65535)) is None
        assert tree.get(key) == RecordId(2**32 - 1, 65535)
        assert type(tree.get(key)) is RecordId
        assert key in tree
        assert tree.upsert(key, RecordId(0, 0)) == RecordId(2**32 - 1, 65535)
        assert tree.min() == tree.max() == (key, RecordId(0, 0))
        assert len(tree) == 1
        assert tree.delete(key) == RecordId(0, 0)
        assert tree.height == 0


def test_a_duplicate_changes_nothing(make_store: MakeStore) -> None:
    tree = make_store().tree
    tree.insert(5, RecordId(1, 2))
    version = tree.version
    with pytest.raises(DuplicateKey, match="Key 5 is in the tree, for page 1, slot 2"):
        tree.insert(5, RecordId(3, 4))
    assert tree.get(5) == RecordId(1, 2)
    assert tree.version == version


@pytest.mark.parametrize("frames", [8, 16])
@pytest.mark.parametrize("rebalance", ["lazy", "eager"])
def test_keys_in_random_order(make_store: MakeStore, frames: int, rebalance: str) -> None:
    store = make_store(frames=frames, leaf_cap=4, internal_cap=4, rebalance=rebalance)
    tree = store.tree
    for key in shuffled(range(400)):
        tree.insert(key, rid_of(key))
    assert tree.height >= 4
    assert tree.check(strict=True).count == 400
    assert tree.min() == (0, rid_of(0))
    assert tree.max() == (399, rid_of(399))
    for key in shuffled(range(0, 400, 3), 2):
        assert tree.delete(key) == rid_of(key)
        assert tree.delete(key) is None
    tree.check(strict=rebalance == "eager")
    for key in range(400):
        assert tree.get(key) == (rid_of(key) if key % 3 else None)
    assert store.pool.pinned() == {}
    assert store.pool.stats.evictions > 0


@pytest.mark.parametrize(
    ("key", "rid", "error"),
    [
        (True, RecordId(1, 1), KeyRange),
        (-1, RecordId(1, 1), KeyRange),
        (2**32, RecordId(1, 1), KeyRange),
        (2**70, RecordId(1, 1), KeyRange),
        (1.5, RecordId(1, 1), KeyRange),
        (1, (1, 1), TypeError),
        (1, 65537, TypeError),
        (1, RecordId(2**32, 1), ValueError),
        (1, RecordId(1, 65536), ValueError),
        (1, RecordId(1.0, 1), TypeError),  # type: ignore[arg-type]
    ],
)
def test_wrong_arguments_change_nothing(
    make_store: MakeStore, key: int, rid: RecordId, error: type[Exception]
) -> None:
    tree = make_store().tree
    tree.insert(1, RecordId(0, 0))
    version = tree.version
    for change in (tree.insert, tree.upsert):
        with pytest.raises(error):
            change(key, rid)
    if error is KeyRange:
        for look in (tree.get, tree.delete, tree.__contains__):
            with pytest.raises(KeyRange):
                look(key)
    assert tree.version == version


def test_numpy_keys_and_ids(make_store: MakeStore) -> None:
    tree = make_store().tree
    tree.insert(np.uint32(2**32 - 1), RecordId(np.uint32(2**32 - 1), np.uint16(9)))  # type: ignore[arg-type]
    assert tree.get(2**32 - 1) == RecordId(2**32 - 1, 9)
    assert np.int64(2**32 - 1) in tree
    assert tree.delete(np.uint64(2**32 - 1)) == RecordId(2**32 - 1, 9)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"root_slot": 15}, ValueError),
        ({"root_slot": -1}, ValueError),
        ({"root_slot": True}, TypeError),
        ({"rebalance": "never"}, ValueError),
        ({"leaf_cap": 2}, ValueError),
        ({"leaf_cap": 49}, ValueError),  # 512 bytes have room for 48
        ({"internal_cap": 2}, ValueError),
        ({"internal_cap": 60}, ValueError),
        ({"leaf_cap": 4.0}, TypeError),
    ],
)
def test_wrong_options(
    make_store: MakeStore, options: dict[str, int], error: type[Exception]
) -> None:
    pool = make_store().pool
    with pytest.raises(error):
        BPlusTree(pool, **options)  # type: ignore[arg-type]


def test_the_version_moves_with_every_change(make_store: MakeStore) -> None:
    tree = make_store(leaf_cap=3, internal_cap=3).tree
    seen = [tree.version]
    for key in shuffled(range(60)):
        tree.insert(key, rid_of(key))
        seen.append(tree.version)
    tree.upsert(5, RecordId(1, 1))
    seen.append(tree.version)
    for key in shuffled(range(60)):
        tree.delete(key)
        seen.append(tree.version)
    assert all(a < b for a, b in itertools.pairwise(seen))
    tree.get(1)
    tree.delete(1)
    tree.check()
    assert tree.version == seen[-1]


def test_ascending_keys_fill_leaves(make_store: MakeStore) -> None:
    appended = make_store(frames=64, leaf_cap=20, internal_cap=8).tree
    halved = make_store(frames=64, leaf_cap=20, internal_cap=8, append_split=False).tree
    for key in range(2000):
        appended.insert(key, rid_of(key))
        halved.insert(key, rid_of(key))
    full, half = appended.check(strict=True), halved.check(strict=True)
    assert full.leaf_count == 100
    assert full.fill_factor == 1.0
    assert full.internal_count <= 18
    assert half.leaf_count in (199, 200)
    for key in (0, 19, 20, 999, 1999):
        assert appended.get(key) == halved.get(key) == rid_of(key)
    # A key into the middle of full leaves halves one of them.
    assert appended.delete(500) == rid_of(500)
    appended.insert(500, rid_of(500))
    assert appended.check().count == 2000


def test_random_keys_fill_two_thirds(make_store: MakeStore) -> None:
    tree = make_store(frames=500, page_size=4096).tree
    for key in shuffled(range(0, 200_000, 10)):
        tree.insert(key, rid_of(key))
    stats = tree.check(strict=True)
    assert 0.6 < stats.fill_factor < 0.8
    assert stats.height == 2
    assert stats.min_leaf_fill >= 0.5
    assert stats.splits == stats.leaf_count - 1


def test_a_cold_lookup_reads_a_page_per_level(make_store: MakeStore) -> None:
    store = make_store(frames=32, leaf_cap=4, internal_cap=4)
    for key in shuffled(range(300)):
        store.tree.insert(key, rid_of(key))
    height = store.tree.height
    for key in (0, 150, 299, 1000):
        tree = store.reopen()
        assert tree.get(key) == (rid_of(key) if key < 300 else None)
        assert store.file.stats.reads == height
        assert (store.pool.stats.misses, store.pool.stats.hits) == (height, 0)
        tree.get(key)
        assert (store.pool.stats.misses, store.pool.stats.hits) == (height, height)
        tree.upsert(key, rid_of(key)) if key < 300 else tree.delete(key)
        assert (store.pool.stats.misses, store.pool.stats.hits) == (height, 2 * height)
    tree = store.reopen()
    tree.delete(2000)
    assert (store.pool.stats.misses, store.pool.stats.hits) == (height, 0)


@pytest.mark.parametrize("policy", ["lru", "2q", "clock"])
def test_every_policy_learns_of_lookups(make_store: MakeStore, policy: str) -> None:
    store = make_store(frames=32, policy=policy, leaf_cap=4, internal_cap=4)
    for key in range(30):
        store.tree.insert(key, rid_of(key))
    assert store.tree.get(0) == rid_of(0)
    leaf = store.tree.check().leaf_count and first_leaf(store)
    if policy == "lru":
        store.pool.fetch(store.tree.root).unpin()
        assert store.pool.queues()["LRU"][-1] == store.tree.root
        store.tree.get(0)
        assert store.pool.queues()["LRU"][-1] == store.tree.root  # the last one told
        assert leaf in store.pool.queues()["LRU"][-store.tree.height :]
        store.tree.upsert(0, rid_of(0))
        assert leaf in store.pool.queues()["LRU"][-store.tree.height :]
    store.tree.check()


def first_leaf(store: Store) -> int:
    page_id = store.tree.root
    for _ in range(store.tree.height - 1):
        page = store.read(page_id)
        at = 32 + 4 * 59  # the first child, behind room for 59 keys
        page_id = int.from_bytes(page[at : at + 4], "little")
    return page_id


def test_reopened(make_store: MakeStore) -> None:
    store = make_store(leaf_cap=4, internal_cap=4)
    for key in shuffled(range(200)):
        store.tree.insert(key, rid_of(key))
    shape = store.tree.check()
    tree = store.reopen(rebalance="eager")
    assert (tree.check().height, tree.check().leaf_count) == (shape.height, shape.leaf_count)
    assert all(tree.get(key) == rid_of(key) for key in range(200))
    # With other limits: nodes that are fuller than they would be are split when they are met.
    tree = store.reopen(leaf_cap=3, internal_cap=3)
    for key in range(200, 300):
        tree.insert(key, rid_of(key))
    assert tree.check().count == 300


def test_lazy_deletes_then_eager_ones(make_store: MakeStore) -> None:
    """A tree thinned out by lazy deletes, with nodes of one child, is one that eager ones mend."""
    store = make_store(leaf_cap=4, internal_cap=4, rebalance="lazy", append_split=False)
    for key in range(500):
        store.tree.insert(key, rid_of(key))
    kept = set(range(0, 500, 25))
    for key in shuffled(range(500)):
        if key not in kept:
            store.tree.delete(key)
    assert store.tree.check().min_leaf_fill < 0.5
    with pytest.raises(TreeCorrupt, match="at least 2 expected"):
        store.tree.check(strict=True)
    tree = store.reopen(rebalance="eager")
    for key in sorted(kept):
        assert tree.delete(key) == rid_of(key)
        kept.discard(key)
        assert tree.check().count == len(kept)
        assert store.items() == {key: rid_of(key) for key in kept}
    assert tree.height == 0


@pytest.mark.parametrize("rebalance", ["lazy", "eager"])
def test_pages_are_used_again(make_store: MakeStore, rebalance: str) -> None:
    store = make_store(leaf_cap=4, internal_cap=4, rebalance=rebalance)
    tree = store.tree
    order = shuffled(range(300))
    for key in order:
        tree.insert(key, rid_of(key))
    size = store.file.page_count
    for turn in range(10):
        for key in shuffled(range(300), turn):
            assert tree.delete(key) == rid_of(key)
        assert (tree.root, tree.height, len(tree)) == (0, 0, 0)
        assert store.file.free_count == store.file.page_count - 1
        for key in order:
            tree.insert(key, rid_of(key))
        assert store.file.page_count == size
        tree.check()


def test_clear(make_store: MakeStore) -> None:
    store = make_store(leaf_cap=4, internal_cap=4)
    for key in range(100):
        store.tree.insert(key, rid_of(key))
    store.tree.clear()
    assert (store.tree.height, len(store.tree)) == (0, 0)
    assert store.file.free_count == store.file.page_count - 1
    store.tree.clear()
    store.tree.insert(1, rid_of(1))
    assert store.reopen().check().count == 1


def test_two_trees_in_one_file(make_store: MakeStore) -> None:
    store = make_store(leaf_cap=4, internal_cap=4)
    others = [BPlusTree(store.pool, root_slot=slot, leaf_cap=5) for slot in (2, 14)]
    trees = [store.tree, *others]
    for key in shuffled(range(100)):
        for i, tree in enumerate(trees):
            if key % (i + 1) == 0:
                tree.insert(key, RecordId(key, i))
    trees[1].clear()
    for key in range(100):
        assert store.tree.get(key) == RecordId(key, 0)
        assert others[0].get(key) is None
        assert others[1].get(key) == (RecordId(key, 2) if key % 3 == 0 else None)
    store.reopen()
    assert BPlusTree(store.pool, root_slot=14).check().count == 34


def test_closed(make_store: MakeStore) -> None:
    store = make_store()
    empty, tree = BPlusTree(store.pool, root_slot=2), store.tree
    tree.insert(5, rid_of(5))
    store.close()
    for call in (
        lambda: tree.get(5),
        lambda: empty.get(5),
        lambda: 5 in tree,
        lambda: tree.insert(6, rid_of(6)),
        lambda: empty.upsert(6, rid_of(6)),
        lambda: tree.delete(5),
        lambda: empty.delete(5),
        lambda: tree.min(),
        lambda: empty.max(),
        lambda: tree.check(),
        lambda: empty.stats(),
        lambda: tree.clear(),
        lambda: BPlusTree(store.pool),
    ):
        with pytest.raises(StorageClosed):
            call()


def test_read_only(make_store: MakeStore) -> None:
    store = make_store()
    store.tree.insert(5, rid_of(5))
    store.close()
    with PageFile(store.path, 512, readonly=True) as file, BufferPool(file, 8) as pool:
        tree = BPlusTree(pool)
        assert tree.get(5) == rid_of(5)
        tree.check()
        for call in (
            lambda: tree.insert(6, rid_of(6)),
            lambda: tree.upsert(5, rid_of(6)),
            lambda: tree.delete(5),
            lambda: tree.delete(6),
            lambda: tree.clear(),
        ):
            with pytest.raises(io.UnsupportedOperation, match="read-only"):
                call()
        assert tree.get(5) == rid_of(5)


def test_not_closed_cleanly(make_store: MakeStore, faults: FaultyFileSystem) -> None:
    store = make_store()
    store.tree.insert(5, rid_of(5))
    store.reopen()
    store.tree.insert(6, rid_of(6))
    store.pool.flush_all()
    faults.fail("sync", times=None)
    with pytest.raises(OSError, match="Input/output"):
        store.close()
    faults.heal()
    with pytest.raises(IndexNeedsRebuild, match=r"index0\.oor was not closed cleanly") as caught:
        store.open()
    assert isinstance(caught.value, RuntimeError)
    assert caught.value.root_slot == 0
    assert BPlusTree(store.pool, root_slot=2).height == 0  # nothing there that could be lost
    looked = BPlusTree(store.pool, trust_unclean=True)
    assert looked.height <= 1
    store.pool.close()
    store.file.close()


@pytest.mark.parametrize(
    ("root", "count", "rule"),
    [
        (7 | 1 << 32, 3, "names it as root of 1 levels"),  # beyond the file
        (1 | 33 << 32, 3, "root of 33 levels"),
        (1, 3, "root of 0 levels"),
        (1 << 32, 3, "names it as root of 1 levels"),
        (1 | 1 << 32, 0, "has 0 keys for 1 levels"),
        (0, 3, "has 3 keys for 0 levels"),
        (1 | 1 << 32, 2**63, "keys for 1 levels"),
    ],
)
def test_a_root_that_cannot_be(make_store: MakeStore, root: int, count: int, rule: str) -> None:
    store = make_store()
    store.tree.insert(5, rid_of(5))
    store.file.set_root(0, root)
    store.file.set_root(1, count)
    with pytest.raises(TreeCorrupt, match=rule):
        BPlusTree(store.pool)


def test_the_number_of_levels_has_an_end(
    make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meridian.database.btree.insert.MAX_HEIGHT", 2)
    tree = make_store(leaf_cap=3, internal_cap=3).tree

    def insert_many() -> None:
        for key in range(100):
            tree.insert(key, rid_of(key))

    with pytest.raises(BTreeError, match="has 2 levels"):
        insert_many()
    assert tree.check().height == 2


@pytest.mark.parametrize("page_size", [512, 1024, 8192, 32768])
def test_every_page_size(make_store: MakeStore, page_size: int) -> None:
    store = make_store(page_size=page_size, frames=64)
    for key in shuffled(range(8000)):
        store.tree.insert(key, rid_of(key))
    tree = store.reopen()
    assert tree.check().count == 8000
    assert all(tree.get(key) == rid_of(key) for key in range(0, 8000, 7))


def test_a_tree_that_was_refused_is_refused_again(tmp_path: Path) -> None:
    """The first opener writes, and closes the file, but nobody has mended the tree."""
    path = tmp_path / "oor.db"
    with PageFile(path) as file, BufferPool(file) as pool:
        BPlusTree(pool).insert(5, rid_of(5))
        BPlusTree(pool, root_slot=2).insert(6, rid_of(6))
        pool.flush_all(sync=True)
        shutil.copy(path, tmp_path / "torn.db")  # as it is on disk while it is open
    for _ in range(2):
        with PageFile(tmp_path / "torn.db") as file, BufferPool(file) as pool:
            assert not file.was_clean
            for slot in (0, 2):
                with pytest.raises(IndexNeedsRebuild):
                    BPlusTree(pool, root_slot=slot)
            pool.new_page().unpin()
    with PageFile(tmp_path / "torn.db") as file, BufferPool(file) as pool:
        for slot in (0, 2):
            with pytest.raises(IndexNeedsRebuild):
                BPlusTree(pool, root_slot=slot)
        keys = np.array([5], np.uint32)
        rids = np.array([rid_of(5).pack()], np.uint64)
        assert BPlusTree.rebuild(pool, [(keys, rids)]).get(5) == rid_of(5)
    with PageFile(tmp_path / "torn.db") as file, BufferPool(file) as pool:
        assert not file.was_clean  # there is a second tree
        with pytest.raises(IndexNeedsRebuild):
            BPlusTree(pool)
        BPlusTree.rebuild(pool, [(keys, rids)])
        with pytest.raises(ValueError, match="leaf_cap"):
            BPlusTree.rebuild(pool, [], root_slot=2, leaf_cap=1)
    with PageFile(tmp_path / "torn.db") as file, BufferPool(file) as pool:
        assert not file.was_clean  # what was tried and refused mended nothing
        BPlusTree.rebuild(pool, [(keys, rids)])
        BPlusTree.rebuild(pool, [], root_slot=2)
    with PageFile(tmp_path / "torn.db") as file, BufferPool(file) as pool:
        assert file.was_clean
        assert BPlusTree(pool).get(5) == rid_of(5)
