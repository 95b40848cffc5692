"""Kernels, their plain-Python twins and a bisect give the same answers on the same pages."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from meridian.database.btree import _edit_kernels as edit
from meridian.database.btree import _search_kernels as search
from meridian.database.btree import tree_meta as at
from meridian.database.btree.tree_meta import TreeMeta
from tests.database.btree.store import Store, rid_of


class Memory:
    """A copy of a pool's memory and a tree's numbers, for one kernel to work on."""

    def __init__(self, arena: np.ndarray, table: np.ndarray, meta: np.ndarray) -> None:
        self.arena, self.table, self.meta = arena.copy(), table.copy(), meta.copy()
        self.refs, self.dirty = np.zeros(len(arena), np.uint8), np.zeros(len(arena), np.uint8)
        self.meta[at.ARENA], self.meta[at.FRAMES] = self.arena.ctypes.data, len(arena)
        self.meta[at.TABLE], self.meta[at.TABLE_SIZE] = table_address(self.table)
        self.meta[at.REFS], self.meta[at.DIRTY] = self.refs.ctypes.data, self.dirty.ctypes.data

    def run(self, kernel: Callable[..., Any], *arguments: int) -> int:
        return int(kernel(self.meta, *arguments))

    def state(self) -> tuple[object, ...]:
        addresses = (at.ARENA, at.TABLE, at.REFS, at.DIRTY)
        numbers = [n for i, n in enumerate(self.meta.tolist()) if i not in addresses]
        return (numbers, self.arena.tobytes(), self.refs.tobytes(), self.dirty.tobytes())


def table_address(table: np.ndarray) -> tuple[int, int]:
    return table.ctypes.data, len(table)


def both(memory: Memory, kernel: Any, *arguments: int) -> int:
    """Run kernel and twin on copies; what they leave behind must be the same."""
    twin = Memory(memory.arena, memory.table, memory.meta)
    twin.refs[:], twin.dirty[:] = memory.refs, memory.dirty
    results = memory.run(kernel, *arguments), twin.run(kernel.py_func, *arguments)
    assert results[0] == results[1]
    assert memory.state() == twin.state()
    return results[0]


def image(store: Store, missing: int = 0) -> Memory:
    """The tree of `store`; all its pages are in memory but `missing`."""
    pool = store.pool
    for page_id in range(1, store.file.page_count):
        pool.fetch(page_id).unpin()
    table = pool.page_table.copy()
    if missing:
        table[missing] = -1
    return Memory(pool.arena, table, store.tree._meta.array)


@given(
    keys=st.lists(st.integers(0, 2**32 - 1), unique=True, max_size=100).map(sorted),
    key=st.integers(0, 2**32 - 1),
    data=st.data(),
)
def test_upper_bound(keys: list[int], key: int, data: st.DataObject) -> None:
    words = np.array([2**32 - 1, 0, *keys, 0, 2**32 - 1], np.uint32)
    sought = data.draw(st.sampled_from([*keys, key]))
    expected = bisect_right(keys, sought)
    assert search.upper_bound(words, 2, len(keys), sought) == expected
    assert search.upper_bound.py_func(words, 2, len(keys), sought) == expected


@njit
def compiled_move(array: np.ndarray, to: int, start: int, count: int) -> None:
    edit.move(array, to, start, count)


@given(st.lists(st.integers(0, 99), min_size=1, max_size=30), st.data())
def test_move(values: list[int], data: st.DataObject) -> None:
    count = data.draw(st.integers(0, len(values)))
    to, start = (data.draw(st.integers(0, len(values) - count)) for _ in range(2))
    expected = list(values)
    expected[to : to + count] = values[start : start + count]
    for dtype in (np.uint16, np.uint32):
        arrays = [np.array(values, dtype) for _ in range(2)]
        compiled_move(arrays[0], to, start, count)
        edit.move(arrays[1], to, start, count)
        assert arrays[0].tolist() == arrays[1].tolist() == expected


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("kernels")
    store = Store(folder / "index.oor", frames=128, leaf_cap=5, internal_cap=4)
    keys = list(range(0, 200, 2))
    random.Random(1).shuffle(keys)
    for key in keys:
        store.tree.insert(key, rid_of(key))
    yield store
    store.close()


@settings(max_examples=40)
@given(key=st.integers(0, 210), missing=st.integers(0, 40))
def test_get(grown: Store, key: int, missing: int) -> None:
    memory = image(grown, missing)
    found = both(memory, search.get, key)
    numbers = memory.meta
    assert found == both(memory, search.get_from, key, numbers[at.ROOT], numbers[at.HEIGHT] - 1)
    if found < search.ABSENT:
        assert -found - 1 == missing
        level = int(memory.meta[at.MISS_LEVEL])
        memory.table[missing] = grown.pool.page_table[missing]
        found = both(memory, search.get_from, key, missing, level)
    assert found == (rid_of(key).pack() if key < 200 and key % 2 == 0 else search.ABSENT)
    assert memory.refs.any()


@settings(max_examples=60)
@given(
    key=st.integers(0, 210), missing=st.integers(0, 40), replace=st.booleans(), put=st.booleans()
)
def test_put_and_take(grown: Store, key: int, missing: int, replace: bool, put: bool) -> None:
    memory = image(grown, missing)
    before = memory.arena.tobytes()
    arguments = (edit.put, key, 77 << 16 | 5, replace) if put else (edit.take, key)
    found = both(memory, *arguments)
    if found < search.ABSENT and found != edit.MORE:
        assert -found - 1 == missing
        assert memory.meta[at.NEXT_PAGE] == missing
        assert memory.arena.tobytes() == before
        memory.table[missing] = grown.pool.page_table[missing]
        found = both(memory, *arguments)
    had = rid_of(key).pack() if key < 200 and key % 2 == 0 else search.ABSENT
    if found == edit.MORE:
        assert memory.arena.tobytes() == before
        return
    assert found == had
    held = both(memory, search.get, key)
    changed = had < 0 or replace if put else had >= 0
    assert bool(memory.dirty.any()) == (memory.arena.tobytes() != before) == changed
    assert held == ((77 << 16 | 5) if put and changed else had if put else search.ABSENT)
    added = int(memory.meta[at.COUNT]) - len(grown.tree)
    assert added == (put and had < 0) - (not put and had >= 0)
    memory.table[missing] = grown.pool.page_table[missing]
    for other in (key - 1, key + 1):  # neighbours are where they were
        if 0 <= other < 200 and other % 2 == 0:
            assert both(memory, search.get, other) == rid_of(other).pack()


@settings(max_examples=200)
@given(st.data())
def test_damage_never_leads_outside(grown: Store, data: st.DataObject) -> None:
    """Random bytes in any node: an answer, in as many steps as there are levels; nothing else."""
    memory = image(grown)
    pages = st.integers(1, grown.file.page_count - 1)
    for _ in range(data.draw(st.integers(1, 6))):
        frame = int(memory.table[data.draw(pages)])
        offset = data.draw(st.one_of(st.integers(8, 40), st.integers(32, 511)))
        memory.arena[frame, offset] = data.draw(st.sampled_from([0, 1, 2, 255, 128, 17]))
    key = data.draw(st.integers(0, 210))
    kernel, *rest = data.draw(st.sampled_from([(search.get,), (edit.put, 5, True), (edit.take,)]))
    # A fence on both sides: the twin would raise IndexError, the kernel would change it.
    fenced = np.full((len(memory.arena) + 2, 512), 0xA5, np.uint8)
    fenced[1:-1] = memory.arena
    memory.arena = fenced[1:-1]
    memory.meta[at.ARENA] = fenced[1:].ctypes.data
    before = memory.arena.copy()
    found = memory.run(kernel, key, *rest)
    assert (fenced[0] == 0xA5).all()
    assert (fenced[-1] == 0xA5).all()
    assert len(np.flatnonzero((memory.arena != before).any(axis=1))) <= 1
    if found < search.ABSENT and found != edit.MORE:
        rule, page_id = -found >> search.RULE, -found & (1 << search.RULE) - 1
        assert rule in (0, search.BAD_TYPE, search.BAD_LEVEL, search.BAD_COUNT, search.BAD_CHILD)
        assert 0 < page_id <= 2**32


def test_the_compiled_function_behind_the_dispatcher(grown: Store) -> None:
    quick = search.direct(search.get)
    assert quick is not search.get
    assert quick(grown.tree._array, 4) == search.get(grown.tree._array, 4) == rid_of(4).pack()
    assert search.direct(search.get.py_func) is search.get.py_func  # where nothing is compiled
    with pytest.raises(TypeError):
        quick(grown.tree._array.astype(np.uint32), 4)


def test_numbers_are_one_memory() -> None:
    meta = TreeMeta(512, 5, 4, 1)
    meta.numbers[at.ROOT] = 7
    assert meta.array[at.ROOT] == 7
    assert len(meta.array) == at.META_SIZE
    places = [getattr(at, name) for name in at.__all__ if name not in ("PATH_STEP", "TreeMeta")]
    assert len(set(places)) == len(places)
