"""Any mix of operations gives what a dict and its sorted keys give."""

from __future__ import annotations

import tempfile
from bisect import bisect_left, bisect_right
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from meridian.database.btree import NO_RID, DuplicateKey
from meridian.database.storage import RecordId
from tests.database.btree.store import Store

KEYS = st.one_of(st.integers(0, 120), st.sampled_from([2**32 - 1, 2**31, 2**16]))
RIDS = st.builds(RecordId, st.integers(0, 2**32 - 1), st.integers(0, 2**16 - 1))
BATCHES = st.lists(st.tuples(KEYS, RIDS), max_size=60)


class TreeMachine(RuleBasedStateMachine):
    """A tree of tiny nodes under eviction, beside a dict."""

    @initialize(
        leaf_cap=st.integers(3, 8),
        internal_cap=st.integers(3, 8),
        rebalance=st.sampled_from(["lazy", "eager"]),
        append_split=st.booleans(),
        frames=st.sampled_from([8, 16]),
        policy=st.sampled_from(["clock", "clock", "lru", "2q"]),
        first=st.lists(KEYS, unique=True),
    )
    def create(self, first: list[int], **options: object) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.store = Store(Path(self.folder.name) / "model.oor", **options)  # type: ignore[arg-type]
        self.tree = self.store.tree
        self.eager = options["rebalance"] == "eager"
        self.model: dict[int, RecordId] = {}
        for key in first:
            self.insert(key, RecordId(key, 0))

    @rule(key=KEYS, rid=RIDS)
    def insert(self, key: int, rid: RecordId) -> None:
        if key in self.model:
            with pytest.raises(DuplicateKey):
                self.tree.insert(key, rid)
        else:
            self.tree.insert(key, rid)
            self.model[key] = rid

    @rule(start=st.integers(0, 2**32 - 100), step=st.integers(-3, 3), count=st.integers(1, 40))
    def insert_run(self, start: int, step: int, count: int) -> None:
        for i in range(count):
            key = min(max(0, start + step * i), 2**32 - 1)
            if key not in self.model:
                self.insert(key, RecordId(i, i))

    @rule(key=KEYS, rid=RIDS)
    def upsert(self, key: int, rid: RecordId) -> None:
        assert self.tree.upsert(key, rid) == self.model.get(key)
        self.model[key] = rid

    @rule(key=KEYS)
    def delete(self, key: int) -> None:
        assert self.tree.delete(key) == self.model.pop(key, None)

    @rule(data=st.data(), keep=st.integers(0, 5))
    def delete_most(self, data: st.DataObject, keep: int) -> None:
        keys = data.draw(st.permutations(sorted(self.model)))
        for key in keys[keep:]:
            self.delete(key)

    @rule(key=KEYS)
    def get(self, key: int) -> None:
        assert self.tree.get(key) == self.model.get(key)
        assert (key in self.tree) == (key in self.model)

    @rule(batch=BATCHES)
    def put_many(self, batch: list[tuple[int, RecordId]]) -> None:
        keys = np.array([key for key, _ in batch], np.uint32)
        rids = np.array([rid.pack() for _, rid in batch], np.uint64)
        new = {key for key, _ in batch} - self.model.keys()
        assert self.tree.put_many(keys, rids) == len(new)
        self.model.update(batch)

    @rule(keys=st.lists(KEYS, max_size=60))
    def delete_many(self, keys: list[int]) -> None:
        there = {key for key in keys if self.model.pop(key, None) is not None}
        assert self.tree.delete_many(np.array(keys, np.uint32)) == len(there)

    @rule(keys=st.lists(KEYS, max_size=60))
    def get_many(self, keys: list[int]) -> None:
        found = self.tree.get_many(np.array(keys, np.uint32)).tolist()
        expected = [self.model[key].pack() if key in self.model else NO_RID for key in keys]
        assert found == expected

    @rule(lo=KEYS, hi=KEYS, reverse=st.booleans())
    def range(self, lo: int, hi: int, reverse: bool) -> None:
        keys = sorted(self.model)
        keys = keys[bisect_left(keys, lo) : bisect_right(keys, hi)]
        expected = [(key, self.model[key]) for key in keys]
        packed = [(key, rid.pack()) for key, rid in expected]
        found = list(self.tree.range(lo, hi, reverse=reverse))
        assert found == (expected[::-1] if reverse else expected)
        assert list(self.tree.items(lo, hi)) == packed
        arrays = self.tree.range_arrays(lo, hi)
        assert list(zip(*(array.tolist() for array in arrays), strict=True)) == packed

    @rule()
    def vacuum(self) -> None:
        self.tree.vacuum()
        self.tree.check()

    @rule()
    def reopen(self) -> None:
        self.tree = self.store.reopen()

    @precondition(lambda self: self.model)
    @rule()
    def edges(self) -> None:
        keys = min(self.model), max(self.model)
        assert (self.tree.min(), self.tree.max()) == tuple((k, self.model[k]) for k in keys)

    @invariant()
    def is_sound(self) -> None:
        if not hasattr(self, "tree"):
            return
        assert len(self.tree) == len(self.model)
        stats = self.tree.check(strict=self.eager)
        assert stats.count == len(self.model)
        assert self.store.pool.pinned() == {}
        used = stats.leaf_count + stats.internal_count
        assert self.store.file.page_count - 1 - self.store.file.free_count == used

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()


TestTree = TreeMachine.TestCase
TestTree.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
