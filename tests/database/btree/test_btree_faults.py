"""Whatever fails at whatever moment, the tree is as before the call or as after it."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from meridian.database.btree import BPlusTree
from meridian.database.storage import PoolExhausted, RecordId
from meridian.testing import FaultyFileSystem
from tests.database.btree.store import Store, rid_of

MakeStore = Callable[..., Store]
Model = dict[int, RecordId]

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
BROKEN = OSError(errno.EIO, os.strerror(errno.EIO))


def grown(make_store: MakeStore, **options: object) -> tuple[Store, Model]:
    """A tree of several levels, of which only a part is in memory."""
    store = make_store(frames=8, leaf_cap=3, internal_cap=3, **options)
    keys = list(range(0, 240, 2))
    random.Random(3).shuffle(keys)
    for key in keys:
        store.tree.insert(key, rid_of(key))
    assert store.tree.height >= 5
    return store, {key: rid_of(key) for key in keys}


def run(tree: BPlusTree, model: Model, op: str, key: int) -> None:
    """One operation on both; the model learns of it only if the tree did not raise."""
    if op == "delete":
        assert tree.delete(key) == model.get(key)
        model.pop(key, None)
    else:
        assert tree.upsert(key, RecordId(key, 9)) == model.get(key)
        model[key] = RecordId(key, 9)


def assert_same(store: Store, model: Model, op: str, key: int, *, strict: bool) -> None:
    """The tree holds what the model does, before or after `op`; the model follows."""
    found = store.items()
    after = dict(model)
    if op == "delete":
        after.pop(key, None)
    else:
        after[key] = RecordId(key, 9)
    assert found in (model, after)
    model.clear()
    model.update(found)
    assert store.tree.check(strict=strict).count == len(model)
    assert store.pool.pinned() == {}


@pytest.mark.parametrize("rebalance", ["lazy", "eager"])
@pytest.mark.parametrize(("call", "error"), [("preadv", BROKEN), ("pwritev", FULL)])
def test_a_fault_at_every_file_operation(
    make_store: MakeStore, faults: FaultyFileSystem, rebalance: str, call: str, error: OSError
) -> None:
    """Every operation is tried with its first call failing, then its second, until none fails."""
    store, model = grown(make_store, rebalance=rebalance)
    rng = random.Random(5)
    errors = []
    for turn in range(40):
        op = "delete" if turn // 10 % 2 else "upsert"
        key = rng.randrange(1, 240, 2) if op == "upsert" else rng.choice(sorted(model))
        for nth in range(1, 100):
            faults.fail(call, nth=nth, error=error)
            try:
                run(store.tree, model, op, key)
            except OSError as caught:
                errors.append(caught)
            clean = bool(faults.pending)
            faults.heal()
            if nth % 3 == 1 or clean:
                assert_same(store, model, op, key, strict=rebalance == "eager")
            if clean:
                break
    assert len(errors) > 8
    assert set(errors) == {error}
    store.reopen()
    assert store.items() == model
    for key in sorted(model):
        assert store.tree.delete(key) == model[key]


@pytest.mark.parametrize("rebalance", ["lazy", "eager"])
def test_a_disk_that_stays_full(
    make_store: MakeStore, faults: FaultyFileSystem, rebalance: str
) -> None:
    store, model = grown(make_store, rebalance=rebalance)
    rng = random.Random(7)
    faults.fail("pwritev", error=FULL, times=None)
    errors = []
    for _ in range(60):
        key = rng.randrange(1, 240, 2)
        try:
            run(store.tree, model, "upsert", key)
        except OSError as error:
            errors.append(error)
    assert len(errors) > 10
    assert set(errors) == {FULL}
    faults.heal()
    assert store.items() == model
    store.tree.check(strict=rebalance == "eager")


def test_pages_that_the_disk_did_not_take_back_are_tried_again(
    make_store: MakeStore, faults: FaultyFileSystem
) -> None:
    """A delete that has succeeded says so, though the pages it freed are still to be written."""
    store = make_store(frames=64, leaf_cap=3, internal_cap=3)
    for key in range(60):
        store.tree.insert(key, rid_of(key))
    store.pool.flush_all()
    faults.fail("pwritev", times=None)
    for key in range(59):
        assert store.tree.delete(key) == rid_of(key)
    assert store.file.free_count == 0
    assert store.tree.check().count == 1
    faults.heal()
    assert store.tree.delete(59) == rid_of(59)
    assert store.file.free_count == store.file.page_count - 1


@pytest.mark.parametrize("rebalance", ["lazy", "eager"])
@pytest.mark.parametrize("left", [0, 1, 2, 3, 4])
def test_too_few_frames(make_store: MakeStore, rebalance: str, left: int) -> None:
    """With four frames everything works; with fewer what fails has changed nothing."""
    store, model = grown(make_store, rebalance=rebalance)
    rng = random.Random(left)
    strangers = store.file.allocate_pages(8 - left)
    with ExitStack() as held:
        for page_id in strangers:
            held.enter_context(store.pool.fetch(page_id))
        refused = 0
        for turn in range(60):
            op = "delete" if turn // 10 % 2 else "upsert"
            key = rng.randrange(1, 240, 2) if op == "upsert" else rng.choice(sorted(model))
            try:
                run(store.tree, model, op, key)
            except PoolExhausted:
                refused += 1
            assert len(store.pool.pinned()) == len(strangers)
    assert (refused == 0) == (left == 4)
    assert store.items() == model
    store.tree.check(strict=rebalance == "eager")


def test_the_first_change_of_a_session_can_fail(
    make_store: MakeStore, faults: FaultyFileSystem
) -> None:
    """Before anything is changed the file loses its clean flag, which a disk may refuse."""
    store = make_store(frames=64)
    for key in range(20):
        store.tree.insert(key, rid_of(key))
    tree = store.reopen()
    assert tree.get(3) == rid_of(3)  # in memory: the change itself needs no disk
    for call in ("pwritev", "sync"):
        for change in (
            lambda: tree.delete(3),
            lambda: tree.insert(300, rid_of(1)),
            lambda: tree.clear(),
        ):
            faults.fail(call)
            with pytest.raises(OSError, match="Input/output"):
                change()
            assert not faults.pending
    assert tree.check().count == 20
    assert tree.delete(3) == rid_of(3)


def test_a_hook_that_refuses_a_write(make_store: MakeStore) -> None:
    store, model = grown(make_store)

    def refuse(page_id: int, page: memoryview) -> None:
        raise RuntimeError("not yet")

    store.pool.before_flush = refuse
    errors = []
    rng = random.Random(2)
    for _ in range(30):
        key = rng.randrange(1, 240, 2)
        try:
            run(store.tree, model, "upsert", key)
        except RuntimeError as error:
            errors.append(str(error))
    assert set(errors) == {"not yet"}
    store.pool.before_flush = None
    assert store.items() == model
    store.tree.check()


def test_lookups_survive_a_read_that_fails(make_store: MakeStore, faults: FaultyFileSystem) -> None:
    store, model = grown(make_store)
    tree = store.reopen()
    for key in sorted(model)[::10]:
        for nth in range(1, 20):
            faults.fail("preadv", nth=nth)
            try:
                assert tree.get(key) == model[key]
            except OSError:
                assert not faults.pending
            if faults.pending:
                break
        faults.heal()
    assert store.items() == model
    assert store.pool.pinned() == {}
