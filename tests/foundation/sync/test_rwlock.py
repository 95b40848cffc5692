"""The read-write lock: readers together, a writer alone, nobody starved or waiting for itself."""

from __future__ import annotations

import contextlib
import copy
import math
import pickle
import threading
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from meridian.foundation.sync.lock_errors import (
    GuardReleased,
    LockConsumed,
    LockOrderViolation,
    LockTimeout,
    PoisonError,
    ReentrantLockError,
    UpgradeError,
)
from meridian.foundation.sync.rwlock import RwLock
from meridian.testing import explore
from tests.foundation.sync.rwlock_rig import (
    Preference,
    Threads,
    both,
    here,
    until,
)

# Readers and writers


@both
def test_readers_read_together_and_a_writer_is_alone(prefer: Preference, threads: Threads) -> None:
    lock = RwLock({"a": 1}, prefer=prefer)
    with lock.read() as guard:
        assert guard.value == {"a": 1}
        assert here(lambda: lock.read().release()) == []
        seen: list[object] = []
        assert here(lambda: seen.append(lock.try_write())) == []
        assert seen == [None]
    with lock.write() as writing:
        writing.value = {"b": 2}
        writing.value["c"] = 3
        assert here(lambda: seen.extend((lock.try_read(), lock.try_write()))) == []
        assert seen == [None] * 3
    with lock.read() as guard:
        assert guard.value == {"b": 2, "c": 3}
    assert here(lambda: lock.try_read().release()) == []  # type: ignore[union-attr]
    assert here(lambda: lock.try_write().release()) == []  # type: ignore[union-attr]
    assert lock.into_inner() == {"b": 2, "c": 3}


@both
def test_nobody_sees_a_half_written_value(prefer: Preference, switch_often: None) -> None:
    lock = RwLock([0, 0], prefer=prefer)
    threads = Threads()

    def write() -> None:
        for _ in range(400):
            with lock.write() as guard:
                pair = guard.value
                pair[0] += 1
                len(str(pair))
                pair[1] += 1

    def read() -> None:
        for _ in range(800):
            with lock.read() as guard:
                first = guard.value[0]
                len(str(first))
                assert guard.value[1] == first

    threads.start(write, write, read, read)
    assert threads.join() == []
    assert lock.into_inner() == [800, 800]


@both
def test_every_interleaving_of_readers_and_writers(prefer: Preference) -> None:
    def scenario(bundle: Any) -> Callable[[], bool]:
        lock = RwLock(0, prefer=prefer, primitives=bundle)
        inside: list[str] = []

        def read() -> None:
            with lock.read():
                assert "w" not in inside
                inside.append("r")
                bundle.monotonic_ns()  # a scheduling point inside
                assert "w" not in inside
                inside.remove("r")

        def write() -> None:
            with lock.write() as guard:
                assert inside == []
                inside.append("w")
                bundle.monotonic_ns()
                guard.value += 1
                assert inside == ["w"]
                inside.remove("w")

        def write_in_time() -> None:
            with contextlib.suppress(LockTimeout):
                lock.write(1.0).release()

        for body in (read, write, read, write_in_time):
            bundle.Thread(target=body).start()
        return lambda: (
            not lock._readers
            and lock._writer is None
            and not lock._waiting_readers
            and not lock._waiting_writers
            and lock._value == 1
        )

    report = explore(scenario, max_schedules=1200)
    assert not report.failures, report
    assert report.schedules > 300


@both
def test_every_interleaving_of_two_who_upgrade(prefer: Preference) -> None:
    """Reading twice and writing while reading never deadlock: they are refused or succeed."""

    def scenario(bundle: Any) -> None:
        lock = RwLock(0, prefer=prefer, primitives=bundle)

        def upgrade() -> None:
            with lock.read(), pytest.raises(UpgradeError):
                lock.write()

        def read_twice() -> None:
            with lock.read(), contextlib.suppress(ReentrantLockError), lock.read():
                pass

        for body in (upgrade, read_twice, lambda: lock.write().release()):
            bundle.Thread(target=body).start()

    report = explore(scenario, max_schedules=1200)
    assert not report.failures, report


# Who is let in next


@both
def test_a_waiting_writer_stops_new_readers(prefer: Preference, threads: Threads) -> None:
    lock = RwLock(0, prefer=prefer)
    order: list[str] = []
    reading = lock.read()

    def write() -> None:
        with lock.write():
            order.append("writer")

    def read() -> None:
        with lock.read():
            order.append("reader")

    threads.start(write)
    until(lambda: lock.statistics().waiting_writers)
    assert here(lambda: order.append(str(lock.try_read()))) == []
    (error,) = here(lambda: lock.read(0.01))
    assert isinstance(error, LockTimeout)
    threads.start(read)
    until(lambda: lock.statistics().waiting_readers)
    reading.release()
    assert threads.join() == []
    assert order == ["None", "writer", "reader"]


@pytest.mark.parametrize(
    ("prefer", "expected"),
    [
        ("writer", ["w1", "w2", "r1", "r2", "r3"]),
        ("fair", ["r1", "r2", "w1", "r3", "w2"]),
    ],
)
def test_the_line_behind_a_writer(
    prefer: Preference, expected: list[str], threads: Threads
) -> None:
    lock = RwLock(0, prefer=prefer)
    order: list[str] = []
    writing = lock.write()
    r2_in = threading.Event()

    def write(name: str) -> None:
        with lock.write():
            order.append(name)

    def read(name: str) -> None:
        with lock.read():
            if name == "r1":
                assert r2_in.wait(60), "readers are together"
            order.append(name)
            if name == "r2":
                r2_in.set()

    for count, name in enumerate(["r1", "r2", "w1", "r3", "w2"], 1):
        threads.start(lambda name=name: (write if name[0] == "w" else read)(name))
        until(
            lambda count=count: (
                lock.statistics().waiting_readers + lock.statistics().waiting_writers == count
            )
        )
    writing.release()
    assert threads.join() == []
    readers = [sorted(order[i : i + len(g)]) for i, g in groups(expected)]
    assert readers == [sorted(g) for _, g in groups(expected)]


def groups(names: list[str]) -> list[tuple[int, list[str]]]:
    """Readers in a row have no order among them: runs of one kind, and where they start."""
    found: list[tuple[int, list[str]]] = []
    for i, name in enumerate(names):
        if name[0] == "r" and found and found[-1][1][-1][0] == "r":
            found[-1][1].append(name)
        else:
            found.append((i, [name]))
    return found


@both
def test_endless_readers_do_not_starve_a_writer(
    prefer: Preference, threads: Threads, switch_often: None
) -> None:
    lock = RwLock(0, prefer=prefer)
    stop = threading.Event()
    overlap = threading.Barrier(3)

    def read() -> None:
        overlap.wait(60)
        while not stop.is_set():
            with lock.read():
                len(str(lock))

    threads.start(read, read)
    overlap.wait(60)
    try:
        for _ in range(20):
            with lock.write(60) as guard:
                guard.value += 1
    finally:
        stop.set()
    assert threads.join() == []


@both
def test_a_writer_that_gives_up_lets_the_readers_in(prefer: Preference, threads: Threads) -> None:
    lock = RwLock(0, prefer=prefer)
    errors: list[LockTimeout] = []
    reading = lock.read()

    def write() -> None:
        try:
            lock.write(0.2)
        except LockTimeout as error:
            errors.append(error)

    threads.start(write)
    until(lambda: lock.statistics().waiting_writers or errors)
    threads.start(lambda: lock.read(60).release())
    assert threads.join() == [], "the reader did not wait for this thread"
    assert errors
    assert lock.statistics().readers == 1
    reading.release()


# The same thread


@both
def test_waiting_for_oneself_is_refused(prefer: Preference, threads: Threads) -> None:
    lock = RwLock(0, prefer=prefer, name="sessions")
    with lock.read():
        for asking in (lock.write, lock.try_write, lock.into_inner, lambda: lock.write(1)):
            with pytest.raises(UpgradeError, match="sessions"):
                asking()
        with lock.read(), lock.try_read():  # type: ignore[union-attr]
            assert lock.statistics().readers == 1
        threads.start(lambda: lock.write().release())
        until(lambda: lock.statistics().waiting_writers)
        for asking in (lock.read, lock.try_read, lambda: lock.read(1)):
            with pytest.raises(ReentrantLockError, match="a writer waits"):
                asking()
    assert threads.join() == []
    with lock.write() as guard:
        for asking in (lock.write, lock.read, lock.try_read, lock.try_write, lock.into_inner):
            with pytest.raises(ReentrantLockError):
                asking()
        guard.value = 1
    assert lock.into_inner() == 1
    assert issubclass(UpgradeError, ReentrantLockError)


def test_a_reader_that_read_twice_still_reads_after_one_release() -> None:
    lock = RwLock(0)
    first, second = lock.read(), lock.read()
    first.release()
    assert here(lambda: lock.write(0))
    second.release()
    assert here(lambda: lock.write(0).release()) == []


@pytest.mark.anyio
async def test_another_task_of_the_thread_is_refused_as_well() -> None:
    lock = RwLock(0)
    reading, done = anyio.Event(), anyio.Event()

    async def read() -> None:
        with lock.read():
            reading.set()
            await done.wait()

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        await reading.wait()
        with pytest.raises(UpgradeError):
            lock.write()
        done.set()
    lock.write().release()


# Guards, timeouts, poison: as with the mutex


def test_a_reader_cannot_assign_and_a_dead_guard_does_nothing() -> None:
    lock = RwLock(1)
    with lock.read() as guard:
        with pytest.raises(AttributeError):
            guard.value = 2  # type: ignore[misc]
        guard.release()
        guard.release()
        with pytest.raises(GuardReleased):
            _ = guard.value
    with lock.write() as writing:
        writing.release()
        with pytest.raises(GuardReleased):
            writing.value = 2
        with pytest.raises(GuardReleased):
            _ = writing.value
        with pytest.raises(GuardReleased), writing:
            pass
    assert "released" in repr(writing)
    for thing in (lock, writing):
        for copying in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError):
                copying(thing)


@pytest.mark.parametrize("timeout", [-1, math.nan, True, "1"])
def test_a_timeout_that_is_none(timeout: Any) -> None:
    lock = RwLock(0)
    for asking in (lock.read, lock.write):
        with pytest.raises((TypeError, ValueError)):
            asking(timeout)
    assert lock.statistics().readers == 0
    assert not lock.statistics().writing


def test_timeouts() -> None:
    lock = RwLock(0, name="table")
    with lock.write():
        for asking in (lambda: lock.read(0), lambda: lock.read(0.01), lambda: lock.write(0.01)):
            (error,) = here(asking)
            assert isinstance(error, LockTimeout)
            assert error.lock == "RwLock 'table'"
    with lock.read():
        assert here(lambda: lock.read(0).release()) == []
        (error,) = here(lambda: lock.write(0))
        assert isinstance(error, LockTimeout)
    stats = lock.statistics()
    assert (stats.readers, stats.writing) == (0, False)
    assert (stats.waiting_readers, stats.waiting_writers) == (0, 0)


def test_a_failed_writer_poisons_and_a_failed_reader_does_not() -> None:
    lock = RwLock([1])
    with pytest.raises(KeyError), lock.read():
        raise KeyError
    assert not lock.is_poisoned
    with pytest.raises(KeyError), lock.write():
        raise KeyError
    assert lock.is_poisoned
    for asking in (lock.read, lock.write, lock.try_read, lock.try_write, lock.into_inner):
        with pytest.raises(PoisonError, match="KeyError") as caught:
            asking()
    with pytest.raises(PoisonError) as reading:
        lock.read()
    with reading.value.guard as guard:
        assert guard.value == [1]
        assert not hasattr(type(guard), "notify")
    assert lock.is_poisoned, "a reader mends nothing"
    with caught.value.guard as guard:
        guard.value = [2]
        lock.clear_poison()
    assert lock.into_inner() == [2]
    assert lock.statistics().readers == 0


def test_who_waits_while_the_writer_fails_is_told(threads: Threads) -> None:
    lock = RwLock(0)

    def fail() -> None:
        with lock.write():
            threads.start(lambda: lock.read(), lambda: lock.write())
            until(lambda: lock.statistics().waiting_readers and lock.statistics().waiting_writers)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert [type(error) for error in threads.join()] == [PoisonError, PoisonError]
    assert not lock.statistics().writing


def test_taken_apart() -> None:
    lock = RwLock([1])
    assert lock.into_inner() == [1]
    for asking in (lock.read, lock.write, lock.try_read, lock.try_write, lock.into_inner):
        with pytest.raises(LockConsumed):
            asking()
    lock.clear_poison()
    assert not lock.is_poisoned
    with pytest.raises(LockConsumed):
        lock.read()


def test_ranks() -> None:
    low, high = RwLock(0, rank=1), RwLock(0, rank=2)
    with low.read(), high.read(), high.read():
        pass
    with high.read():
        for asking in (low.read, low.write, low.try_read):
            with pytest.raises(LockOrderViolation):
                asking()
    with low.write(), high.write():
        pass
    assert low.statistics().readers == 0


@pytest.mark.parametrize("arguments", [{"prefer": "reader"}, {"name": 1}, {"rank": True}])
def test_bad_arguments(arguments: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        RwLock(0, **arguments)
