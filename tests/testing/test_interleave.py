"""The search of schedules: it finds the classic bugs, passes what is right, and leaves nothing."""

from __future__ import annotations

import contextlib
import os
import pickle
import threading
import time
from itertools import count
from typing import Any

import pytest

from meridian.testing import explore, replay
from meridian.testing.interleave import (
    Bundle,
    Failure,
    NotDeterministic,
    Report,
    ScenarioStuck,
    Trace,
)


def only(report: Report) -> Failure:
    assert len(report.failures) == 1, report
    return report.failures[0]


def start(bundle: Bundle, *bodies: Any) -> None:
    threads = [bundle.Thread(target=body, name=body.__name__) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# Programs with a bug.


def lost_update(bundle: Bundle) -> Any:
    """Read under the lock, write under the lock, but the lock is let go between."""
    lock = bundle.Lock()
    box = [0]

    def add() -> None:
        with lock:
            seen = box[0]
        with lock:
            box[0] = seen + 1

    def add_too() -> None:
        add()

    start(bundle, add, add_too)
    return lambda: box == [2]


def lock_order(bundle: Bundle) -> None:
    fork = bundle.Lock()
    knife = bundle.Lock()

    def left() -> None:
        with fork, knife:
            pass

    def right() -> None:
        with knife, fork:
            pass

    start(bundle, left, right)


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


def locked_update(bundle: Bundle) -> Any:
    lock = bundle.Lock()
    box = [0]

    def add() -> None:
        with lock:
            box[0] += 1

    def add_too() -> None:
        add()

    start(bundle, add, add_too)
    return lambda: box == [2]


def bounded_buffer(bundle: Bundle) -> Any:
    lock = bundle.Lock()
    room = bundle.Condition(lock)
    filled = bundle.Condition(lock)
    items: list[int] = []
    taken: list[int] = []

    def producer() -> None:
        for item in range(2):
            with lock:
                while items:
                    room.wait()
                items.append(item)
                filled.notify()

    def second() -> None:
        producer()

    def consumer() -> None:
        for _ in range(4):
            with lock:
                while not items:
                    filled.wait()
                taken.append(items.pop())
                room.notify()

    start(bundle, producer, second, consumer)
    return lambda: sorted(taken) == [0, 0, 1, 1]


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


# The search itself.


def schedules_of(scenario: Any, **options: Any) -> list[str]:
    """The order of the marks that the scenario makes, one text for each schedule."""
    orders: list[str] = []

    def marked(bundle: Bundle) -> Any:
        marks: list[str] = []
        scenario(bundle, marks.append)
        return lambda: orders.append("".join(marks))

    explore(marked, **options)
    return orders


def two_by_two(bundle: Bundle, mark: Any) -> None:
    lock = bundle.Lock()

    def a() -> None:
        for _ in range(2):
            lock.locked()
            mark("a")

    def b() -> None:
        for _ in range(2):
            lock.locked()
            mark("b")

    start(bundle, a, b)


def test_every_order_is_run_when_the_bound_allows_it() -> None:
    orders = schedules_of(two_by_two, preemptions=4)
    assert set(orders) == {"aabb", "abab", "abba", "baab", "baba", "bbaa"}


def test_a_bound_of_none_changes_threads_only_where_one_must_wait_or_ends() -> None:
    assert set(schedules_of(two_by_two, preemptions=0)) == {"aabb", "bbaa"}


def test_no_schedule_is_run_twice() -> None:
    choices: list[tuple[str, ...]] = []

    def scenario(bundle: Bundle) -> Any:
        marks: list[str] = []
        lock = bundle.Lock()

        def a() -> None:
            marks.append("a")
            lock.locked()
            marks.append("a")

        def b() -> None:
            marks.append("b")
            lock.locked()
            marks.append("b")

        threads = [bundle.Thread(target=body) for body in (a, b)]
        for thread in threads:
            thread.start()
            marks.append("s")
        return lambda: choices.append(tuple(marks))

    report = explore(scenario, preemptions=5)
    assert report.complete
    assert len(choices) == report.schedules
    assert len(set(choices)) >= 10


def test_the_first_failure_takes_the_fewest_preemptions() -> None:
    failure = only(explore(lost_update))
    running = failure.trace.steps[0].thread
    changes = 0
    ended: set[str] = set()
    for step in failure.trace.steps:
        if step.thread != running:
            changes += running not in ended and running != "main"
            running = step.thread
        if step.operation == "end":
            ended.add(step.thread)
    assert changes == 1


def test_a_seed_finds_the_same_and_more_failures_are_of_different_sorts() -> None:
    first = explore(lock_order, seed=5)
    second = explore(lock_order, seed=5)
    assert first == second

    def two_bugs(bundle: Bundle) -> Any:
        lock_order(bundle)
        return lost_update(bundle)

    report = explore(two_bugs, max_failures=2, preemptions=1)
    assert {failure.kind for failure in report.failures} == {"deadlock", "assert"}


def test_a_space_too_large_is_sampled_to_its_end_by_chance() -> None:
    report = explore(bounded_buffer, preemptions=6, max_schedules=200)
    assert report.schedules == 200
    assert not report.complete
    assert "200 schedules, not all" in str(report)


def test_chance_finds_what_the_bound_leaves_out() -> None:
    """Three preemptions are needed; the bound is one, and too large for the schedules given."""

    def scenario(bundle: Bundle) -> Any:
        lock = bundle.Lock()
        order: list[str] = []

        def a() -> None:
            for _ in range(3):
                lock.locked()
                order.append("a")

        def b() -> None:
            for _ in range(3):
                lock.locked()
                order.append("b")

        start(bundle, a, b)
        return lambda: "".join(order) not in ("ababab", "bababa", "abbaab", "baabba")

    within = explore(scenario, preemptions=1, max_schedules=4_000)
    assert within.complete
    assert within.failures == ()
    assert only(explore(scenario, preemptions=9, max_schedules=2_000)).kind == "assert"


def test_every_bytecode_is_a_point_where_it_is_asked_for() -> None:
    """`n += 1` without a lock: no operation of the bundle stands inside, a bytecode does."""

    def scenario(bundle: Bundle) -> Any:
        box = [0]

        def add() -> None:
            box[0] += 1

        def add_too() -> None:
            box[0] += 1

        start(bundle, add, add_too)
        return lambda: box == [2]

    assert explore(scenario).failures == ()
    failure = only(explore(scenario, preempt_in=[__file__]))
    assert failure.kind == "assert"
    assert replay(failure.trace) == failure
    assert "bytecode" in str(failure.trace)


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


# What is refused.


def test_a_scenario_that_differs_from_run_to_run_is_refused() -> None:
    runs = count()

    def scenario(bundle: Bundle) -> None:
        lock = bundle.Lock()

        def body() -> None:
            lock.locked()

        def other() -> None:
            lock.locked()

        start(bundle, *((body,) if next(runs) % 3 else (body, other)))

    with pytest.raises(NotDeterministic, match="build everything anew"):
        explore(scenario)


def test_a_lock_of_an_earlier_run_is_refused() -> None:
    kept: list[Any] = []

    def scenario(bundle: Bundle) -> None:
        if not kept:
            kept.append(bundle.Lock())
        start(bundle, bundle.Lock().locked, bundle.Lock().locked)
        with kept[0]:
            pass

    with pytest.raises(NotDeterministic, match="an earlier one"):
        explore(scenario)


def test_a_lock_is_refused_outside_of_its_run() -> None:
    kept: list[Any] = []
    explore(lambda bundle: kept.append(bundle.Lock()))
    with pytest.raises(RuntimeError, match="belongs to its run"):
        kept[0].acquire()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"preemptions": -1}, ValueError),
        ({"preemptions": True}, TypeError),
        ({"max_schedules": 0}, ValueError),
        ({"max_steps": 1.5}, TypeError),
        ({"max_failures": 0}, ValueError),
    ],
)
def test_options_are_checked(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(options))):
        explore(locked_update, **options)


# The primitives answer as those of `threading` do.


def misuse(use: Any) -> Failure:
    return only(explore(lambda bundle: use(bundle)))


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda b: b.Lock().release(), "release unlocked lock"),
        (lambda b: b.Lock().acquire(False, 1), "non-blocking"),
        (lambda b: b.Lock().acquire(True, -2), "non-negative"),
        (lambda b: b.Condition().wait(), "un-acquired"),
        (lambda b: b.Condition().notify(), "un-acquired"),
        (lambda b: b.Condition(threading.Lock()), "lock of the bundle"),
        (lambda b: b.Thread().join(), "before it is started"),
        (lambda b: (t := b.Thread(), t.start(), t.start()), "only be started once"),
        (lambda b: b.Thread(7), "no group"),
    ],
)
def test_misuse_is_refused_as_in_threading(use: Any, message: str) -> None:
    failure = misuse(use)
    assert failure.kind == "exception"
    assert message in failure.message


def test_locks_answer_as_those_of_threading() -> None:
    def scenario(bundle: Bundle) -> None:
        lock = bundle.Lock()
        assert lock.acquire()
        assert lock.locked()
        assert not lock.acquire(False)
        assert not lock.acquire(timeout=0)
        assert not lock.acquire(timeout=2)
        lock.release()
        assert not lock.locked()
        with lock as got:
            assert got is True
        thread = bundle.Thread(target=lock.acquire, args=(True,), kwargs={"timeout": 1})
        assert not thread.is_alive()
        assert thread.ident is None
        thread.start()
        thread.join()
        assert not thread.is_alive()
        assert lock.locked()

    assert explore(scenario).failures == ()


def test_a_thread_cannot_join_itself() -> None:
    def scenario(bundle: Bundle) -> None:
        threads: list[Any] = []
        threads.append(bundle.Thread(target=lambda: threads[0].join()))
        threads[0].start()

    assert "cannot join current thread" in only(explore(scenario)).message


def test_notify_wakes_the_oldest_and_notify_all_wakes_all() -> None:
    def scenario(bundle: Bundle) -> Any:
        lock = bundle.Lock()
        ready = bundle.Condition(lock)
        order: list[int] = []
        woken: list[int] = []

        def wait(number: int) -> None:
            with lock:
                order.append(number)
                ready.wait()
                woken.append(number)

        threads = [bundle.Thread(target=wait, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        while True:
            with lock:
                if len(order) == 3:
                    ready.notify()
                    break
        threads[order[0]].join()
        with lock:
            assert woken == order[:1]
            ready.notify_all()
        return lambda: sorted(woken) == [0, 1, 2]

    assert explore(scenario, max_schedules=300).failures == ()


def test_system_exit_ends_a_thread_in_silence() -> None:
    def leave() -> None:
        raise SystemExit(3)

    assert explore(lambda bundle: start(bundle, leave)).failures == ()


# Records.


def test_a_trace_is_drawn_with_a_column_for_each_thread() -> None:
    trace = only(explore(lock_order)).trace
    head, *rows = str(trace).splitlines()
    assert head.split() == ["main", "left", "right"]
    assert len(rows) == len(trace) == len(trace.steps)
    assert "  acquire lock `fork`" in str(trace)
    assert "stuck: acquire lock `fork`" in str(trace)
    assert "stuck: acquire lock `knife`" in str(trace)
    assert "test_interleave.py:" in str(trace)
    assert {step.thread for step in trace.steps} == set(trace.threads)
    assert [step.clock_ns for step in trace.steps] == sorted(s.clock_ns for s in trace.steps)


def test_a_trace_tells_locks_apart_that_one_line_makes() -> None:
    class Account:
        def __init__(self, bundle: Bundle, name: str | None = None) -> None:
            self.lock = bundle.Lock()
            self.name = name

    def scenario(bundle: Bundle) -> Any:
        account = Account(bundle)
        named = Account(bundle, "savings")
        for thing in (account, named, Account(bundle, "savings")):
            with thing.lock:
                pass
        return lambda: False

    trace = only(explore(scenario)).trace
    targets = [step.target for step in trace.steps if step.operation == "acquire"]
    assert targets == ["lock `account.lock`", "lock `savings.lock`", "lock `savings.lock 2`"]


def test_a_trace_goes_through_a_pickle_and_is_replayed_with_its_scenario() -> None:
    failure = only(explore(lock_order))
    copy: Trace = pickle.loads(pickle.dumps(failure.trace))
    assert copy == failure.trace
    assert replay(copy, lock_order) == failure
    with pytest.raises(ValueError, match="a pickled trace has none"):
        replay(copy)


def test_a_repaired_program_does_not_fail_under_the_schedule() -> None:
    trace = only(explore(lost_update)).trace

    def repaired(bundle: Bundle) -> Any:
        """The same operations, and a check that holds for what they do."""
        lost_update(bundle)

    assert replay(trace, repaired) is None
    with pytest.raises(NotDeterministic):
        replay(trace, locked_update)


def test_an_interrupt_of_the_caller_unwinds_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from meridian.testing.interleave import run

    calls = count()
    real = run.Run._await

    def interrupted(self: Any) -> None:
        if next(calls) == 3:
            raise KeyboardInterrupt
        real(self)

    monkeypatch.setattr(run.Run, "_await", interrupted)
    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        explore(bounded_buffer)
    assert set(threading.enumerate()) == before
