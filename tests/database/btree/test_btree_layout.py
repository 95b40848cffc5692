"""Nodes as bytes: where everything stands, and what keys and record ids may be."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meridian.database.btree import (
    BTreeError,
    DuplicateKey,
    IndexNeedsRebuild,
    KeyRange,
    LatchHeld,
    NodeView,
    TreeCorrupt,
    internal_capacity,
    leaf_capacity,
)
from meridian.database.btree.layout import as_key, as_packed
from meridian.database.storage import CorruptPage, PageType, RecordId, StorageError, verify
from meridian.database.storage.page import format_page
from tests.database.btree.store import Store, rid_of

MakeStore = Callable[..., Store]


def test_capacities() -> None:
    assert (leaf_capacity(4096), internal_capacity(4096)) == (406, 507)
    for size in (512, 1024, 2048, 4096, 8192, 16384, 32768):
        leaf, internal = leaf_capacity(size), internal_capacity(size)
        assert 32 + 10 * leaf <= size < 32 + 10 * (leaf + 1)
        assert 32 + 8 * internal + 4 <= size < 32 + 8 * (internal + 1) + 4


def test_a_leaf_by_the_byte(make_store: MakeStore) -> None:
    """Read with `struct` from the table of the format, not with the code under test."""
    store = make_store(page_size=4096)
    for key in (30, 10, 20):
        store.tree.insert(key, RecordId(key * 100_000, key))
    page = store.read(store.tree.root)
    header = verify(page, store.tree.root)
    assert header.page_type is PageType.INDEX
    assert (header.record_count, header.free_space_offset) == (3, 4096)
    assert struct.unpack_from("<BHIIB3s", page, 17) == (1, 3, 0, 0, 0, bytes(3))
    assert struct.unpack_from("<3I", page, 32) == (10, 20, 30)
    assert struct.unpack_from("<3I", page, 32 + 4 * 406) == (1_000_000, 2_000_000, 3_000_000)
    assert struct.unpack_from("<3H", page, 32 + 8 * 406) == (10, 20, 30)


def test_an_internal_node_by_the_byte(make_store: MakeStore) -> None:
    store = make_store(page_size=4096, leaf_cap=4, append_split=False)
    for key in range(1, 8):
        store.tree.insert(key, rid_of(key))
    page = store.read(store.tree.root)
    kind, count, after, before, level, reserved = struct.unpack_from("<BHIIB3s", page, 17)
    assert (kind, count, after, before, level, reserved) == (0, 2, 0, 0, 1, bytes(3))
    assert struct.unpack_from("<2I", page, 32) == (3, 5)
    children = struct.unpack_from("<3I", page, 32 + 4 * 507)
    leaves = [store.read(child) for child in children]
    found = [struct.unpack_from(f"<{leaf[18]}I", leaf, 32) for leaf in leaves]
    assert found == [(1, 2), (3, 4), (5, 6, 7)]
    links = [struct.unpack_from("<II", leaf, 20) for leaf in leaves]
    assert links == [(children[1], 0), (children[2], children[0]), (0, children[1])]


def test_roots_by_the_slot(make_store: MakeStore) -> None:
    store = make_store(root_slot=4, leaf_cap=3)
    for key in range(10):
        store.tree.insert(key, rid_of(key))
    tree = store.tree
    assert store.file.get_root(4) == tree.root | tree.height << 32
    assert store.file.get_root(5) == 10
    tree.delete(3)
    assert store.file.get_root(5) == 9


@given(
    size=st.sampled_from([512, 4096]),
    level=st.integers(0, 3),
    data=st.data(),
)
def test_a_view_gives_back_what_was_put(size: int, level: int, data: st.DataObject) -> None:
    page = bytearray(size)
    format_page(page, 7, PageType.INDEX)
    node = NodeView(page, 7)
    node.format(level, prev_leaf=3, next_leaf=2**32 - 1)
    room = internal_capacity(size) if level else leaf_capacity(size)
    count = data.draw(st.integers(0, room))
    rng = np.random.default_rng(count)
    keys = np.sort(rng.integers(0, 2**32, count, np.uint64)).astype(np.uint32)
    others = rng.integers(0, 2**32, count + bool(level), np.uint64).astype(np.uint32)
    slots = rng.integers(0, 2**16, count, np.uint16)
    node.fill(keys, *((others,) if level else (others, slots)))
    assert (node.level, node.is_leaf, node.count, node.room) == (level, level == 0, count, room)
    assert (node.prev_leaf, node.next_leaf) == (3, 2**32 - 1)
    assert node.keys.tolist() == keys.tolist()
    if level:
        assert node.children.tolist() == others.tolist()
    else:
        assert node.rids.tolist() == [
            int(page) << 16 | int(slot) for page, slot in zip(others, slots, strict=True)
        ]
    assert repr(node).startswith("<leaf, page 7" if level == 0 else f"<node of level {level}")


@given(st.integers(1, 6), st.integers(0, 6), st.integers(0, 6))
def test_children_come_and_go(count: int, i: int, j: int) -> None:
    page = bytearray(512)
    format_page(page, 1, PageType.INDEX)
    node = NodeView(page, 1)
    node.format(1)
    keys, children = list(range(10, 10 + count)), list(range(100, 101 + count))
    node.fill(np.array(keys, np.uint32), np.array(children, np.uint32))
    i, j = i % (count + 1), j % (count + 2)
    node.insert_child(i, 5, 999)
    keys.insert(i, 5)
    children.insert(i + 1, 999)
    assert (node.keys.tolist(), node.children.tolist()) == (keys, children)
    node.remove_child(j)
    del children[j], keys[max(j - 1, 0)]
    assert (node.keys.tolist(), node.children.tolist()) == (keys, children)


@pytest.mark.parametrize("key", [True, False, -1, 2**32, 2**64, 1.0, "1", None, np.True_, b"1"])
def test_what_is_no_key(key: object) -> None:
    with pytest.raises(KeyRange, match="Expected a key from 0 to 4294967295") as caught:
        as_key(key)  # type: ignore[arg-type]
    assert isinstance(caught.value, ValueError)
    assert caught.value.kind == type(key).__name__


@pytest.mark.parametrize(
    "key", [0, 2**32 - 1, np.uint32(2**32 - 1), np.int64(7), np.uint8(255), PageType.INDEX]
)
def test_what_is_a_key(key: int) -> None:
    assert as_key(key) == int(key)
    assert type(as_key(key)) is int


def test_record_ids() -> None:
    assert as_packed(RecordId(2**32 - 1, 2**16 - 1)) == 2**48 - 1
    assert as_packed(RecordId(np.uint32(2**32 - 1), np.uint16(3))) == 2**48 - 65536 + 3  # type: ignore[arg-type]
    for rid in (RecordId(2**32, 0), RecordId(0, 2**16), RecordId(-1, 0), RecordId(0, -1)):
        with pytest.raises(ValueError, match="page_id < 2"):
            as_packed(rid)
    for wrong in (RecordId(True, 0), RecordId(0, 1.0), (1, 2), 5, None):  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="Expected"):
            as_packed(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "catches", "text"),
    [
        (DuplicateKey(5, 6, 7), ValueError, "Key 5 is in the tree, for page 6, slot 7: use upsert"),
        (KeyRange("x" * 100), ValueError, "as int, got 'xxxx"),
        (IndexNeedsRebuild("a.oor", 2), RuntimeError, "a.oor was not closed cleanly"),
        (LatchHeld("reading", "writing"), RuntimeError, "latch for reading and asks for writing"),
        (TreeCorrupt(9, "it rains"), CorruptPage, "Page 9 is corrupt: it rains"),
    ],
)
def test_errors(error: StorageError, catches: type[Exception], text: str) -> None:
    assert isinstance(error, catches)
    assert isinstance(error, BTreeError) != isinstance(error, CorruptPage)
    assert text in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), vars(again)) == (str(error), vars(error))
