"""The condition: no notification is lost, and the guard outlives the wait."""

from __future__ import annotations

import copy
import math
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from meridian.foundation.sync.condvar import Condvar, ForeignGuard
from meridian.foundation.sync.mutex import (
    GuardReleased,
    LockConsumed,
    LockOrderViolation,
    LostGuard,
    Mutex,
    PoisonError,
    ReentrantLockError,
)
from meridian.foundation.sync.rwlock import RwLock
from meridian.testing import explore


@pytest.fixture
def switch_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def run(*bodies: Callable[[], object]) -> list[BaseException]:
    """Each in a thread of its own, all at once; what they raised."""
    errors: list[BaseException] = []

    def guarded(body: Callable[[], object]) -> None:
        try:
            body()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "hangs"
    return errors


@pytest.mark.parametrize("held", [True, False])
def test_a_queue_between_threads(held: bool, switch_often: None) -> None:
    """Notified while the mutex is held, and after."""
    mutex: Mutex[deque[int]] = Mutex(deque())
    changed = Condvar(mutex)
    got: list[int] = []

    def produce(first: int) -> None:
        for number in range(first, first + 300):
            with mutex.lock() as guard:
                guard.value.append(number)
                if held:
                    changed.notify_one()
            if not held:
                changed.notify_one()

    def consume() -> None:
        for _ in range(300):
            with mutex.lock() as guard:
                assert changed.wait_while(guard, lambda queue: not queue, 60)
                got.append(guard.value.popleft())

    assert run(consume, consume, lambda: produce(0), lambda: produce(300)) == []
    assert sorted(got) == list(range(600))
    assert not mutex.into_inner()


@pytest.mark.parametrize("held", [True, False])
def test_no_interleaving_loses_a_notification(held: bool) -> None:
    def scenario(bundle: Any) -> Callable[[], bool]:
        mutex: Mutex[list[int]] = Mutex([], primitives=bundle)
        changed = Condvar(mutex)
        got: list[int] = []

        def consume() -> None:
            with mutex.lock() as guard:
                assert changed.wait_while(guard, lambda queue: not queue)
                got.append(guard.value.pop())

        def produce() -> None:
            for number in range(2):
                with mutex.lock() as guard:
                    guard.value.append(number)
                    if held:
                        changed.notify_one()
                if not held:
                    changed.notify_one()

        for body in (consume, produce, consume):
            bundle.Thread(target=body).start()
        return lambda: sorted(got) == [0, 1]

    report = explore(scenario, max_schedules=1500)
    assert not report.failures, report
    assert report.schedules > 300


def test_a_change_without_the_mutex_is_what_loses_it() -> None:
    """The check can fail: the value must change under the mutex."""

    def scenario(bundle: Any) -> None:
        mutex: Mutex[list[int]] = Mutex([], primitives=bundle)
        changed = Condvar(mutex)
        queue = mutex._value

        def consume() -> None:
            with mutex.lock() as guard:
                while not guard.value:
                    bundle.monotonic_ns()
                    changed.wait(guard)

        def produce() -> None:
            queue.append(1)
            changed.notify_one()

        bundle.Thread(target=consume).start()
        bundle.Thread(target=produce).start()

    assert explore(scenario).failures[0].kind == "deadlock"


def test_every_interleaving_of_a_timeout() -> None:
    def scenario(bundle: Any) -> Callable[[], bool]:
        mutex = Mutex(False, primitives=bundle)
        changed = Condvar(mutex)
        ended: list[bool] = []

        def wait() -> None:
            with mutex.lock() as guard:
                in_time = changed.wait_while(guard, lambda done: not done, 1.0)
                assert in_time == guard.value
                ended.append(in_time)

        def change() -> None:
            with mutex.lock() as guard:
                guard.value = True
            changed.notify_all()

        for body in (wait, change, wait):
            bundle.Thread(target=body).start()
        return lambda: len(ended) == 2 and mutex.into_inner()

    report = explore(scenario, max_schedules=1500)
    assert not report.failures, report


def test_the_mutex_is_free_during_the_wait_and_held_after() -> None:
    mutex = Mutex(0)
    changed = Condvar(mutex)
    with mutex.lock() as guard:
        waiting = guard

        def other() -> None:
            with mutex.lock(60) as own:
                with pytest.raises(GuardReleased):
                    _ = waiting.value
                own.value = 5
                changed.notify_one()

        thread = threading.Thread(target=other)
        thread.start()
        assert changed.wait_while(guard, lambda value: value == 0, 60)
        thread.join(60)
        assert guard.value == 5
        guard.value = 6
        with pytest.raises(ReentrantLockError):
            mutex.lock()
        assert mutex.statistics().locked
    assert mutex.into_inner() == 6


def test_notify_one_wakes_one_and_notify_all_all() -> None:
    mutex = Mutex(0)
    changed = Condvar(mutex)
    woken: list[int] = []

    def wait(number: int) -> None:
        with mutex.lock() as guard:
            guard.value += 1
            assert changed.wait(guard, 60)
            woken.append(number)

    threads = [threading.Thread(target=wait, args=(i,)) for i in range(4)]
    for i, thread in enumerate(threads):
        thread.start()
        while True:
            with mutex.lock() as guard:
                if guard.value == i + 1:  # and so it has let the mutex go: it waits
                    break
    changed.notify_one()
    while not woken:
        assert threads[0].is_alive() or woken
    assert woken == [0], "the one that has waited longest"
    changed.notify_all()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert sorted(woken) == [0, 1, 2, 3]


def test_a_notification_nobody_waits_for_is_not_kept() -> None:
    mutex = Mutex(0)
    changed = Condvar(mutex)
    changed.notify_one()
    changed.notify_all()
    with mutex.lock() as guard:
        assert not changed.wait(guard, 0)
        assert not changed.wait(guard, 0.01)
        assert guard.value == 0


def test_wait_while_asks_before_it_waits_and_gives_up_in_time() -> None:
    mutex = Mutex(3)
    changed = Condvar(mutex)
    asked: list[int] = []

    def never(value: int) -> bool:
        asked.append(value)
        return True

    with mutex.lock() as guard:
        assert changed.wait_while(guard, lambda _: False)
        assert changed.wait_while(guard, lambda _: False, 0)
        assert not changed.wait_while(guard, never, 0)
        assert asked == [3]
        assert not changed.wait_while(guard, never, 0.01)
        assert len(asked) >= 3, "after the last wait, too"
        with pytest.raises(ZeroDivisionError):
            changed.wait_while(guard, lambda value: value / 0)
        assert guard.value == 3


def test_foreign_and_dead_guards_are_refused() -> None:
    mutex, other = Mutex(0, name="mine"), Mutex(0, name="other")
    changed = Condvar(mutex)
    with other.lock() as foreign:
        for asking in (changed.wait, lambda g: changed.wait_while(g, bool)):
            with pytest.raises(ForeignGuard, match=r"'mine'.*'other'") as caught:
                asking(foreign)
            assert isinstance(caught.value, ValueError)
        assert foreign.value == 0
    with mutex.lock() as dead:
        pass
    with pytest.raises(GuardReleased):
        changed.wait(dead)
    for thing in (None, RwLock(0).write(), 3):
        with pytest.raises(TypeError):
            changed.wait(thing)  # type: ignore[arg-type]
        if hasattr(thing, "release"):
            thing.release()
    with pytest.raises(TypeError):
        Condvar(threading.Lock())  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        copy.copy(changed)


@pytest.mark.parametrize("timeout", [-1, math.nan, True, "1"])
def test_a_timeout_that_is_none(timeout: Any) -> None:
    mutex = Mutex(0)
    changed = Condvar(mutex)
    with mutex.lock() as guard:
        for asking in (changed.wait, lambda g, t: changed.wait_while(g, lambda _: True, t)):
            with pytest.raises((TypeError, ValueError)):
                asking(guard, timeout)
        assert guard.value == 0, "the mutex was not let go"


def test_poison_that_came_during_the_wait_is_seen() -> None:
    mutex = Mutex([1])
    changed = Condvar(mutex)

    def fail() -> None:
        try:
            with mutex.lock(60) as guard:
                guard.value.append(2)
                raise KeyError
        finally:
            changed.notify_one()

    with mutex.lock() as guard:
        thread = threading.Thread(target=lambda: run(fail))
        thread.start()
        with pytest.raises(PoisonError, match="KeyError") as caught:
            changed.wait(guard, 60)
        thread.join(60)
        assert caught.value.guard is guard
        assert guard.value == [1, 2]
        with pytest.raises(PoisonError):
            changed.wait(guard, 0)
        mutex.clear_poison()
        assert not changed.wait(guard, 0)
    assert mutex.into_inner() == [1, 2]


def test_a_mutex_that_was_taken_apart_during_the_wait() -> None:
    mutex = Mutex([1])
    changed = Condvar(mutex)

    def take() -> None:
        assert mutex.into_inner() == [1]
        changed.notify_all()

    guard = mutex.lock()
    thread = threading.Thread(target=take)
    thread.start()
    with pytest.raises(LockConsumed):
        changed.wait(guard, 60)
    thread.join(60)
    with pytest.raises(GuardReleased):
        _ = guard.value


def test_ranks_are_kept_over_a_wait() -> None:
    low, middle, high = Mutex(0, rank=1), Mutex(0, rank=2), Mutex(0, rank=3)
    changed = Condvar(middle)
    with low.lock(), middle.lock() as guard:
        assert not changed.wait(guard, 0)
        with high.lock():
            with pytest.raises(LockOrderViolation):
                changed.wait(guard, 0)
            assert guard.value == 0, "refused before the mutex was let go"
    with low.lock():
        pass


def test_a_guard_lost_after_a_wait_still_poisons() -> None:
    mutex = Mutex(0)
    changed = Condvar(mutex)

    def forget() -> None:
        changed.wait(mutex.lock(), 0)

    with pytest.warns(LostGuard):
        assert run(forget) == []
    assert mutex.is_poisoned


def test_ctrl_c_while_waiting_leaves_the_guard_valid() -> None:
    code = (
        "import signal, threading\n"
        "from meridian.foundation.sync import Condvar, Mutex\n"
        "mutex = Mutex(0)\n"
        "changed = Condvar(mutex)\n"
        "def strike():\n"
        "    with mutex.lock() as guard:\n"  # when the wait has let it go
        "        guard.value = 7\n"
        "    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)\n"
        "with mutex.lock() as guard:\n"
        "    thread = threading.Thread(target=strike)\n"
        "    thread.start()\n"
        "    try:\n"
        "        while True:\n"
        "            changed.wait(guard)\n"
        "    except KeyboardInterrupt:\n"
        "        print(guard.value, mutex.statistics().locked)\n"
        "thread.join()\n"
        "print(mutex)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.stdout == "7 True\n<An unnamed Mutex: free>\n", ended.stderr
