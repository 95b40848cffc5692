"""The mutex: one holder, poison, no waiting for oneself, ranks, and nothing lost."""

from __future__ import annotations

import contextlib
import copy
import math
import pickle
import threading
from collections.abc import Callable
from typing import Any

import anyio
import numpy as np
import pytest

from meridian.foundation import sync
from meridian.foundation.sync.mutex import (
    Guard,
    GuardReleased,
    LockConsumed,
    LockOrderViolation,
    LockTimeout,
    LostGuard,
    Mutex,
    PoisonError,
    ReentrantLockError,
)
from meridian.testing import explore
from tests.foundation.sync.mutex_rig import in_thread, poison

# One holder


def test_the_value_is_reached_through_the_guard() -> None:
    mutex = Mutex([1], name="list")
    with mutex.lock() as guard:
        guard.value.append(2)
        assert guard.value == [1, 2]
        guard.value = [3]
        assert mutex.statistics().locked
    assert mutex.into_inner() == [3]


def test_no_update_is_lost(switch_often: None) -> None:
    mutex = Mutex(0)

    def add() -> None:
        for _ in range(2000):
            with mutex.lock() as guard:
                seen = guard.value
                len(str(seen))  # a call, where the interpreter may switch
                guard.value = seen + 1

    assert in_thread(*[add] * 4) == []
    assert mutex.into_inner() == 8000


def test_every_interleaving_of_two_threads() -> None:
    def scenario(bundle: Any) -> Callable[[], bool]:
        mutex = Mutex(0, primitives=bundle)

        def add() -> None:
            with mutex.lock() as guard:
                seen = guard.value
                bundle.monotonic_ns()  # a scheduling point inside
                guard.value = seen + 1

        def try_add() -> None:
            while (guard := mutex.try_lock()) is None:
                pass
            with guard:
                guard.value += 1

        def add_in_time() -> None:
            try:
                guard = mutex.lock(1.0)
            except LockTimeout:
                guard = mutex.lock()
            with guard:
                guard.value += 1

        for body in (add, try_add, add_in_time):
            bundle.Thread(target=body).start()
        return lambda: mutex.into_inner() == 3

    report = explore(scenario, max_schedules=1500)
    assert not report.failures, report
    assert report.schedules > 100


def test_a_lock_in_wrong_order_is_a_deadlock_that_ranks_refuse() -> None:
    def scenario(ranks: tuple[int | None, int | None]) -> Any:
        def run(bundle: Any) -> None:
            first = Mutex(None, rank=ranks[0], primitives=bundle)
            second = Mutex(None, rank=ranks[1], primitives=bundle)

            def right() -> None:
                with first.lock(), second.lock():
                    pass

            def wrong() -> None:
                try:
                    with second.lock(), first.lock():
                        pass
                except LockOrderViolation:
                    first.clear_poison()
                    second.clear_poison()

            def right_again() -> None:
                with contextlib.suppress(PoisonError):  # of the violation, which left a block
                    right()

            bundle.Thread(target=wrong).start()
            bundle.Thread(target=right_again).start()

        return run

    assert explore(scenario((None, None))).failures[0].kind == "deadlock"
    assert not explore(scenario((1, 2))).failures


def test_try_lock_does_not_wait() -> None:
    mutex = Mutex(0)
    guard = mutex.try_lock()
    assert guard is not None
    seen: list[object] = []
    assert in_thread(lambda: seen.append(mutex.try_lock())) == []
    assert seen == [None]
    guard.release()
    assert in_thread(lambda: mutex.try_lock().release()) == []  # type: ignore[union-attr]


def test_a_guard_is_dead_after_its_release() -> None:
    mutex = Mutex(1)
    with mutex.lock() as guard:
        guard.release()
        guard.release()
        assert not mutex.statistics().locked
        with pytest.raises(GuardReleased):
            _ = guard.value
        with pytest.raises(GuardReleased):
            guard.value = 2
        with pytest.raises(GuardReleased), guard:
            pass
        other = mutex.lock()  # the end of the block must not release this one
    assert mutex.statistics().locked
    other.release()
    assert "released" in repr(guard)


def test_an_error_after_an_early_release_does_not_poison() -> None:
    mutex = Mutex(1)
    guard = mutex.lock()
    guard.release()
    guard.__exit__(KeyError, KeyError(), None)
    assert not mutex.is_poisoned


@pytest.mark.parametrize("thing", [Mutex(0, name="m"), Mutex(0).lock()])
def test_neither_mutex_nor_guard_is_copied(thing: Any) -> None:
    for copying in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="copy or pickle"):
            copying(thing)
    if isinstance(thing, Guard):
        thing.release()


def test_a_guard_made_by_hand_harms_nobody() -> None:
    with pytest.raises(TypeError):
        Guard(Mutex(0))  # type: ignore[call-arg]
    Guard()


# Timeouts


def test_a_timeout_says_what_and_how_long() -> None:
    mutex = Mutex(0, name="commands")
    with mutex.lock():
        (error,) = in_thread(lambda: mutex.lock(0.01))
        assert isinstance(error, LockTimeout)
        assert isinstance(error, TimeoutError)
        assert (error.lock, error.timeout_s) == ("Mutex 'commands'", 0.01)
        (error,) = in_thread(lambda: mutex.lock(0))
        assert isinstance(error, LockTimeout)
    mutex.lock(0).release()
    mutex.lock(np.float32(1)).release()  # type: ignore[arg-type]


def test_a_wait_with_a_timeout_ends_when_the_mutex_is_free() -> None:
    for timeout in (60, 1e300, math.inf, None):
        mutex = Mutex(0)
        guard = mutex.lock()

        def wait(mutex: Mutex[int] = mutex, timeout: float | None = timeout) -> None:
            mutex.lock(timeout).release()

        thread = threading.Thread(target=wait)
        thread.start()
        while not mutex.statistics().waiting:
            assert thread.is_alive()
        guard.release()
        thread.join(60)
        assert not thread.is_alive()


@pytest.mark.parametrize(
    ("timeout", "error"),
    [
        (-1, ValueError),
        (-0.001, ValueError),
        (math.nan, ValueError),
        (-math.inf, ValueError),
        (True, TypeError),
        ("1", TypeError),
        ([1], TypeError),
    ],
)
def test_a_timeout_that_is_none(timeout: Any, error: type[Exception]) -> None:
    mutex = Mutex(0)
    with pytest.raises(error):
        mutex.lock(timeout)
    assert not mutex.statistics().locked


# Poison


def test_who_locks_after_a_failure_is_told_and_may_mend() -> None:
    mutex = Mutex({"a": 1}, name="table")

    def change(table: dict[str, int]) -> None:
        table["a"] = 2
        raise RuntimeError("between a and b")

    with pytest.raises(RuntimeError), mutex.lock() as guard:
        change(guard.value)
    assert mutex.is_poisoned
    assert not mutex.statistics().locked
    for asking in (mutex.lock, mutex.try_lock, mutex.into_inner, lambda: mutex.lock(1)):
        with pytest.raises(PoisonError, match=r"table.*RuntimeError in thread") as caught:
            asking()
        assert not mutex.statistics().locked, "the error holds no lock"
    with caught.value.guard as guard:
        assert guard is caught.value.guard
        assert guard.value == {"a": 2}
        guard.value["b"] = 2
        mutex.clear_poison()
    assert not mutex.is_poisoned
    with mutex.lock() as guard:
        assert guard.value == {"a": 2, "b": 2}


def test_not_cleared_it_stays_poisoned() -> None:
    mutex = Mutex(0)
    poison(mutex)
    with pytest.raises(PoisonError) as caught:
        mutex.lock()
    with caught.value.guard:
        pass
    assert mutex.is_poisoned
    with pytest.raises(KeyError), caught.value._take():
        raise KeyError
    with pytest.raises(PoisonError):
        mutex.lock()
    assert not mutex.statistics().locked


def test_every_kind_of_exception_poisons() -> None:
    for kind in (ValueError, KeyboardInterrupt, SystemExit, GeneratorExit):
        mutex = Mutex(0)
        with pytest.raises(kind), mutex.lock():
            raise kind
        assert mutex.is_poisoned
        with pytest.raises(PoisonError) as caught:
            mutex.lock()
        assert kind.__name__ in caught.value.cause


def test_leaving_without_an_exception_does_not() -> None:
    mutex = Mutex(0)

    def leave() -> int:
        for _ in range(2):
            with mutex.lock():
                continue
        with mutex.lock():
            return 1

    assert leave() == 1
    assert not mutex.is_poisoned


def test_the_guard_of_the_error_waits_as_the_call_would() -> None:
    mutex = Mutex(0)
    poison(mutex)
    errors: list[PoisonError] = []
    for asking in (mutex.try_lock, mutex.lock):
        with pytest.raises(PoisonError) as caught:
            asking()
        errors.append(caught.value)
    with errors[1].guard:
        (error,) = in_thread(lambda: errors[0].guard)
        assert isinstance(error, LockTimeout)
        copied = pickle.loads(pickle.dumps(errors[1]))
        assert str(copied) == str(errors[1])
        with pytest.raises(GuardReleased):
            _ = copied.guard


@pytest.mark.parametrize(
    "error",
    [
        LockTimeout("Mutex 'a'", 1.5),
        ReentrantLockError("Mutex 'a'"),
        sync.UpgradeError("RwLock 'a'"),
        LockOrderViolation("Mutex 'a'", "Mutex 'b'", 2, 1),
        GuardReleased("Mutex 'a'"),
        LockConsumed("Mutex 'a'"),
        LostGuard("Mutex 'a'"),
        sync.ForeignGuard("Mutex 'a'", "Mutex 'b'"),
        sync.ScopeClosed("left"),
    ],
)
def test_errors_travel_between_processes(error: Exception) -> None:
    copied = pickle.loads(pickle.dumps(error))
    assert type(copied) is type(error)
    assert str(copied) == str(error)
    assert vars(copied) == vars(error)


# The same thread


def test_asking_for_what_one_holds_is_refused_at_once() -> None:
    mutex = Mutex(0, name="queue")
    with mutex.lock() as guard:
        for asking in (mutex.lock, mutex.try_lock, mutex.into_inner, lambda: mutex.lock(5)):
            with pytest.raises(ReentrantLockError, match="queue"):
                asking()
        guard.value = 1
    assert mutex.into_inner() == 1


@pytest.mark.anyio
async def test_also_when_another_task_of_the_thread_holds_it() -> None:
    mutex = Mutex(0)
    held, done = anyio.Event(), anyio.Event()

    async def hold() -> None:
        with mutex.lock():
            held.set()
            await done.wait()

    async def ask() -> None:
        await held.wait()
        with pytest.raises(ReentrantLockError, match="AsyncMutex"):
            mutex.lock()
        done.set()

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(hold)
            group.start_soon(ask)
    with mutex.lock():
        pass


def test_a_guard_may_be_released_by_another_thread() -> None:
    mutex = Mutex(0)
    guard = mutex.lock()
    assert in_thread(guard.release) == []
    mutex.lock().release()


def test_a_new_thread_is_not_taken_for_the_one_that_ended_with_the_guard() -> None:
    mutex = Mutex(0)
    kept: list[Guard[int]] = []
    assert in_thread(lambda: kept.append(mutex.lock())) == []
    errors = in_thread(lambda: mutex.lock(0))  # most often with the number of the one that ended
    assert [type(error) for error in errors] == [LockTimeout]
    kept.pop().release()


# Ranks


def test_locks_are_taken_in_rising_rank() -> None:
    low, high, none = Mutex(0, rank=1, name="low"), Mutex(0, rank=2), Mutex(0)
    with low.lock(), none.lock(), high.lock():
        pass
    with high.lock():
        for asking in (low.lock, low.try_lock, lambda: low.lock(1)):
            with pytest.raises(LockOrderViolation) as caught:
                asking()
            assert caught.value.wanted == "Mutex 'low'"
            assert (caught.value.held_rank, caught.value.wanted_rank) == (2, 1)
            assert not low.statistics().locked, "nothing was acquired"
        assert in_thread(lambda: low.lock().release()) == [], "each thread has its own"
        with none.lock():
            pass
        with pytest.raises(ReentrantLockError):
            high.lock()
    low.lock().release()


def test_equal_ranks_exclude_each_other() -> None:
    with Mutex(0, rank=3).lock(), pytest.raises(LockOrderViolation):
        Mutex(0, rank=3).lock()


def test_a_rank_is_free_again_however_the_guard_ended() -> None:
    low, high = Mutex(0, rank=1), Mutex(0, rank=2)
    with pytest.raises(KeyError), high.lock():
        raise KeyError
    low.lock().release()
    high.clear_poison()
    guard = high.lock()
    assert in_thread(guard.release) == []
    low.lock().release()
    with pytest.warns(LostGuard):
        high.lock()
    low.lock().release()
    with pytest.raises(PoisonError):
        high.lock()
    low.lock().release()


@pytest.mark.parametrize("arguments", [{"name": 1}, {"rank": True}, {"rank": 1.0}, {"rank": "1"}])
def test_names_are_text_and_ranks_are_integers(arguments: Any) -> None:
    with pytest.raises(TypeError):
        Mutex(0, **arguments)


# Taken apart


def test_into_inner_takes_the_value_out_for_good() -> None:
    value = [1]
    mutex = Mutex(value)
    assert mutex.into_inner() is value
    for asking in (mutex.lock, mutex.try_lock, mutex.into_inner):
        with pytest.raises(LockConsumed):
            asking()
    assert not mutex.is_poisoned
    mutex.clear_poison()
    with pytest.raises(LockConsumed):
        mutex.lock()


def test_into_inner_waits_for_the_holder(switch_often: None) -> None:
    for _ in range(50):
        mutex = Mutex(0)
        taken: list[int] = []

        def add(mutex: Mutex[int] = mutex, taken: list[int] = taken) -> None:
            try:
                with mutex.lock() as guard:
                    guard.value += 1
            except LockConsumed:
                taken.append(-1)

        def take(mutex: Mutex[int] = mutex, taken: list[int] = taken) -> None:
            taken.append(mutex.into_inner())

        assert in_thread(add, take) == []
        assert sorted(taken) in ([1], [-1, 0])


def test_the_package_offers_all_of_it() -> None:
    for module in ("mutex", "lockdep", "rwlock", "condvar", "async_mutex"):
        for name in sync._EXPORTS[module]:
            assert name in sync.__all__
            assert getattr(sync, name).__module__.startswith("meridian.foundation.sync")
