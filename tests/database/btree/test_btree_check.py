"""The checker, held against trees with one wrong field each, under a checksum that is right."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meridian.database.btree import TreeCorrupt
from meridian.database.storage import ChecksumMismatch, CorruptPage, PageType, RecordId
from meridian.testing import FaultyFileSystem
from tests.database.btree.store import Store, rid_of

MakeStore = Callable[..., Store]

LEAF_ROOM, ROOM = 48, 59  # of a page of 512 bytes
CHILDREN = 32 + 4 * ROOM
KEYS = range(10, 130, 2)


def grown(make_store: MakeStore, **options: object) -> Store:
    store = make_store(leaf_cap=4, internal_cap=4, **options)
    for key in KEYS:
        store.tree.insert(key, rid_of(key))
    assert store.tree.height == 3
    return store


def u16(value: int) -> bytes:
    return struct.pack("<H", value)


def u32(value: int) -> bytes:
    return struct.pack("<I", value)


def read_u32(page: bytearray, at: int) -> int:
    return int.from_bytes(page[at : at + 4], "little")


def leaves_of(store: Store) -> list[int]:
    """The leaves from left to right, found by the bytes."""
    pages = [store.tree.root]
    while not store.read(pages[0])[17]:
        pages = [
            read_u32(page, CHILDREN + 4 * i)
            for page_id in pages
            for page in [store.read(page_id)]
            for i in range(page[18] + 1)
        ]
    return pages


# What is wrong: node (leaf number, "root" or "inner"), byte, new bytes, the rule in the message.
DAMAGES: dict[str, tuple[int | str, int, bytes, str]] = {
    "page type": (3, 8, bytes([PageType.DATA]), "type 1 instead of a node's"),
    "page type of the root": ("root", 8, bytes([PageType.OVERFLOW]), "type 4 instead of"),
    "records in the header": (3, 9, u16(3), "3 records in its header, 4 keys"),
    "free space": (3, 11, u16(500), "free space from 500"),
    "leaf as internal node": (3, 17, b"\0", "node type 0 of level 0 where level 0 belongs"),
    "internal node as leaf": ("inner", 17, b"\1", "node type 1 of level 1 where level 1"),
    "unknown node type": (3, 17, b"\7", "node type 7 of level 0"),
    "level of a leaf": (3, 28, b"\1", "node type 1 of level 1 where level 0 belongs"),
    "level of the root": ("root", 28, b"\1", "node type 0 of level 1 where level 2 belongs"),
    "too many keys in a leaf": (3, 18, u16(LEAF_ROOM + 1), "49 keys, and room for 48"),
    "too many keys above": ("inner", 18, u16(ROOM + 1), "60 keys, and room for 59"),
    "most keys a field can say": (3, 18, u16(65535), "65535 keys, and room for 48"),
    "fewer keys": (3, 18, u16(3), "4 records in its header, 3 keys"),
    "reserved": (3, 30, b"\5", "reserved bytes are 00 05 00"),
    "next": (3, 20, u32(1), "next is 1, not"),
    "no next": (3, 20, u32(0), "next is 0, not"),
    "next of the last": (-1, 20, u32(1), "the last leaf names 1 as next"),
    "prev": (3, 24, u32(1), "prev is 1, not"),
    "no prev": (3, 24, u32(0), "prev is 0, not"),
    "prev of the first": (0, 24, u32(2), "prev is 2, not 0"),
    "next above": ("inner", 20, u32(1), "it is no leaf, and names leaf 1"),
    "prev above": ("root", 24, u32(2), "it is no leaf, and names leaf 2"),
    "keys that do not ascend": (3, 36, u32(200), "follows 200"),
    "equal keys": (3, 36, u32(34), "key 34 follows 34"),
    "a first key that is too low": (3, 32, u32(33), "key 33 is not from 34 to"),
    "a last key that is too high": (3, 32 + 12, u32(50), "key 50 is not from 34 to 41"),
    "a separator that is too low": ("inner", 32, u32(0), "key 10 is not from 0 to -1"),
    "a separator that is too high": ("inner", 32, u32(19), "key 18 is not from 19"),
    "separators that do not ascend": ("root", 36, u32(5), "follows"),
    "a child twice": ("inner", CHILDREN + 4, b"first", "two nodes name it as their child"),
    "a circle": ("inner", CHILDREN + 4, b"root", "two nodes name it as their child"),
    "page 0 as child": ("inner", CHILDREN + 4, u32(0), "names it as its child"),
    "a child beyond the file": ("inner", CHILDREN + 4, u32(10_000), "the file has"),
    "a child of another kind": ("root", CHILDREN, b"first", "of level 0 where level 1 belongs"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_every_field(make_store: MakeStore, name: str) -> None:
    store = grown(make_store)
    where, at, new, rule = DAMAGES[name]
    leaves = leaves_of(store)
    root = store.tree.root
    inner = read_u32(store.read(root), CHILDREN)
    target = leaves[where] if isinstance(where, int) else {"root": root, "inner": inner}[where]
    new = {b"first": u32(leaves[0]), b"root": u32(root)}.get(new, new)
    assert store.read(target)[at : at + len(new)] != new
    store.patch(target, at, new)
    with pytest.raises(TreeCorrupt) as caught:
        store.tree.check()
    assert rule in str(caught.value)
    assert caught.value.rule in str(caught.value)
    if "child" not in name and "circle" not in name and "separator that" not in name:
        assert caught.value.page_id == target
    # Whatever is wrong, single operations come back, and leave nothing pinned.
    for key in range(140):
        for call in (
            store.tree.get,
            store.tree.delete,
            lambda key: store.tree.upsert(key, RecordId(1, 1)),
        ):
            try:
                call(key)
            except CorruptPage:
                assert store.pool.pinned() == {}


def test_an_empty_leaf(make_store: MakeStore) -> None:
    store = grown(make_store)
    leaf = leaves_of(store)[3]
    store.patch(leaf, 9, u16(0))
    store.patch(leaf, 18, u16(0))
    with pytest.raises(TreeCorrupt, match="0 keys, at least 1 expected"):
        store.tree.check()


def test_a_root_with_one_child(make_store: MakeStore) -> None:
    store = grown(make_store)
    root = store.tree.root
    store.patch(root, 9, u16(0))
    store.patch(root, 18, u16(0))
    with pytest.raises(TreeCorrupt, match="1 children, at least 2 expected"):
        store.tree.check()


def test_a_wrong_number_of_keys(make_store: MakeStore) -> None:
    store = grown(make_store)
    store.file.set_root(1, 61)
    with pytest.raises(TreeCorrupt, match="60 keys, root slot says 61"):
        store.reopen().check()


def test_a_height_that_is_not_the_trees(make_store: MakeStore) -> None:
    for height in (1, 2, 4, 32):
        store = grown(make_store)
        store.file.set_root(0, store.tree.root | height << 32)
        tree = store.reopen()
        for call in (tree.check, tree.stats, tree.clear, tree.min, tree.max):
            with pytest.raises(TreeCorrupt, match="level 2 where level"):
                call()
        for call in (tree.get, tree.delete):
            with pytest.raises(TreeCorrupt, match=r"level (2 where|that belongs)"):
                call(20)


@pytest.mark.parametrize("level", [1, 2])
def test_a_child_twice_is_not_merged_with_itself(make_store: MakeStore, level: int) -> None:
    """Eager deletes meet it before a check does; the page must not be freed under the tree."""
    store = grown(make_store, rebalance="eager")
    node = store.tree.root
    if level == 1:
        node = read_u32(store.read(node), CHILDREN)
    child = store.read(node)[CHILDREN : CHILDREN + 4]
    store.patch(node, CHILDREN + 4, bytes(child))
    if level == 1:  # as if the chain agreed
        store.patch(int.from_bytes(child, "little"), 20, bytes(child))
        store.patch(int.from_bytes(child, "little"), 24, bytes(child))
    with pytest.raises(TreeCorrupt, match="twice as its child"):
        delete_all(store)
    assert store.read(int.from_bytes(child, "little"))[8] == PageType.INDEX


def delete_all(store: Store) -> None:
    for key in KEYS:
        store.tree.delete(key)


def test_strict_asks_for_half_full_nodes(make_store: MakeStore) -> None:
    store = grown(make_store)
    assert store.tree.check(strict=True).min_leaf_fill == 1.0
    for key in (18, 20, 22):
        store.tree.delete(key)
    assert store.tree.check().min_leaf_fill == 0.25
    with pytest.raises(TreeCorrupt, match="1 keys, at least 2 expected") as caught:
        store.tree.check(strict=True)
    assert caught.value.page_id == leaves_of(store)[1]
    # At the right edge less is right.
    store = grown(make_store)
    for key in KEYS[-4:-1]:
        store.tree.delete(key)
    assert store.tree.check(strict=True).min_leaf_fill == 0.25


def test_a_torn_leaf_is_the_only_one_lost(make_store: MakeStore, faults: FaultyFileSystem) -> None:
    store = grown(make_store)
    leaf = leaves_of(store)[3]
    store.close()
    faults.flip_bit(store.path, leaf * 512 + 40, 3)
    store.open()
    lost = set(range(34, 42, 2))
    for key in KEYS:
        if key in lost:
            with pytest.raises(ChecksumMismatch) as caught:
                store.tree.get(key)
            assert caught.value.page_id == leaf
        else:
            assert store.tree.get(key) == rid_of(key)
    with pytest.raises(ChecksumMismatch):
        store.tree.check()
    assert store.pool.pinned() == {}


@settings(max_examples=60)
@given(data=st.data())
def test_random_bytes(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """A sound checksum over anything: answers or `CorruptPage`, never a loop, never a pin."""
    store = Store(tmp_path_factory.mktemp("damage") / "a.oor", leaf_cap=4, internal_cap=4)
    try:
        for key in KEYS:
            store.tree.insert(key, rid_of(key))
        for _ in range(data.draw(st.integers(1, 3))):
            page_id = data.draw(st.integers(1, store.file.page_count - 1))
            at = data.draw(st.one_of(st.integers(17, 50), st.integers(CHILDREN, CHILDREN + 20)))
            store.patch(page_id, at, bytes([data.draw(st.integers(0, 255))]))
        for key in data.draw(st.lists(st.integers(0, 140), max_size=12)):
            for call in (
                lambda key: store.tree.upsert(key, RecordId(1, 1)),
                store.tree.delete,
                store.tree.get,
                lambda key: key and store.tree.check(),
            ):
                try:
                    call(key)
                except CorruptPage:
                    assert store.pool.pinned() == {}
    finally:
        store.close()
