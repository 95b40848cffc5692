"""What lookups and changes cost, as the pool counts it: one page for each level, no more."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.database.btree.store import Store, rid_of


@pytest.mark.parametrize("policy", ["clock", "lru", "2q"])
def test_a_lookup_counts_each_level_once_hit_or_miss(
    make_store: Callable[..., Store], policy: str
) -> None:
    store = make_store(frames=8, policy=policy, leaf_cap=4, internal_cap=4)
    for key in range(200):
        store.tree.insert(key, rid_of(key))
    tree = store.reopen()
    stats, height = store.pool.stats, tree.height
    misses = 0
    for number, key in enumerate([*range(0, 400, 3), *range(399, 0, -7)], 1):
        assert tree.get(key) == (rid_of(key) if key < 200 else None)
        assert stats.hits + stats.misses == number * height
        assert stats.misses >= misses
        misses = stats.misses
    assert height < misses < number * height  # some of both


def test_a_cold_lookup_reads_as_many_pages_as_there_are_levels(
    make_store: Callable[..., Store],
) -> None:
    store = make_store(leaf_cap=4, internal_cap=4)
    for key in range(200):
        store.tree.insert(key, rid_of(key))
    for key in (0, 99, 199, 200):
        tree = store.reopen()
        tree.get(key)
        assert (store.pool.stats.hits, store.pool.stats.misses) == (0, tree.height)
        tree.get(key)
        assert (store.pool.stats.hits, store.pool.stats.misses) == (tree.height, tree.height)
