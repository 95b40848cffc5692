"""Any mix of operations gives what a dict and its sorted keys give."""

from __future__ import annotations

import tempfile
from pathlib import Path

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

from meridian.database.btree import DuplicateKey
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
            key = max(0, start + step * i)
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
