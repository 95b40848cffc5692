"""Lockdep: a contradiction of orders is told the first time, with both stacks, and once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from random import Random

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from meridian.foundation.sync import order
from meridian.foundation.sync.condvar import Condvar
from meridian.foundation.sync.lockdep import (
    LockCycle,
    LockdepReport,
    disable_lockdep,
    enable_lockdep,
    lockdep_report,
)
from meridian.foundation.sync.mutex import LostGuard, Mutex
from meridian.foundation.sync.rwlock import RwLock


@pytest.fixture(autouse=True)
def lockdep() -> Iterator[None]:
    disable_lockdep()
    with structlog.testing.capture_logs():
        enable_lockdep()
        yield
        disable_lockdep()


def run(body: Callable[[], object], name: str = "other") -> None:
    thread = threading.Thread(target=body, name=name)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()


def nest(*locks: Mutex[None]) -> None:
    """Take them in order, one inside of the other."""
    if locks:
        with locks[0].lock():
            nest(*locks[1:])


def mutexes(names: str) -> list[Mutex[None]]:
    return [Mutex(None, name=name) for name in names]


def takes_a_then_b(a: Mutex[None], b: Mutex[None]) -> None:
    with a.lock(), b.lock():
        pass


def takes_b_then_a(a: Mutex[None], b: Mutex[None]) -> None:
    with b.lock():
        a.lock().release()


def test_the_first_contradiction_is_told_with_both_stacks() -> None:
    a, b = mutexes("ab")
    takes_a_then_b(a, b)
    assert lockdep_report().cycles == ()
    with structlog.testing.capture_logs() as logs:
        run(lambda: takes_b_then_a(a, b), "reverser")
    report = lockdep_report()
    assert [node.name for node in report.nodes] == ["a", "b"]
    assert [(edge.held, edge.wanted) for edge in report.edges] == [("a", "b"), ("b", "a")]
    (cycle,) = report.cycles
    assert cycle.names == ("b", "a", "b")
    first, second = cycle.edges
    assert first.thread == "reverser"
    assert second.thread == threading.current_thread().name
    for edge, function in ((first, "takes_b_then_a"), (second, "takes_a_then_b")):
        for stack in (edge.held_stack, edge.wanted_stack):
            assert (stack[-1].filename, stack[-1].name) == (__file__, function)
            assert "lock" in (stack[-1].line or "")
    assert [(log["event"], log["cycle"]) for log in logs] == [
        ("lock_order_inconsistent", "b -> a -> b")
    ]
    text = str(report)
    assert "takes_a_then_b" in text
    assert "takes_b_then_a" in text
    assert "b -> a -> b" in text


def test_it_is_told_once() -> None:
    a, b = mutexes("ab")
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            takes_a_then_b(a, b)
            takes_b_then_a(a, b)
    assert len(lockdep_report().cycles) == len(logs) == 1


def test_a_circle_of_philosophers() -> None:
    forks = mutexes("abcde")
    for left, right in [*pairwise(forks), (forks[-1], forks[0])]:
        assert lockdep_report().cycles == ()
        nest(left, right)
    (cycle,) = lockdep_report().cycles
    assert cycle.names == ("e", "a", "b", "c", "d", "e")


def test_locks_of_one_name_inside_of_each_other() -> None:
    one, two = mutexes("ss")
    nest(one, two)
    (cycle,) = lockdep_report().cycles
    assert cycle.names == ("s", "s")


def test_unnamed_locks_are_not_watched() -> None:
    a, b = Mutex(None), Mutex(None)
    takes_a_then_b(a, b)
    takes_b_then_a(a, b)
    assert lockdep_report() == LockdepReport()


def test_who_does_not_wait_makes_no_order_but_holds() -> None:
    a, b, c = mutexes("abc")
    with a.lock():
        guard = b.try_lock()
        assert guard is not None
        with guard, c.lock():
            pass
    edges = [(edge.held, edge.wanted) for edge in lockdep_report().edges]
    assert edges == [("a", "c"), ("b", "c")]


def test_readers_and_writers_take_part() -> None:
    a, b = Mutex(0, name="a"), RwLock(0, name="b")
    with a.lock(), b.read(), b.read():
        pass
    assert lockdep_report().cycles == (), "a lock inside of itself is no order"
    with b.write():
        a.lock().release()
    assert [cycle.names for cycle in lockdep_report().cycles] == [("b", "a", "b")]


def test_waiting_for_a_condition_takes_the_mutex_again() -> None:
    a, b = Mutex(0, name="a"), Mutex(0, name="b")
    changed = Condvar(a)
    with a.lock() as guard, b.lock():
        changed.wait(guard, 0)  # wants a, holding b
    assert [cycle.names for cycle in lockdep_report().cycles] == [("b", "a", "b")]


def test_guards_that_ended_badly_are_held_no_more() -> None:
    a, b, c, d = mutexes("abcd")
    with pytest.raises(KeyError), a.lock():
        raise KeyError
    with pytest.warns(LostGuard):
        b.lock()
    guard = c.lock()
    run(guard.release)
    d.lock().release()
    assert lockdep_report().edges == ()
    assert lockdep_report().threads == ()


def test_who_holds_and_who_waits_now() -> None:
    a, b = mutexes("ab")
    waiter = threading.Thread(target=lambda: takes_b_then_a(a, b), name="waiter")
    with a.lock():
        waiter.start()
        while not a.statistics().waiting or not lockdep_report().threads[-1].waits_for:
            assert waiter.is_alive()
        seen = lockdep_report()
        assert b.try_lock() is None
    waiter.join(60)
    me = threading.current_thread().name
    states = {(state.thread, state.holds, state.waits_for) for state in seen.threads}
    assert states == {(me, ("a",), None), ("waiter", ("b",), "a")}
    assert lockdep_report().threads == ()


def test_off_it_sees_nothing_and_remembers() -> None:
    a, b = mutexes("ab")
    guard = a.lock()
    disable_lockdep()
    disable_lockdep()
    b.lock().release()
    guard.release()
    assert [node.name for node in lockdep_report().nodes] == ["a"]
    assert a._entry is None
    guard = b.lock()  # taken unseen
    enable_lockdep()
    assert lockdep_report() == LockdepReport()
    a.lock().release()
    guard.release()
    enable_lockdep()
    assert [node.name for node in lockdep_report().nodes] == ["a"], "on twice keeps what was seen"
    assert lockdep_report().edges == ()


def test_off_a_lock_without_a_rank_does_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    disable_lockdep()
    monkeypatch.setattr(order, "want", None)  # calling it would raise
    mutex, lock = Mutex(0, name="a"), RwLock(0, name="b")
    with mutex.lock(), lock.read():
        pass
    with lock.write():
        pass


def test_ranks_are_in_the_report() -> None:
    nest(Mutex(None, name="a", rank=1), Mutex(None, name="b", rank=2))
    nest(Mutex(None, name="b", rank=7))
    nest(Mutex(None, name="b", rank=2))
    assert [(n.name, n.rank) for n in lockdep_report().nodes] == [("a", 1), ("b", None)]


def test_threads_that_report_at_once() -> None:
    random = Random(3)
    locks = mutexes("abcdef")

    def body() -> None:
        for _ in range(50):
            nest(*sorted(random.sample(locks, 3), key=lambda lock: lock.name or ""))

    threads = [threading.Thread(target=body) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    report = lockdep_report()
    assert report.cycles == ()
    edges = [(edge.held, edge.wanted) for edge in report.edges]
    assert len(edges) == len(set(edges))
    assert all(held < wanted for held, wanted in edges)


def has_cycle(edges: set[tuple[str, str]]) -> bool:
    """The oracle: take away what leads nowhere until nothing, or a circle, is left."""
    while True:
        starts = {start for start, _ in edges}
        left = {edge for edge in edges if edge[1] in starts}
        if left == edges:
            return bool(edges)
        edges = left


@settings(max_examples=150)
@given(st.lists(st.lists(st.sampled_from("abcde"), max_size=4, unique=True), max_size=8))
def test_a_cycle_is_found_exactly_when_the_orders_have_one(sequences: list[list[str]]) -> None:
    disable_lockdep()
    enable_lockdep()
    locks = {name: Mutex(None, name=name) for name in "abcde"}
    seen: set[tuple[str, str]] = set()
    for sequence in sequences:
        nest(*(locks[name] for name in sequence))
        seen |= {(x, y) for i, x in enumerate(sequence) for y in sequence[i + 1 :]}
        report = lockdep_report()
        assert {(edge.held, edge.wanted) for edge in report.edges} == seen
        assert bool(report.cycles) == has_cycle(seen)
    for cycle in lockdep_report().cycles:
        assert all(is_step(cycle, i) for i in range(len(cycle.edges)))


def is_step(cycle: LockCycle, i: int) -> bool:
    return cycle.edges[i].wanted == cycle.edges[(i + 1) % len(cycle.edges)].held
