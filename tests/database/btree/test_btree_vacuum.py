"""A vacuum leaves nodes at least half full; before, during and after it the tree is right."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meridian.database.btree import LatchHeld, TreeCorrupt
from meridian.database.storage import StorageClosed
from meridian.testing import FaultyFileSystem
from tests.database.btree.store import Store

MakeStore = Callable[..., Store]


def thinned(make_store: MakeStore, count: int = 400, **options: Any) -> tuple[Store, list[int]]:
    """A tree from which most keys were deleted, lazily."""
    store = make_store(**{"frames": 8, "leaf_cap": 6, "internal_cap": 4, **options})
    keys = random.Random(1).sample(range(1000), count)
    store.tree.put_many(keys[: count // 2], keys[: count // 2])
    store.tree.put_many(keys[count // 2 :], keys[count // 2 :])
    gone = random.Random(2).sample(keys, int(0.9 * count))
    store.tree.delete_many(gone)
    return store, sorted(set(keys) - set(gone))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(0, 300),
    keep=st.sampled_from([0.0, 0.03, 0.1, 0.3, 0.6, 1.0]),
    caps=st.tuples(st.integers(3, 8), st.integers(3, 8)),
    frames=st.sampled_from([8, 16, 64]),
)
def test_any_tree(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    count: int,
    keep: float,
    caps: tuple[int, int],
    frames: int,
) -> None:
    path = tmp_path_factory.mktemp("any") / "a.oor"
    store = Store(path, frames=frames, leaf_cap=caps[0], internal_cap=caps[1])
    tree, rng = store.tree, random.Random(seed)
    keys = rng.sample(range(2**32), count)
    for start in range(0, count, 60):
        tree.put_many(keys[start : start + 60], [key % 1000 for key in keys[start : start + 60]])
    gone = rng.sample(keys, int(count * (1 - keep)))
    start = rng.randrange(count) if count else 0
    gone += sorted(keys)[start : start + count // 4]  # a gap as well
    tree.delete_many(gone)
    left = {key: key % 1000 for key in keys if key not in set(gone)}
    before, free = tree.check(), store.file.free_count
    freed = tree.vacuum()
    after = tree.check(strict=True)
    assert freed == before.leaf_count + before.internal_count - (
        after.leaf_count + after.internal_count
    )
    assert store.file.free_count == free + freed
    assert dict(tree.items()) == left
    assert store.pool.pinned() == {}
    assert tree.vacuum() == 0
    store.close()


def test_a_delete_storm(make_store: MakeStore) -> None:
    store, left = thinned(make_store, frames=64, page_size=4096, leaf_cap=40)
    before = store.tree.stats()
    freed = store.tree.vacuum()
    after = store.tree.check(strict=True)
    assert freed > before.leaf_count // 2
    assert after.fill_factor > 0.6 > before.fill_factor
    assert after.height < before.height
    assert [key for key, _ in store.tree.range()] == left
    assert [key for key, _ in store.tree.range(reverse=True)] == left[::-1]
    assert list(dict(store.reopen().items())) == left


def test_nothing_to_do(make_store: MakeStore) -> None:
    store = make_store()
    assert store.tree.vacuum() == 0
    store.tree.bulk_load(range(500), range(500))
    version = store.tree.version
    assert store.tree.vacuum() == 0
    assert store.tree.version == version
    with store.tree.latch.read(), pytest.raises(LatchHeld):
        store.tree.vacuum()
    store.close()
    with pytest.raises(StorageClosed):
        store.tree.vacuum()


@pytest.mark.parametrize("call", ["preadv", "pwritev"])
def test_a_fault_leaves_a_valid_tree(
    make_store: MakeStore, faults: FaultyFileSystem, call: str
) -> None:
    struck = 0
    for nth in range(1, 1000):
        store, left = thinned(make_store, 120)
        faults.fail(call, nth)
        try:
            store.tree.vacuum()
        except OSError:
            struck += 1
        through = bool(faults.pending)
        faults.heal()
        assert list(dict(store.tree.items())) == left
        store.tree.check()
        assert store.pool.pinned() == {}
        store.tree.vacuum()
        nodes = store.tree.check(strict=True)
        pages = nodes.leaf_count + nodes.internal_count + store.file.free_count
        assert pages == store.file.page_count - 1  # none was lost
        store.close()
        if through:
            break
    assert struck or call == "pwritev"


def test_links_that_contradict_the_tree(make_store: MakeStore) -> None:
    store, left = thinned(make_store, frames=64)
    leaf = next(
        page
        for page in range(1, store.file.page_count)
        if (raw := store.read(page))[8] == 2 and raw[17] == 1 and any(raw[20:24])
    )
    good = bytes(store.read(leaf))
    store.patch(leaf, 20, (1).to_bytes(4, "little"))
    with pytest.raises(TreeCorrupt):
        store.tree.vacuum()
    assert list(dict(store.tree.items())) == left
    assert store.pool.pinned() == {}
    assert good != bytes(store.read(leaf))
