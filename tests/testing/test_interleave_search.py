"""The search of schedules: complete, without doubles, in order, seeded."""

from __future__ import annotations

from typing import Any

from meridian.testing import explore, replay
from meridian.testing.interleave import (
    Bundle,
)
from tests.testing.interleave_rig import (
    bounded_buffer,
    lock_order,
    lost_update,
    only,
    start,
)

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
