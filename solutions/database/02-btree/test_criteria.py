"""One test per criterion, to check yourself: `uv run pytest test_criteria.py -k criterion_1`.

They are a part of what the grader looks at, with small numbers; it adds random keys, a fresh
process, and its own walk through the pages of your file. Each message says what was called and
what must come back. Work from criterion 1 upwards: the later ones stand on the earlier ones.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import btree_index as bt

SMALL = {"leaf_cap": 4, "internal_cap": 4}


def rid(key: int) -> bt.RecordId:
    return bt.RecordId(1 + key // 47, key % 47)


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[bt.BufferPool]:
    with bt.PageFile(tmp_path / "tree.oor") as file, bt.BufferPool(file, 64) as pool:
        yield pool


def filled(pool: bt.BufferPool, keys: Any, **options: int) -> bt.BPlusTree:
    """A tree with these keys, inserted in their order."""
    tree = bt.BPlusTree(pool, **options)
    for key in keys:
        tree.insert(key, rid(key))
    return tree


def shuffled(count: int, seed: int = 1) -> list[int]:
    return random.Random(seed).sample(range(1, count + 1), count)


def leaves(pool: bt.BufferPool) -> list[bt.LeafNode]:
    """The leaves from left to right, along `next_leaf`, read with the given `from_page`."""
    page_id = pool.file.get_root(0) & 0xFFFF_FFFF
    found: list[bt.LeafNode] = []
    while page_id:
        with pool.fetch(page_id) as page:
            if page.data[17] == 0:  # internal: its first child stands behind the keys
                at = 32 + 4 * bt.internal_capacity(pool.file.page_size)
                page_id = int.from_bytes(page.data[at : at + 4], "little")
                continue
            found.append(bt.LeafNode.from_page(page.data))
            page_id = found[-1].next_leaf
    return found


def test_criterion_1_a_separator_belongs_to_the_right() -> None:
    node = bt.InternalNode(7, 1)
    node.keys.extend([10, 20, 30])
    node.children.extend([5, 6, 8, 9])
    found = [node.find_child(key) for key in (9, 10, 19, 20, 30, 31)]
    assert found == [0, 1, 1, 2, 3, 3], "child i holds the keys with K[i-1] <= key < K[i]"
    page = bytearray(4096)
    node.to_page(page)
    assert page[17:20].hex() == "000300", "byte 17: node type 0; bytes 18 and 19: 3 keys"
    assert page[28] == 1, "byte 28: the level"
    again = bt.InternalNode.from_page(page)
    assert (list(again.keys), list(again.children)) == ([10, 20, 30], [5, 6, 8, 9])


def test_criterion_1_every_key_is_found(pool: bt.BufferPool) -> None:
    tree = bt.BPlusTree(pool)
    assert tree.get(5) is None, "an empty tree has no key"
    tree = filled(pool, shuffled(2_000))
    assert [tree.get(key) for key in range(1, 2_001)] == [rid(key) for key in range(1, 2_001)]
    assert tree.get(0) is None
    assert tree.get(2_001) is None
    with pytest.raises(bt.DuplicateKey):
        tree.insert(5, rid(6))
    for wrong in (-1, 2**32, True, 1.0):
        with pytest.raises(bt.KeyRange):
            tree.get(wrong)


def test_criterion_1_a_lookup_reads_one_page_a_level(pool: bt.BufferPool) -> None:
    height = filled(pool, shuffled(2_000)).height
    pool.flush_all()
    with bt.BufferPool(pool.file, 64) as cold:
        bt.BPlusTree(cold).get(1_000)
        assert cold.stats.misses == height, "pages read by one get in a pool that holds nothing"


def test_criterion_2_between_any_bounds(pool: bt.BufferPool) -> None:
    keys = range(10, 1_000, 10)
    tree = filled(pool, random.Random(2).sample(keys, len(keys)), **SMALL)
    for lo, hi in ((0, 2**32 - 1), (55, 105), (50, 50), (51, 59), (100, 50), (990, 2_000), (0, 10)):
        want = [(key, rid(key)) for key in keys if lo <= key <= hi]
        assert list(tree.range(lo, hi)) == want, f"range({lo}, {hi}): both bounds are included"


def test_criterion_2_the_tree_changes_meanwhile(pool: bt.BufferPool) -> None:
    tree = filled(pool, range(0, 200, 2), **SMALL)
    seen = []
    for key, _ in tree.range():
        seen.append(key)
        if key % 2 == 0 and key % 4:
            tree.delete(key)
            tree.insert(key + 1, rid(key))
    assert seen == sorted(set(seen)), "keys ascend, none comes twice"
    assert set(seen) >= set(range(0, 200, 4)), "what was there all the time comes"


def test_criterion_3_splits(pool: bt.BufferPool) -> None:
    tree = bt.BPlusTree(pool, **SMALL)
    for count, key in enumerate(shuffled(200), 1):
        tree.insert(key, rid(key))
        chain = leaves(pool)
        keys = [k for leaf in chain for k in leaf.keys]
        assert keys == sorted(keys), f"{count} keys: the leaves from left to right"
        assert len(keys) == count, f"{count} keys: as many lie in the leaves"
        before = [0, *(leaf.page_id for leaf in chain[:-1])]
        assert [leaf.prev_leaf for leaf in chain] == before, (
            f"{count} keys: prev_leaf names the left neighbour, also that of the leaf to the "
            "right of a split"
        )
        assert max(len(leaf.keys) for leaf in chain) <= 4
    assert tree.height >= 3


def test_criterion_4_bulk_loading(pool: bt.BufferPool) -> None:
    tree = bt.BPlusTree(pool)
    for keys in ([1, 3, 2], [1, 2, 2]):
        with pytest.raises(ValueError, match=r"."):
            tree.bulk_load([(key, rid(key)) for key in keys])
        assert list(tree.range()) == [], "a load that is refused leaves the tree empty"
    tree.bulk_load([(key, rid(key)) for key in range(10_000)])
    stats = tree.stats()
    assert (stats.leaf_count, stats.height, stats.count) == (25, 2, 10_000)
    assert round(stats.fill_factor, 4) == 0.9852
    assert list(tree.range(405, 407)) == [(key, rid(key)) for key in (405, 406, 407)]
    with pytest.raises(ValueError, match=r"."):
        tree.bulk_load([(20_000, rid(1))])


def test_criterion_5_deleting(pool: bt.BufferPool) -> None:
    tree = filled(pool, shuffled(120), **SMALL)
    pages = pool.file.page_count
    model = {key: rid(key) for key in range(1, 121)}
    for key in shuffled(120, seed=3):
        assert tree.delete(key) == model.pop(key), f"delete({key}) returns what it removed"
        assert tree.delete(key) is None, f"delete({key}) again: it is not there"
        assert list(tree.range()) == sorted(model.items()), f"what is left after delete({key})"
        assert all(leaf.keys for leaf in leaves(pool)) or not model, "an empty leaf goes"
    filled(pool, shuffled(120), **SMALL)
    assert pool.file.page_count <= pages, "freed pages are used again"


def test_criterion_6_sixteen_frames(tmp_path: Path) -> None:
    with bt.PageFile(tmp_path / "16.oor") as file, bt.BufferPool(file, 16) as pool:
        tree = filled(pool, shuffled(3_000), **SMALL)
        assert pool.stats.evictions > 0
        open_ranges = [iter(tree.range(lo)) for lo in range(100, 2_100, 100)]
        assert [next(each)[0] for each in open_ranges] == list(range(100, 2_100, 100))
        assert pool.pinned() == {}, "a range that waits holds no pin"
        with pytest.raises(bt.DuplicateKey):
            tree.insert(7, rid(7))
        assert all(tree.delete(key) for key in range(1, 2_000))
        assert pool.pinned() == {}, "no call leaves a pin"


def test_criterion_7_the_same_run_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = bt.run_acceptance(tmp_path / "one.oor")
    printed = capsys.readouterr().out
    assert bt.run_acceptance(tmp_path / "two.oor") == first, "two runs count the same"
    assert capsys.readouterr().out == printed, "two runs print the same"
    assert [row["phase"] for row in first] == ["insert", "lookup", "range", "delete", "bulk"]
    assert list(first[0]) == ["phase", "height", "leaves", "fill", "hits", "misses"]


def test_criterion_8_bulk_loading_is_faster(tmp_path: Path) -> None:
    """`meridian bench` runs the races; this is a first look."""
    seconds = {}
    for name in ("insert", "bulk_load"):
        with bt.PageFile(tmp_path / name) as file, bt.BufferPool(file, 256) as pool:
            pairs = [(key, rid(key)) for key in range(10_000)]
            tree, start = bt.BPlusTree(pool), time.perf_counter()
            if name == "insert":
                for key, value in random.Random(4).sample(pairs, len(pairs)):
                    tree.insert(key, value)
            else:
                tree.bulk_load(pairs)
            seconds[name] = time.perf_counter() - start
    times = seconds["insert"] / seconds["bulk_load"]
    assert times > 3, f"bulk_load is {times:.1f} times as fast as inserts"
