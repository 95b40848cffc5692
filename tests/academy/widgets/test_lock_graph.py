"""The pictures of locks: what is told of a schedule agrees with lockdep, and is drawn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from svg_words import words

from meridian.academy.widgets.lock_graph import (
    RULES,
    Philosophers,
    ScheduleStepper,
    dinner,
    show_locks,
)
from meridian.academy.widgets.lock_story import (
    Order,
    Scene,
    circle,
    in_order,
    scene_of,
    seating,
    tell,
)
from meridian.academy.widgets.lock_svg import Box, paint_order, paint_round, summary
from meridian.academy.widgets.schedule_svg import paint_schedule
from meridian.foundation.sync import Mutex, enable_lockdep, lockdep_report
from meridian.foundation.sync.lockdep import LockNode, ThreadState, disable_lockdep
from meridian.testing.interleave import Bundle, Failure, explore

PAIR = (LockNode("queue", None), LockNode("<table>", None))
STUCK = Scene(
    (ThreadState("a", ("queue",), "<table>"), ThreadState("b", ("<table>",), "queue")),
    PAIR,
    (Order("queue", "<table>", "a"), Order("<table>", "queue", "b")),
)


@pytest.fixture
def lockdep() -> Iterator[None]:
    enable_lockdep()
    yield
    disable_lockdep()


def inner(parts: Any) -> list[str]:
    return words(f"<svg>{''.join(parts)}</svg>")


def failing(scenario: Any, **options: Any) -> Failure:
    (failure,) = explore(scenario, **options).failures
    return failure


def two_locks(bundle: Bundle) -> None:
    queue = bundle.Lock()
    table = bundle.Lock()

    def ingress() -> None:
        with queue, table:
            pass

    def dispatch() -> None:
        with table, queue:
            pass

    threads = [bundle.Thread(target=body, name=body.__name__) for body in (ingress, dispatch)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_circle_goes_from_thread_to_lock_to_holder() -> None:
    assert circle(STUCK) == ("a", "<table>", "b", "queue")
    waits = Scene((ThreadState("a", (), "queue"), ThreadState("b", ("queue",), None)), PAIR)
    assert circle(waits) == ()
    assert summary(waits) == "a waits for queue"
    assert summary(STUCK) == "deadlock: a waits for <table>, b waits for queue"
    assert summary(Scene((), ())) == "nobody waits for a lock"


def test_a_thread_that_waits_for_a_deadlock_is_not_part_of_it() -> None:
    scene = Scene((ThreadState("c", (), "queue"), *STUCK.threads), PAIR)
    assert circle(scene) == ("a", "<table>", "b", "queue")


def test_locks_stand_in_an_order_that_all_arcs_follow_if_there_is_one() -> None:
    a, b, c = (LockNode(name, None) for name in "abc")
    orders = [Order("c", "a", "t"), Order("a", "b", "t"), Order("b", "b", "t")]
    assert [node.name for node in in_order([a, b, c], orders)] == ["c", "a", "b"]
    circular = [Order("a", "b", "t"), Order("b", "a", "t")]
    assert [node.name for node in in_order([a, b], circular)] == ["a", "b"]
    ranked = [LockNode("a", 2), LockNode("b", 1)]
    assert [node.name for node in in_order(ranked, [])] == ["b", "a"]


def test_forks_lie_between_those_who_use_them() -> None:
    pairs = [(f"P{n}", f"fork {m}") for n in range(1, 5) for m in (n, n % 4 + 1)]
    seats = seating([f"P{n}" for n in range(1, 5)], [f"fork {n}" for n in range(1, 5)], pairs)
    assert seats == ["fork 2", "fork 3", "fork 4", "fork 1"]


def test_the_order_says_whether_there_is_one() -> None:
    box = Box(0, 0, 300, 140)
    said = inner(paint_order(STUCK, box))
    assert "an arc leads back: <table> → queue. There is no order" in said
    good = Scene(STUCK.threads, PAIR, STUCK.orders[:1])
    assert "every arc leads to the right: there is an order" in inner(paint_order(good, box))
    assert inner(paint_order(Scene((), ()), box)) == []
    itself = Scene((), PAIR[:1], (Order("queue", "queue", "a"),))
    assert "an arc leads back: queue → queue. There is no order" in inner(paint_order(itself, box))


def test_the_round_names_everybody_and_calls_a_deadlock_so() -> None:
    box = Box(0, 0, 300, 200)
    said = inner(paint_round(STUCK, box))
    assert {"a", "b", "queue", "<table>", "deadlock"} <= set(said)
    alone = Scene((ThreadState("a", ("x",), None), ThreadState("b", (), "x")), (LockNode("x", 4),))
    assert {"a", "b", "x · 4"} == set(inner(paint_round(alone, box)))
    asleep = Scene(alone.threads, alone.locks, (), (("b", "ready"),))
    assert "asleep on ready" in inner(paint_round(asleep, box))


def test_a_plain_deadlock_is_told_to_its_circle() -> None:
    events = tell(failing(two_locks))
    assert {event.thread for event in events} == {"ingress", "dispatch"}
    assert [event.said for event in events if event.kind == "takes"] in (
        ["takes queue", "takes table"],
        ["takes table", "takes queue"],
    )
    assert [event.said for event in events[-2:]] == ["✘ for ever"] * 2
    assert set(circle(events[-1].scene)) == {"ingress", "dispatch", "queue", "table"}


@pytest.mark.parametrize("count", [2, 3, 4])
def test_orders_told_of_a_schedule_are_those_lockdep_saw(count: int, lockdep: None) -> None:
    failure = failing(dinner(count, RULES[0]), preemptions=count - 1)
    told = {(order.held, order.wanted) for order in tell(failure)[-1].scene.orders}
    seen = {(order.held, order.wanted) for order in scene_of(lockdep_report()).orders}
    assert told == seen
    assert len(told) == count
    assert len(circle(tell(failure)[-1].scene)) == 2 * count


def test_a_sleeper_lets_its_lock_go_and_is_drawn_asleep() -> None:
    def scenario(bundle: Bundle) -> None:
        lock = bundle.Lock()
        ready = bundle.Condition(lock)

        def consumer() -> None:
            with lock:
                ready.wait()

        def producer() -> None:
            with lock:
                ready.notify()

        for body in (consumer, producer):
            bundle.Thread(target=body, name=body.__name__).start()

    events = tell(failing(scenario))
    assert events[-1].said == "✘ sleeps for ever"
    assert events[-1].scene.asleep == (("consumer", "ready"),)
    assert all(not state.holds for state in events[-1].scene.threads)
    assert "notifies ready" in [event.said for event in events]


def test_an_error_in_a_thread_ends_the_story() -> None:
    failure = failing(dinner(2, RULES[1]))
    last = tell(failure, {"fork 1": 1, "fork 2": 2})[-1]
    assert (last.thread, last.said) == ("P2", "✘ LockOrderViolation")
    assert "fork 1 · 1" in words(paint_schedule([last], 0))


def test_a_schedule_without_locks_is_refused() -> None:
    def scenario(bundle: Bundle) -> Any:
        return lambda: False

    with pytest.raises(ValueError, match="at least one lock operation"):
        ScheduleStepper(failing(scenario))


def test_the_stepper_shows_the_chosen_step() -> None:
    stepper = ScheduleStepper(failing(two_locks), title="Two locks")
    assert stepper.step.value == stepper.step.max
    assert "deadlock" in words(stepper.svg())
    back, forward = stepper.buttons.values()
    back.click()
    forward.click()
    forward.click()
    assert stepper.step.value == stepper.step.max
    stepper.step.value = 1
    assert "deadlock" not in words(stepper.svg())
    assert "▸1" in words(stepper._view.value)
    assert "Two locks" in stepper.static_text()


def test_philosophers_under_each_rule() -> None:
    table = Philosophers(3)
    assert table.report is not None
    assert table.report.failures[0].kind == "deadlock"
    assert "every thread waits" in table.said
    table.rule.value = RULES[1]
    assert "LockOrderViolation" in table.said
    table.count.value = 2
    table.rule.value = RULES[2]
    assert table.report.failures == ()
    assert table.said.startswith("all ")
    assert "none fails" in table._said.value
    assert table.events[table.step.value - 1].kind == "wants"


def test_the_report_of_real_threads_is_a_picture(lockdep: None) -> None:
    queue, table = Mutex(0, name="queue"), Mutex(0, name="table")
    with queue.lock(), table.lock():
        held = show_locks(lockdep_report(), "held")
    with table.lock(), queue.lock():
        shown = show_locks(lockdep_report())
    assert "held" in words(held.svg)
    assert "every arc leads to the right: there is an order" in words(held.svg)
    assert repr(shown).endswith("1 contradictions in the order of locks")
