"""The search of schedules: it finds the classic bugs, passes what is right, and leaves nothing."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import Any

import pytest

from meridian.testing import explore, replay
from meridian.testing.interleave import (
    Bundle,
    ScenarioStuck,
)
from tests.testing.interleave_rig import (
    bounded_buffer,
    lock_order,
    locked_update,
    lost_update,
    only,
    start,
)

# Programs with a bug.


def missed_notify(bundle: Bundle) -> None:
    """The flag is read outside of the lock: the notification may come before the wait."""
    lock = bundle.Lock()
    ready = bundle.Condition(lock)
    flag = [False]

    def waits() -> None:
        if not flag[0]:
            with lock:
                ready.wait()

    def notifies() -> None:
        with lock:
            flag[0] = True
            ready.notify()

    start(bundle, waits, notifies)


def if_instead_of_while(bundle: Bundle) -> None:
    """Two consumers, one item: the second is woken, and finds that the first one took it."""
    lock = bundle.Lock()
    ready = bundle.Condition(lock)
    items: list[int] = []

    def consumer() -> None:
        with lock:
            if not items:
                ready.wait()
            items.pop()

    def second() -> None:
        consumer()

    def producer() -> None:
        for item in range(2):
            with lock:
                items.append(item)
                ready.notify()

    start(bundle, consumer, second, producer)


def double_check(bundle: Bundle) -> Any:
    """Check without the lock, then make under it without a second check."""
    lock = bundle.Lock()
    made: list[object] = []

    def make() -> None:
        if not made:
            with lock:
                made.append(object())

    def make_too() -> None:
        make()

    start(bundle, make, make_too)
    return lambda: len(made) == 1


def waits_in_a_circle(bundle: Bundle) -> None:
    """Each gives way to the other politely, for ever."""
    lock = bundle.Lock()
    turn = [0]

    def give_way(me: int) -> None:
        while True:
            with lock:
                if turn[0] == 2:
                    return
                turn[0] = 1 - me

    def first() -> None:
        give_way(0)

    def second() -> None:
        give_way(1)

    start(bundle, first, second)


def wrong_one_notified(bundle: Bundle) -> None:
    """One condition for producers and consumers: `notify` may wake one that cannot go on."""
    lock = bundle.Lock()
    changed = bundle.Condition(lock)
    items: list[int] = []

    def put() -> None:
        with lock:
            while items:
                changed.wait()
            items.append(1)
            changed.notify()

    def take() -> None:
        with lock:
            while not items:
                changed.wait()
            items.pop()
            changed.notify()

    def put_1() -> None:
        put()

    def put_2() -> None:
        put()

    def take_1() -> None:
        take()

    def take_2() -> None:
        take()

    start(bundle, put_1, put_2, take_1, take_2)


def raises(bundle: Bundle) -> None:
    def divide() -> None:
        with bundle.Lock():
            1 / 0  # noqa: B018

    start(bundle, divide)


def timeout_taken_for_failure(bundle: Bundle) -> Any:
    """Believes the result of `wait` instead of looking: the item may have come all the same."""
    lock = bundle.Lock()
    ready = bundle.Condition(lock)
    items: list[int] = []
    outcome: list[str] = []

    def take() -> None:
        with lock:
            if not items and not ready.wait(timeout=1):
                outcome.append("nothing came")
            else:
                outcome.append(f"took {items.pop()}")

    def put() -> None:
        with lock:
            items.append(7)
            ready.notify()

    start(bundle, take, put)
    return lambda: not (outcome == ["nothing came"] and items)


BUGS = [
    (lost_update, "assert"),
    (lock_order, "deadlock"),
    (missed_notify, "lost-wakeup"),
    (if_instead_of_while, "exception"),
    (double_check, "assert"),
    (waits_in_a_circle, "livelock"),
    (wrong_one_notified, "lost-wakeup"),
    (raises, "exception"),
    (timeout_taken_for_failure, "assert"),
]


@pytest.mark.parametrize(("scenario", "kind"), BUGS, ids=[bug.__name__ for bug, _ in BUGS])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_classic_bug_is_found_and_its_interleaving_runs_again(
    scenario: Any, kind: str, seed: int
) -> None:
    failure = only(explore(scenario, seed=seed, max_steps=1_000))
    assert failure.kind == kind
    again = replay(failure.trace)
    assert again == failure
    assert again is not None
    assert again.trace.steps == failure.trace.steps


# Programs that are right.


def spin_until_set(bundle: Bundle) -> None:
    """Wasteful, but not wrong: under a fair scheduler it ends."""
    lock = bundle.Lock()
    flag = [False]

    def spins() -> None:
        while True:
            with lock:
                if flag[0]:
                    return

    def sets() -> None:
        with lock:
            flag[0] = True

    start(bundle, spins, sets)


def patient_taker(bundle: Bundle) -> Any:
    lock = bundle.Lock()
    ready = bundle.Condition(lock)
    items: list[int] = []
    outcome: list[object] = []

    def take() -> None:
        with ready:
            outcome.append(ready.wait_for(lambda: items, timeout=1) and items.pop())

    def put() -> None:
        with ready:
            items.append(7)
            ready.notify()

    start(bundle, take, put)
    return lambda: outcome == [7] or items == [7]


@pytest.mark.parametrize("scenario", [locked_update, bounded_buffer, spin_until_set, patient_taker])
def test_a_right_program_passes(scenario: Any) -> None:
    report = explore(scenario, max_schedules=1_500)
    assert report.failures == ()
    assert report.schedules > 4
    assert report.steps > report.schedules


def test_a_timeout_strikes_in_some_schedule_and_not_in_others() -> None:
    seen: set[bool] = set()

    def scenario(bundle: Bundle) -> None:
        lock = bundle.Lock()
        ready = bundle.Condition(lock)

        def waits() -> None:
            with ready:
                before = bundle.monotonic_ns()
                notified = ready.wait(timeout=5)
                seen.add(notified)
                assert notified or bundle.monotonic_ns() >= before + 5_000_000_000

        def notifies() -> None:
            with ready:
                ready.notify()

        start(bundle, waits, notifies)

    began = time.monotonic()
    report = explore(scenario)
    assert report.failures == ()
    assert seen == {False, True}
    assert time.monotonic() - began < 60  # five virtual seconds, many times over


# What is left behind.


def threads_of_process() -> int:
    return len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 0


@pytest.mark.parametrize("scenario", [bug for bug, _ in BUGS], ids=lambda bug: bug.__name__)
def test_no_thread_is_left(scenario: Any) -> None:
    names, threads = set(threading.enumerate()), threads_of_process()
    explore(scenario, max_steps=500, max_failures=3, max_schedules=60)
    assert set(threading.enumerate()) == names
    deadline = time.monotonic() + 30
    while threads_of_process() > threads:  # a joined thread is gone from the system a little later
        assert time.monotonic() < deadline


def test_an_abandoned_thread_leaves_its_blocks() -> None:
    left: list[str] = []

    def scenario(bundle: Bundle) -> None:
        lock = bundle.Lock()

        def stuck() -> None:
            try:
                with lock, lock:
                    left.append("never")
            finally:
                left.append("finally")

        start(bundle, stuck)

    assert only(explore(scenario)).kind == "deadlock"
    assert set(left) == {"finally"}


def test_a_daemon_may_wait_for_ever() -> None:
    def scenario(bundle: Bundle) -> None:
        ready = bundle.Condition()

        def serve() -> None:
            with ready:
                ready.wait()

        bundle.Thread(target=serve, daemon=True).start()

    assert explore(scenario).failures == ()


def test_a_loop_without_an_operation_is_stopped() -> None:
    def scenario(bundle: Bundle) -> None:
        def spin() -> None:
            while True:
                pass

        start(bundle, spin)

    before = set(threading.enumerate())
    failure = only(explore(scenario, stall_s=0.2))
    assert failure.kind == "livelock"
    assert "no step in 0.2 s" in failure.message
    assert set(threading.enumerate()) == before


def test_a_wait_outside_of_the_bundle_is_named_with_its_place() -> None:
    lock = threading.Condition()

    def scenario(bundle: Bundle) -> None:
        def waits() -> None:
            with lock:
                lock.wait(3)

        start(bundle, waits)

    with pytest.raises(ScenarioStuck, match=r"Thread waits .* test_interleave\.py:\d+ in .*waits"):
        explore(scenario, stall_s=0.1)


def test_a_thread_that_swallows_everything_is_named() -> None:
    def scenario(bundle: Bundle) -> None:
        lock = bundle.Lock()

        def swallow() -> None:
            while True:
                with contextlib.suppress(BaseException):
                    lock.acquire()

        start(bundle, swallow)

    with pytest.raises(ScenarioStuck, match="Thread swallow cannot be unwound") as caught:
        explore(scenario)
    assert caught.value.thread == "swallow"


def test_locals_of_a_thread_do_not_reach_the_next_run() -> None:
    local = threading.local()

    def scenario(bundle: Bundle) -> None:
        def body() -> None:
            assert not hasattr(local, "seen")
            local.seen = True

        start(bundle, body)
        start(bundle, body)

    assert explore(scenario).failures == ()
