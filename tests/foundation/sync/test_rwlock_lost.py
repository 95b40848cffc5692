"""Guards of a reader-writer lock that are dropped: nothing stays locked."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from meridian.foundation.sync.lock_errors import (
    LockTimeout,
    LostGuard,
    PoisonError,
    ReentrantLockError,
    UpgradeError,
)
from meridian.foundation.sync.rwlock import RwLock
from tests.foundation.sync.rwlock_rig import (
    Threads,
    here,
    until,
)

# Lost guards


def test_a_lost_read_guard_is_released_and_a_lost_write_guard_poisons() -> None:
    lock = RwLock(0, name="lost", rank=1)
    with pytest.warns(LostGuard, match="is released now"):
        lock.read()
    lock.write().release()
    with pytest.warns(LostGuard, match="poisoned"):
        lock.write()
    with pytest.raises(PoisonError, match="dropped"):
        lock.read()
    assert not lock.statistics().writing
    RwLock(0, rank=1).read().release()


def test_a_guard_lost_while_the_latch_is_held_is_let_go_afterwards(threads: Threads) -> None:
    """A finaliser may run inside of the lock's own critical section, in the same thread."""
    lock = RwLock(0)
    guard: Any = here_reading(lock)
    threads.start(lambda: lock.write(60).release())
    until(lambda: lock.statistics().waiting_writers)
    with lock._latch, pytest.warns(LostGuard):
        del guard
    assert lock._lost
    (error,) = here(lambda: lock.read(0))
    assert isinstance(error, LockTimeout)
    assert not lock._lost, "whoever has the latch next lets it go"
    assert threads.join() == []


def test_also_when_the_next_is_refused(threads: Threads) -> None:
    lock = RwLock(0)
    with lock.read():
        guard: Any = here_reading(lock)
        with lock._latch, pytest.warns(LostGuard):
            del guard
        with pytest.raises(UpgradeError):
            lock.write()
        assert not lock._lost
    assert lock.statistics().readers == 0


def here_reading(lock: RwLock[int]) -> Any:
    """A guard that another thread took, so that this one is nobody to the lock."""
    guards: list[Any] = []
    assert here(lambda: guards.append(lock.read())) == []
    return guards[0]


def test_collections_in_the_midst_of_it(threads: Threads, switch_often: None) -> None:
    lock = RwLock(0)
    threshold = gc.get_threshold()

    def lose() -> None:
        for _ in range(100):
            guard = lock.read(60)
            cycle: list[object] = [guard]
            cycle.append(cycle)
            del cycle, guard

    def write() -> None:
        for _ in range(100):
            done = False
            while not done:
                try:
                    with lock.write(0.05) as guard:
                        guard.value += 1
                    done = True
                except LockTimeout:
                    gc.collect()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LostGuard)
        gc.freeze()
        gc.set_threshold(2)
        try:
            threads.start(write)
            threads.start(lambda: with_patience(lose))
            assert threads.join() == []
        finally:
            gc.set_threshold(*threshold)
            gc.unfreeze()
            gc.collect()
    assert lock.into_inner() == 100


def with_patience(body: Callable[[], None]) -> None:
    """A reader whose lost guard was not yet collected is refused while a writer waits: again."""
    while True:
        try:
            body()
        except ReentrantLockError:
            gc.collect()
        else:
            return
