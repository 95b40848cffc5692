"""Pictures of B+ trees: read from pages alone, true to what the tree did, words beside colours."""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meridian.academy.widgets.base import HTML_MIME
from meridian.academy.widgets.btree_descent import BTreeDescent
from meridian.academy.widgets.btree_fanout import BTreeFanout, NodeShape, paint_heights
from meridian.academy.widgets.btree_growth import EDITS, BTreeGrowth
from meridian.academy.widgets.btree_picture import TreePicture, descend, read_tree
from meridian.academy.widgets.btree_runs import MAX_EDITS, Edit, read_edits, run_edits
from meridian.academy.widgets.btree_svg import paint_tree, show_tree
from meridian.database.btree import BPlusTree, TreeCorrupt
from meridian.database.storage import BufferPool, CorruptPage, PageFile, RecordId
from tests.academy.widgets.svg_words import words

KEYS = st.integers(0, 60)
EDIT_LISTS = st.lists(st.builds(Edit, KEYS, st.booleans()), max_size=60)


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[BufferPool]:
    with PageFile(tmp_path / "tree.oor", 512) as file, BufferPool(file, frames=16) as pool:
        yield pool


def grown(pool: BufferPool, count: int = 60) -> BPlusTree:
    tree = BPlusTree(pool, leaf_cap=4, internal_cap=4)
    for key in range(count):
        tree.insert(key * 2, RecordId(key + 1, 0))
    return tree


def damage(tree: BPlusTree, page_id: int, at: int, new: bytes) -> None:
    """Change bytes of a page in the pool, behind the tree's back."""
    with tree.pool.fetch(page_id) as page:
        page.data_mut()[at : at + len(new)] = new


def keys_of(picture: TreePicture) -> list[int]:
    return [key for leaf in picture.leaves for key in leaf.keys]


@settings(max_examples=30)
@given(EDIT_LISTS, st.sampled_from(["lazy", "eager"]), st.booleans())
def test_moments_follow_a_set_and_name_every_page_that_differs(
    edits: list[Edit], rebalance: str, append: bool
) -> None:
    moments = run_edits(edits, rebalance=rebalance, append_split=append)
    assert len(moments) == 2 * len(edits) + 1
    model: set[int] = set()
    for edit, looked, done in zip(edits, moments[1::2], moments[2::2], strict=True):
        found = bool(looked.way) and looked.way[-1].found
        assert found == (edit.key in model)
        assert len(looked.way) == looked.tree.height
        (model.discard if edit.delete else model.add)(edit.key)
        assert keys_of(done.tree) == sorted(model)
        old, new = looked.tree.nodes, done.tree.nodes
        assert set(done.new) == new.keys() - old.keys()
        assert set(done.gone) == old.keys() - new.keys()
        assert set(done.changed) == {p for p in new.keys() & old.keys() if new[p] != old[p]}
        assert all(done.tree.nodes[page].keys[at] >= 0 for page, at in done.promoted)


@given(st.sets(st.integers(0, 400), max_size=60), st.integers(0, 401))
@settings(max_examples=30)
def test_a_descent_goes_where_bisect_goes(ids: set[int], key: int) -> None:
    tree = run_edits([Edit(number) for number in sorted(ids, reverse=True)])[-1].tree
    way = descend(tree, key)
    for visit, below in itertools.pairwise(way):
        node = tree.nodes[visit.page_id]
        assert visit.position == bisect_right(node.keys, key)
        assert node.children[visit.position] == below.page_id
    for visit in way:
        node = tree.nodes[visit.page_id]
        assert len(visit.compared) <= len(node.keys).bit_length() + 2
    if way:
        leaf = tree.nodes[way[-1].page_id]
        at = bisect_left(leaf.keys, key)
        assert way[-1].found == (leaf.keys[at : at + 1] == (key,)) == (key in ids)
    else:
        assert not ids


def test_pool_and_file_show_the_same_tree(pool: BufferPool) -> None:
    tree = grown(pool)
    picture = read_tree(pool, tree.root)
    assert (picture.height, len(picture.leaves)) == (tree.height, tree.stats().leaf_count)
    assert keys_of(picture) == list(range(0, 120, 2))
    pool.flush_all()
    assert read_tree(pool.file, tree.root) == picture
    assert not pool.pinned()
    shown = show_tree(pool, tree.root, key=40)
    assert "page 1" in " ".join(words(shown.svg))
    assert f"page {descend(picture, 40)[-1].page_id}: read" in words(shown.svg)


def test_no_root_is_an_empty_tree(pool: BufferPool) -> None:
    picture = read_tree(pool, 0)
    assert picture.height == 0
    assert picture.leaves == ()
    assert descend(picture, 7) == ()
    assert "no page: the root slot is 0" in words(paint_tree(picture))


@pytest.mark.parametrize(
    ("at", "new", "rule"),
    [
        (17, b"\x07", "node type 7"),
        (18, b"\xff\xff", "65535 keys"),
        (28, b"\x05", "level 5"),
    ],
)
def test_bytes_that_are_no_node_are_named(pool: BufferPool, at: int, new: bytes, rule: str) -> None:
    tree = grown(pool)
    child = read_tree(pool, tree.root).levels[1][0].page_id
    damage(tree, child, at, new)
    with pytest.raises(TreeCorrupt, match=rule) as caught:
        read_tree(pool, tree.root)
    assert caught.value.page_id == child


def test_a_cycle_ends(pool: BufferPool) -> None:
    tree = grown(pool)
    room = (512 - 36) // 8
    damage(tree, tree.root, 32 + 4 * room, tree.root.to_bytes(4, "little"))
    with pytest.raises(TreeCorrupt, match="two nodes name it"):
        read_tree(pool, tree.root)


def test_a_damaged_file_is_refused(pool: BufferPool) -> None:
    tree = grown(pool)
    pool.flush_all()
    page = bytearray(512)
    pool.file.read_page(tree.root, memoryview(page))
    page[40] ^= 1
    with Path(pool.file.path).open("r+b") as raw:
        raw.seek(tree.root * 512)
        raw.write(page)
    with pytest.raises(CorruptPage):
        read_tree(pool.file, tree.root)


def test_a_chain_that_disagrees_is_crossed_out(pool: BufferPool) -> None:
    tree = grown(pool, 12)
    assert "✘" not in words(paint_tree(read_tree(pool, tree.root)))
    second = read_tree(pool, tree.root).leaves[1].page_id
    damage(tree, second, 24, b"\x63\0\0\0")  # prev
    assert "✘" in words(paint_tree(read_tree(pool, tree.root)))


def test_what_happened_stands_beside_the_colour() -> None:
    looked, done = run_edits("10 20 30 40 50")[-2:]
    assert f"page {looked.way[0].page_id}: read" in words(paint_tree(looked.tree, way=looked.way))
    growth = BTreeGrowth("10 20 30 40 50")
    said = words(growth.svg())
    assert sum(word.endswith(": new") for word in said) == 2  # the right half and the root
    assert sum(word.endswith(": written") for word in said) == 1
    assert "up" in said
    root = done.tree.levels[0][0].page_id
    split = f"insert 50: 1 split, 30 went up; the height is 2, root on page {root}; "
    assert done.said == split + "3 pages written."


def test_large_nodes_and_levels_are_drawn_by_their_ends(tmp_path: Path) -> None:
    with PageFile(tmp_path / "big.oor") as file, BufferPool(file, frames=64) as pool:
        tree = BPlusTree(pool)
        for key in range(406 * 20):
            tree.insert(key, RecordId(1, 0))
        picture = read_tree(pool, tree.root)
        assert len(picture.leaves) == 20
        said = words(paint_tree(picture, way=descend(picture, 3_000)))
    assert "(406 keys)" in said
    assert "more" in said
    assert f"page {descend(picture, 3_000)[-1].page_id}: read" in said
    assert len([word for word in said if word.startswith("page ")]) < 9


@pytest.mark.parametrize("example", EDITS)
@pytest.mark.parametrize("rebalance", ["lazy", "eager"])
def test_examples_run(example: str, rebalance: str) -> None:
    growth = BTreeGrowth(EDITS[example], rebalance=rebalance)
    for number in range(growth.step.max + 1):
        growth.go(number)
        assert growth.svg().startswith("<svg")
        assert growth.moment.said.endswith(".")


def test_the_last_insert_of_the_cascade_splits_a_node_on_every_level() -> None:
    before, after = run_edits(EDITS["the last insert splits three nodes"])[-2:]
    assert (before.tree.height, after.tree.height) == (3, 4)
    assert len(after.promoted) == 3
    assert len(after.new) + len(after.changed) == 2 * 3 + 1


def test_eager_borrows_and_merges_and_lazy_waits_until_a_node_is_empty() -> None:
    edits = "10 20 30 40 50 60 -60 -50 -10"
    eager = [moment.said for moment in run_edits(edits, rebalance="eager")]
    lazy = [moment.said for moment in run_edits(edits, rebalance="lazy")]
    assert any("merged" in said for said in eager)
    assert not any("merged" in said or "borrowed" in said for said in lazy)
    borrowed = [m.said for m in run_edits("10 20 30 40 50 60 -10 -20", rebalance="eager")]
    assert any("borrowed from a sibling; the separator is now" in said for said in borrowed)


def test_refusals_are_told() -> None:
    said = [moment.said for moment in run_edits("5 5 -7")]
    assert "DuplicateKey" in said[4]
    assert "None, nothing changed" in said[6]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("7 x", "'x'"),
        ("1.5", "'1.5'"),
        ("123456", "'123456'"),
        ("--1", "'--1'"),
        ("1 " * (MAX_EDITS + 1), "at most 80"),
    ],
)
def test_what_is_no_edit_is_named_and_the_picture_stays(typed: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_edits(typed)
    growth = BTreeGrowth("1 2 3")
    before = growth.svg()
    growth.edits.value = typed
    assert message in growth._above().replace("&#x27;", "'")
    assert growth.svg() == before
    growth.edits.value = "1 2"
    assert message not in growth._above()


def test_buttons_add_an_edit_and_go_to_it() -> None:
    growth = BTreeGrowth("10 20")
    growth.key.value = 15
    growth._insert.click()
    assert growth.edits.value == "10 20 15"
    assert keys_of(growth.moment.tree) == [10, 15, 20]
    growth._delete.click()
    assert growth.edits.value == "10 20 15 -15"
    assert keys_of(growth.moment.tree) == [10, 20]
    growth.edits.value = "1 " * MAX_EDITS
    growth._insert.click()
    assert "as many as fit" in growth._above()


def test_an_example_starts_at_its_beginning_and_shorter_runs_do_not_break() -> None:
    growth = BTreeGrowth()
    growth.example.value = EDITS["ascending ids"]
    assert growth.step.value == 0
    assert growth.edits.value == EDITS["ascending ids"]
    growth.buttons["End"].click()
    assert growth.step.value == 32
    growth.edits.value = "4"
    assert growth.step.max == 2
    assert keys_of(growth.moment.tree) == [4]
    growth.edits.value = ""
    assert growth.step.max == 0
    assert growth.moment.tree.height == 0
    growth.rebalance.value = "eager"
    growth.append_split.value = True


def test_descents_tell_pages_and_comparisons() -> None:
    lookup = BTreeDescent()
    assert lookup.shown.words.startswith("25544: found.")
    assert "3 pages read" in lookup.shown.words
    lookup.key.value = 25545
    assert "not there" in lookup.shown.words
    assert "<img" in lookup._repr_mimebundle_()[HTML_MIME]
    empty = BTreeDescent(1, ids=())
    assert "nothing is read" in empty.shown.words


def test_shapes_are_those_of_the_layout() -> None:
    shape = NodeShape()
    assert (shape.leaf_capacity, shape.fan_out) == (406, 508)
    assert [shape.capacity(h) for h in (1, 2, 3)] == [406, 206_248, 104_773_984]
    assert [shape.fewest(h) for h in (1, 2, 3)] == [1, 406, 2 * 254 * 203]
    assert [shape.height(n) for n in (406, 407, 206_248, 206_249)] == [1, 2, 2, 3]
    assert [shape.greatest_height(n) for n in (405, 406, 103_123, 103_124)] == [1, 2, 2, 3]


def test_the_real_tree_is_drawn_only_beside_its_own_shape() -> None:
    fan = BTreeFanout({400: 1, 100_000: 2})
    assert "508" in fan.shown.words
    assert "pages read, real trees" in words(fan.svg())
    fan.page.value = 512
    assert "pages read, real trees" not in words(fan.svg())
    fan.key.value, fan.child.value, fan.count.value = 64, 16, 10**9
    assert fan.svg().startswith("<svg")  # higher than the plot: the lines end at its top
    assert paint_heights(NodeShape(65536, 4, 4), 100).startswith("<svg")
