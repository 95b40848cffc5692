"""Readers beside a writer, and the latch that lets them."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from meridian.database.btree import LatchHeld
from meridian.database.btree.tree_latch import TreeLatch
from meridian.database.storage import RecordId
from tests.database.btree.store import Store, rid_of

MakeStore = Callable[..., Store]

DEADLINE_S = 60  # generous: only a thread that hangs reaches it


@contextmanager
def running(*bodies: Callable[[], None]) -> Iterator[None]:
    """Run each body in a thread for the length of the block; raise what any of them raised."""
    errors: list[BaseException] = []

    def guarded(body: Callable[[], None]) -> None:
        try:
            body()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(body,), daemon=True) for body in bodies]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join(DEADLINE_S)
    assert not any(thread.is_alive() for thread in threads)
    if errors:
        raise errors[0]


def until(condition: Callable[[], object]) -> None:
    """Let other threads work until `condition` holds."""
    end_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0)  # gives up the GIL, waits for nothing


@pytest.mark.parametrize("rebalance", ["lazy", "eager"])
@pytest.mark.parametrize("frames", [24, 200])
def test_readers_during_a_writer(make_store: MakeStore, rebalance: str, frames: int) -> None:
    """Multiples of five stay. Others come and go, and have their own record id or none."""
    store = make_store(frames=frames, leaf_cap=4, internal_cap=4, rebalance=rebalance)
    tree = store.tree
    for key in range(0, 500, 5):
        tree.insert(key, rid_of(key))
    done = threading.Event()
    reads = [0, 0, 0]

    def read(number: int) -> None:
        rng = random.Random(number)
        while not done.is_set():
            key = rng.randrange(500)
            found = tree.get(key)
            assert found == rid_of(key) or (found is None and key % 5)
            reads[number] += 1

    def check() -> None:
        while not done.is_set():
            stats = tree.check(strict=rebalance == "eager")
            assert stats.count >= 100
            assert tree.min() == (0, rid_of(0))

    def write() -> None:
        rng = random.Random(9)
        there: set[int] = set()
        try:
            for turn in range(1500):
                key = rng.randrange(500)
                if key % 5 == 0:
                    assert tree.upsert(key, rid_of(key)) == rid_of(key)
                elif turn // 300 % 2:
                    assert (tree.delete(key) is not None) == (key in there)
                    there.discard(key)
                else:
                    assert (tree.upsert(key, rid_of(key)) is not None) == (key in there)
                    there.add(key)
        finally:
            done.set()

    with running(write, lambda: read(0), lambda: read(1), check):
        pass
    assert reads[0] > 0
    assert reads[1] > 0
    tree.check(strict=rebalance == "eager")
    assert store.pool.pinned() == {}


def test_writers_take_turns(make_store: MakeStore) -> None:
    store = make_store(frames=16, leaf_cap=3, internal_cap=3)

    def write(number: int) -> Callable[[], None]:
        def body() -> None:
            for key in range(number, 400, 4):
                store.tree.insert(key, rid_of(key))
            for key in range(number, 400, 8):
                assert store.tree.delete(key) == rid_of(key)

        return body

    with running(*(write(number) for number in range(4))):
        pass
    assert store.tree.check().count == 200
    assert store.items() == {key: rid_of(key) for key in range(400) if key % 8 >= 4}


def test_a_flush_beside_a_writer(make_store: MakeStore) -> None:
    """Pages that are written while they change are written again: nothing is lost."""
    store = make_store(frames=64, leaf_cap=4, internal_cap=4)
    done = threading.Event()

    def flush() -> None:
        while not done.is_set():
            store.pool.flush_all()

    with running(flush):
        for key in range(600):
            store.tree.insert(key * 37 % 601, rid_of(key * 37 % 601))
        for key in range(0, 600, 2):
            store.tree.delete(key)
        done.set()
    shape = store.tree.check()
    assert store.reopen().check().leaf_count == shape.leaf_count


@pytest.fixture
def latch() -> TreeLatch:
    return TreeLatch(threading.RLock())


def test_the_latch_twice_is_an_error(latch: TreeLatch) -> None:
    for outer in (latch.read, latch.write):
        for inner in (latch.read, latch.write):
            with outer():
                assert latch.busy
                assert latch.held()
                with pytest.raises(LatchHeld, match="leave the first block before") as caught:
                    inner().__enter__()
                held, wanted = caught.value.held, caught.value.wanted
                assert held == ("reading" if outer == latch.read else "writing")
                assert wanted == ("reading" if inner == latch.read else "writing")
            assert not latch.busy
            assert not latch.held()


def test_a_change_inside_a_read_is_refused(make_store: MakeStore) -> None:
    tree = make_store().tree
    tree.insert(1, rid_of(1))
    for held in (tree.latch.read, tree.latch.write):
        with held():
            assert tree.get(1) == rid_of(1)
            assert tree.get(2) is None
            assert tree.min() == (1, rid_of(1))
            assert tree.check().count == 1
            for change in (
                lambda: tree.upsert(1, rid_of(2)),
                lambda: tree.insert(2, rid_of(2)),
                lambda: tree.delete(1),
                lambda: tree.clear(),
            ):
                with pytest.raises(LatchHeld):
                    change()
    assert tree.get(1) == rid_of(1)
    assert tree.upsert(1, RecordId(5, 5)) == rid_of(1)


def test_a_cold_lookup_under_the_latch(make_store: MakeStore) -> None:
    store = make_store(leaf_cap=3, internal_cap=3)
    for key in range(50):
        store.tree.insert(key, rid_of(key))
    for way in ("read", "write"):
        tree = store.reopen()
        with getattr(tree.latch, way)():
            assert [tree.get(key) for key in range(50)] == [rid_of(key) for key in range(50)]


def test_readers_share_and_a_writer_waits(latch: TreeLatch) -> None:
    both = threading.Barrier(2, timeout=DEADLINE_S)
    written = threading.Event()
    leave = threading.Event()

    def read() -> None:
        with latch.read():
            both.wait()  # two inside at once
            assert leave.wait(DEADLINE_S)
            assert not written.is_set()

    def write() -> None:
        with latch.write():
            assert not latch._readers
            written.set()

    with running(read, read):
        until(lambda: len(latch._readers) == 2)
        with running(write):
            until(lambda: latch._waiting)
            leave.set()
    assert written.is_set()


def test_a_waiting_writer_goes_before_new_readers(latch: TreeLatch) -> None:
    order: list[str] = []
    entered = threading.Event()
    leave = threading.Event()

    def read_first() -> None:
        with latch.read():
            entered.set()
            assert leave.wait(DEADLINE_S)

    def write() -> None:
        with latch.write():
            order.append("writer")

    def read_later() -> None:
        with latch.read():
            order.append("reader")

    with running(read_first):
        assert entered.wait(DEADLINE_S)
        with running(write):
            until(lambda: latch._waiting)
            with running(read_later):
                leave.set()
    assert order == ["writer", "reader"]


def test_a_change_in_passing_ends_before_the_latch_is_had(latch: TreeLatch) -> None:
    """Who holds the gate does not see that the latch is busy; who takes the latch waits for it."""
    for way in (latch.read, latch.write):
        inside = threading.Event()

        def take(way: Callable[[], object] = way, inside: threading.Event = inside) -> None:
            with way():  # type: ignore[attr-defined]
                inside.set()

        with latch._gate:
            threads = running(take)
            threads.__enter__()
            until(lambda: latch.busy)
            assert not inside.is_set()
        threads.__exit__(None, None, None)
        assert inside.is_set()
