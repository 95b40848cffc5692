"""What a scenario is given answers as `threading` does; what is refused; records."""

from __future__ import annotations

import pickle
import threading
from itertools import count
from typing import Any

import pytest

from meridian.testing import explore, replay
from meridian.testing.interleave import (
    Bundle,
    Failure,
    NotDeterministic,
    Trace,
)
from tests.testing.interleave_rig import (
    bounded_buffer,
    lock_order,
    locked_update,
    lost_update,
    only,
    start,
)

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
    assert "interleave_rig.py:" in str(trace)
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
