"""The command queue: order, admission, the end, and bad input, beside a sorted list."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meridian.errors import MeridianError
from meridian.foundation import sync
from meridian.foundation.sync.cmdqueue import (
    BadCapacity,
    Command,
    CommandKind,
    CommandQueue,
    MetricsSnapshot,
    PopTimeout,
    QueueBroken,
    QueueFull,
    QueueShutdown,
    run_demo,
)
from meridian.foundation.sync.command import dispatch_key
from meridian.foundation.sync.primitives import THREADING

PATIENCE_S = 60.0  # no test waits so long unless it fails


def status(priority: int = 50, issued_at: int = 0) -> Command:
    return Command.make(CommandKind.STATUS_REQUEST, priority=priority, issued_at=issued_at)


def safe_mode(issued_at: int = 0) -> Command:
    return Command.make(CommandKind.SAFE_MODE, issued_at=issued_at)


def housekeeping(issued_at: int = 0) -> Command:
    return Command.make(CommandKind.HOUSEKEEPING, issued_at=issued_at)


class Background:
    """A call in a thread of its own, and what came of it."""

    def __init__(self, call: Callable[..., Any], *args: Any) -> None:
        self._call = call
        self._args = args
        self._result: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self._call(*self._args)
        except BaseException as error:
            self._error = error

    def result(self) -> Any:
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "still waiting"
        if self._error is not None:
            raise self._error
        return self._result


def until(condition: Callable[[], bool]) -> None:
    """Wait for another thread to get there."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "never came true"
        time.sleep(0.0005)


def blocked(queue: CommandQueue, *commands: Command) -> list[Background]:
    """A producer for each command, in this order, all asleep."""
    threads = []
    for command in commands:
        before = queue.waiting_producers
        threads.append(Background(queue.push, command))
        until(lambda: queue.waiting_producers == before + 1)  # noqa: B023
    return threads


def drain(queue: CommandQueue) -> list[Command]:
    return [queue.pop(0) for _ in range(len(queue))]  # type: ignore[misc]


def asleep(queue: CommandQueue) -> int:
    return len(queue._ledger.consumers)


# Order.


def test_the_package_hands_out_the_queue() -> None:
    assert sync.CommandQueue is CommandQueue
    assert sync.run_demo is run_demo
    assert sync.QueueShutdown is QueueShutdown


def test_dispatch_is_by_priority_then_age_then_admission() -> None:
    queue = CommandQueue(20)
    commands = [
        status(10, 5),
        status(10, 3),
        status(200, 9),
        safe_mode(7),
        status(10, 3),
        status(200, 9),
        safe_mode(2),
        status(0, -4),
    ]
    for command in commands:
        queue.push(command)
    popped = drain(queue)
    assert popped == sorted(commands, key=dispatch_key)
    places = [next(i for i, c in enumerate(commands) if c is command) for command in popped]
    assert places == [6, 3, 2, 5, 1, 4, 0, 7]  # equals in the order of admission, by identity


def test_equal_keys_never_compare_the_commands() -> None:
    queue = CommandQueue(10)
    commands = [status(5, 1) for _ in range(5)]
    queue.push_many(commands)
    assert all(a is b for a, b in zip(drain(queue), commands, strict=True))


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.sampled_from([0, 10, 199, 200, 255]), st.integers(0, 4)),
        st.tuples(st.just("pop"), st.just(0), st.just(0)),
        st.tuples(st.just("push_many"), st.sampled_from([10, 200, 255]), st.integers(0, 3)),
        st.tuples(st.just("pop_many"), st.just(0), st.integers(1, 5)),
    ),
    max_size=60,
)


@settings(max_examples=300)
@given(st.integers(1, 6), st.integers(0, 3), OPERATIONS)
def test_it_does_what_a_sorted_list_does(
    capacity: int, reserve: int, operations: list[tuple[str, int, int]]
) -> None:
    reserve = min(reserve, capacity - 1)
    queue = CommandQueue(capacity, emergency_reserve=reserve)
    model: list[tuple[tuple[int, int], int, Command]] = []
    clock = pushed = dispatched = safe = 0

    def make(priority: int, back: int) -> Command:
        nonlocal clock
        clock += 1
        kind = CommandKind.SAFE_MODE if priority == 255 else CommandKind.STATUS_REQUEST
        return Command.make(kind, priority=priority, issued_at=clock - 3 * back)

    def admit(command: Command) -> None:
        nonlocal pushed
        pushed += 1
        model.append((dispatch_key(command), pushed, command))
        model.sort(key=lambda entry: entry[:2])

    def fits(command: Command) -> bool:
        common = sum(entry[2].priority < 200 for entry in model)
        free = len(model) < capacity
        return free and (command.priority >= 200 or common < capacity - reserve)

    for operation, priority, number in operations:
        if operation == "push":
            command = make(priority, number)
            if fits(command):
                queue.push(command, timeout=0)
                admit(command)
            else:
                with pytest.raises(QueueFull):
                    queue.push(command, timeout=0)
        elif operation == "push_many":
            batch = [make(priority, 0) for _ in range(number)]
            common = sum(entry[2].priority < 200 for entry in model)
            room = capacity - len(model)
            if priority < 200:
                room = min(room, capacity - reserve - common)
            if len(batch) <= room:  # otherwise it would wait
                queue.push_many(batch)
                for command in batch:
                    admit(command)
        elif operation == "pop":
            if model:
                command = model.pop(0)[2]
                assert queue.pop(timeout=0) is command
                dispatched += 1
                safe += command.priority == 255
            else:
                with pytest.raises(PopTimeout):
                    queue.pop(timeout=0)
        elif model:
            popped = queue.pop_many(number)
            assert len(popped) == min(number, len(model))
            for command in popped:
                assert model.pop(0)[2] is command
                dispatched += 1
                safe += command.priority == 255
        assert len(queue) == len(model)
        assert queue.metrics.snapshot() == MetricsSnapshot(pushed, dispatched, safe)
    assert drain(queue) == [entry[2] for entry in model]


def test_many_late_commands_go_to_their_place() -> None:
    queue = CommandQueue(500)
    times = [(number * 193) % 500 for number in range(500)]
    for issued_at in times:
        queue.push(status(9, issued_at))
    assert [command.issued_at for command in queue.pop_many(500)] == sorted(times)


# Admission.


def test_a_waiting_safe_mode_takes_the_next_slot_and_is_the_next_pop() -> None:
    queue = CommandQueue(2)
    queue.push_many([housekeeping(1), housekeeping(2)])
    threads = blocked(queue, *(housekeeping(number) for number in range(3, 11)))
    threads += blocked(queue, safe_mode(99))
    assert (len(queue), queue.waiting_producers) == (2, 9)
    assert queue.pop() == housekeeping(1)  # its slot goes to the SAFE_MODE, within this call
    assert queue.waiting_producers == 8
    assert queue.pop() == safe_mode(99)
    rest = [queue.pop(PATIENCE_S) for _ in range(9)]
    assert [command.issued_at for command in rest if command] == list(range(2, 11))
    for thread in threads:
        thread.result()
    assert queue.metrics.snapshot() == MetricsSnapshot(11, 11, 1)


def test_producers_are_admitted_by_key_and_equals_by_arrival() -> None:
    queue = CommandQueue(1)
    first = status(1, 0)
    queue.push(first)
    waiting = [status(5, 9), status(7, 3), status(7, 1), status(5, 9), status(200, 50)]
    threads = blocked(queue, *waiting)
    popped = [queue.pop(0) for _ in range(6)]
    assert [id(c) for c in popped] == [id(first)] + [id(waiting[i]) for i in (4, 2, 1, 0, 3)]
    for thread in threads:
        thread.result()


def test_the_reserve_is_kept_for_urgent_commands() -> None:
    queue = CommandQueue(4, emergency_reserve=2)
    queue.push(housekeeping(1), timeout=0)
    queue.push(housekeeping(2), timeout=0)
    with pytest.raises(QueueFull):
        queue.push(status(199), timeout=0)
    queue.push(status(200, 3), timeout=0)
    queue.push(safe_mode(4), timeout=0)
    with pytest.raises(QueueFull):
        queue.push(safe_mode(5), timeout=0)
    (thread,) = blocked(queue, housekeeping(6))
    assert queue.pop() == safe_mode(4)  # an urgent slot: the housekeeping goes on waiting
    assert queue.pop() == status(200, 3)
    assert queue.waiting_producers == 1
    assert queue.pop() == housekeeping(1)
    thread.result()
    assert drain(queue) == [housekeeping(2), housekeeping(6)]


def test_an_emergency_enters_a_queue_full_of_housekeeping_at_once() -> None:
    queue = CommandQueue(8, emergency_reserve=1)
    queue.push_many([housekeeping(number) for number in range(7)])
    threads = blocked(queue, *(housekeeping(number) for number in range(7, 15)))
    queue.push(safe_mode(), timeout=0)
    assert queue.pop() == safe_mode()
    queue.shutdown()
    for thread in threads:
        with pytest.raises(QueueShutdown):
            thread.result()


def test_a_batch_that_does_not_fit_waits_with_its_best_first() -> None:
    queue = CommandQueue(2)
    queue.push(housekeeping(0))
    batch = [housekeeping(1), housekeeping(2), safe_mode(3), housekeeping(4)]
    thread = Background(queue.push_many, batch)
    until(lambda: queue.waiting_producers == 1)
    popped = []
    while len(popped) < 5:
        popped.append(queue.pop(PATIENCE_S))
    thread.result()
    assert popped[0] == safe_mode(3)
    assert [c.issued_at for c in popped if c] == [3, 0, 1, 2, 4]


def test_pop_many_gives_what_single_pops_would_while_producers_wait() -> None:
    queue = CommandQueue(2)
    queue.push_many([housekeeping(1), housekeeping(2)])
    threads = blocked(queue, housekeeping(3), safe_mode(9))
    assert queue.pop_many(10) == [
        housekeeping(1),
        safe_mode(9),
        housekeeping(2),
        housekeeping(3),
    ]
    for thread in threads:
        thread.result()


def test_ten_producers_two_slots_and_nothing_lost() -> None:
    queue = CommandQueue(2)
    threads = [Background(queue.push, status(number, number)) for number in range(10)]
    until(lambda: queue.waiting_producers == 8)
    assert len(queue) == 2
    popped = [queue.pop(PATIENCE_S) for _ in range(10)]
    for thread in threads:
        thread.result()
    assert sorted(c.issued_at for c in popped if c) == list(range(10))
    assert (len(queue), queue.waiting_producers) == (0, 0)


def test_a_consumer_is_not_held_up_by_waiting_producers() -> None:
    queue = CommandQueue(1)
    queue.push(safe_mode())
    threads = blocked(queue, *(status(1, number) for number in range(100)))
    began = time.monotonic()
    assert queue.pop() == safe_mode()
    assert time.monotonic() - began < 10
    queue.shutdown()
    threads[0].result()
    for thread in threads[1:]:
        with pytest.raises(QueueShutdown):
            thread.result()


# Waiting and time.


def test_a_consumer_sleeps_until_a_command_comes() -> None:
    queue = CommandQueue(3)
    consumer = Background(queue.pop)
    until(lambda: asleep(queue) == 1)
    queue.push(status(3, 3))
    assert consumer.result() == status(3, 3)


def test_a_batch_wakes_as_many_consumers_as_it_can_feed() -> None:
    queue = CommandQueue(10)
    consumers = [Background(queue.pop) for _ in range(4)]
    until(lambda: asleep(queue) == 4)
    queue.push_many([status(1, number) for number in range(3)])
    until(lambda: len(queue) == 0)
    assert asleep(queue) == 1
    queue.push(status(1, 3))
    assert sorted(c.result().issued_at for c in consumers) == [0, 1, 2, 3]


def test_timeouts_end_a_wait_and_leave_no_trace() -> None:
    queue = CommandQueue(1)
    with pytest.raises(PopTimeout, match=r"no command within 0\.01 s") as empty:
        queue.pop(timeout=0.01)
    assert empty.value.timeout_s == 0.01
    assert asleep(queue) == 0
    queue.push(status())
    with pytest.raises(QueueFull, match=r"no slot of 1 free .* within 0\.01 s") as full:
        queue.push(safe_mode(), timeout=0.01)
    assert (full.value.capacity, full.value.timeout_s) == (1, 0.01)
    assert isinstance(full.value, TimeoutError)
    assert isinstance(empty.value, TimeoutError)
    assert (len(queue), queue.waiting_producers) == (1, 0)
    assert queue.pop() == status()
    assert queue.metrics.snapshot() == MetricsSnapshot(1, 1, 0)


def test_a_very_long_timeout_is_for_ever() -> None:
    queue = CommandQueue(1)
    consumer = Background(queue.pop, float("inf"))
    until(lambda: asleep(queue) == 1)
    queue.push(status(), timeout=1e300)
    assert consumer.result() == status()


# The end.


def test_after_shutdown_the_rest_is_drained_in_order_and_then_none() -> None:
    queue = CommandQueue(50)
    commands = [status(number % 7, number) for number in range(50)]
    queue.push_many(commands)
    queue.shutdown()
    queue.shutdown()
    assert queue.is_shutdown
    with pytest.raises(QueueShutdown):
        queue.push(safe_mode())
    with pytest.raises(QueueShutdown) as many:
        queue.push_many([safe_mode(), safe_mode()])
    assert (many.value.admitted, many.value.offered) == (0, 2)
    assert [queue.pop() for _ in range(50)] == sorted(commands, key=dispatch_key)
    assert [queue.pop(), queue.pop(timeout=0), queue.pop()] == [None] * 3
    assert queue.pop_many(5) == []
    assert queue.metrics.snapshot() == MetricsSnapshot(50, 50, 0)
    assert repr(queue) == "<CommandQueue 0 of 50, shut down>"


def test_shutdown_sends_a_hundred_producers_away_and_keeps_their_commands_out() -> None:
    queue = CommandQueue(2)
    queue.push_many([status(1, 1), status(1, 2)])
    threads = [Background(queue.push, status(2, number)) for number in range(100)]
    until(lambda: queue.waiting_producers == 100)
    ends = [Background(queue.shutdown) for _ in range(4)]
    for end in ends:
        end.result()
    for thread in threads:
        with pytest.raises(QueueShutdown, match="0 of 1 commands"):
            thread.result()
    assert queue.waiting_producers == 0
    assert [queue.pop(), queue.pop(), queue.pop()] == [status(1, 1), status(1, 2), None]
    assert queue.metrics.commands_pushed == 2


def test_shutdown_sends_every_consumer_away() -> None:
    queue = CommandQueue(2)
    consumers = [Background(queue.pop) for _ in range(5)] + [Background(queue.pop_many, 3)]
    until(lambda: asleep(queue) == 6)
    queue.shutdown()
    assert [consumer.result() for consumer in consumers] == [None] * 5 + [[]]


def test_a_batch_cut_short_says_how_much_of_it_got_in() -> None:
    queue = CommandQueue(2)
    thread = Background(queue.push_many, [status(1, number) for number in range(5)])
    until(lambda: queue.waiting_producers == 1)
    queue.shutdown()
    with pytest.raises(QueueShutdown, match="2 of 5 commands") as caught:
        thread.result()
    assert caught.value.admitted == 2
    assert len(queue) == 2


# Metrics.


def test_metrics_are_read_while_a_thread_holds_the_lock() -> None:
    held = threading.Lock()
    queue = CommandQueue(5, primitives=replace(THREADING, Lock=lambda: held))
    queue.push(safe_mode())
    with held:
        reader = Background(
            lambda: [(queue.metrics.snapshot(), len(queue), repr(queue)) for _ in range(10_000)]
        )
        seen = reader.result()
    assert set(seen) == {(MetricsSnapshot(1, 0, 0), 1, "<CommandQueue 1 of 5, open>")}
    assert repr(queue.metrics) == repr(MetricsSnapshot(1, 0, 0))


def test_a_dispatched_safe_mode_counts_when_it_goes_not_when_it_comes() -> None:
    queue = CommandQueue(5)
    queue.push(safe_mode())
    metrics = queue.metrics
    assert (metrics.commands_pushed, metrics.commands_dispatched) == (1, 0)
    assert metrics.safe_mode_count == 0
    queue.pop()
    assert metrics.safe_mode_count == 1
    assert queue.metrics is metrics
    with pytest.raises(AttributeError):
        metrics.commands_pushed = 9  # type: ignore[misc]


# Bad input.


@pytest.mark.parametrize("capacity", [0, -1, True, 2.0, "2", None])
def test_a_capacity_that_is_none_is_refused(capacity: Any) -> None:
    with pytest.raises(BadCapacity, match="Expected capacity an integer >= 1") as caught:
        CommandQueue(capacity)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("reserve", [-1, 3, 4, True, 1.0, None])
def test_a_reserve_that_is_none_is_refused(reserve: Any) -> None:
    with pytest.raises(BadCapacity, match=r"Expected emergency_reserve an integer in 0\.\.2"):
        CommandQueue(3, emergency_reserve=reserve)


@pytest.mark.parametrize("cmd", [None, 255, "SAFE_MODE", CommandKind.SAFE_MODE, Command])
def test_only_commands_are_pushed(cmd: Any) -> None:
    queue = CommandQueue(3)
    with pytest.raises(TypeError, match="Expected `Command`"):
        queue.push(cmd)
    with pytest.raises(TypeError, match="Expected `Command`"):
        queue.push_many([status(), cmd])
    assert len(queue) == 0


@pytest.mark.parametrize(
    ("timeout", "error"),
    [(-1, ValueError), (float("nan"), ValueError), (True, TypeError), ("1", TypeError)],
)
def test_a_timeout_that_is_no_time_is_refused(timeout: Any, error: type[Exception]) -> None:
    queue = CommandQueue(1)
    with pytest.raises(error, match="timeout"):
        queue.push(status(), timeout=timeout)
    with pytest.raises(error, match="timeout"):
        queue.pop(timeout=timeout)
    assert len(queue) == 0


@pytest.mark.parametrize(("limit", "error"), [(0, ValueError), (True, TypeError), (1.0, TypeError)])
def test_a_limit_that_is_none_is_refused(limit: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="limit"):
        CommandQueue(1).pop_many(limit)


def test_an_empty_batch_is_nothing() -> None:
    queue = CommandQueue(1)
    queue.push(status())
    queue.push_many([])
    assert queue.metrics.commands_pushed == 1


def test_a_command_is_refused_before_any_lock_is_taken() -> None:
    held = threading.Lock()
    queue = CommandQueue(3, primitives=replace(THREADING, Lock=lambda: held))
    with held, pytest.raises(ValueError, match="priority"):
        queue.push(Command.make(CommandKind.SAFE_MODE, priority=10))
    with held, pytest.raises(TypeError):
        queue.push(None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "error",
    [
        QueueShutdown(2, 5),
        QueueFull(3, 0.5),
        PopTimeout(1.5),
        QueueBroken("ValueError()"),
        BadCapacity("capacity", "an integer >= 1", 0),
    ],
)
def test_errors_go_through_a_pickle(error: MeridianError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), vars(copy)) == (str(error), vars(error))


# The demo.


def test_the_demo_dispatches_fifteen_and_three_of_them_safe_mode() -> None:
    report = run_demo(sample_every=0.005, handling_s=0.002)
    assert len(report.dispatched) == 15
    assert report.final == MetricsSnapshot(15, 15, 3)
    assert [c.kind for c in report.dispatched[:3]] == [CommandKind.SAFE_MODE] * 3
    assert list(report.dispatched) == sorted(report.dispatched, key=dispatch_key)
    assert sorted(map(id, report.arrived)) == sorted(map(id, report.dispatched))
    assert list(report.dispatched) != list(report.arrived)
    assert len(report.samples) >= 3
    for one, other in zip(report.samples, report.samples[1:], strict=False):
        assert one.at_s < other.at_s
        assert one.snapshot.commands_dispatched <= other.snapshot.commands_dispatched
    table = str(report).splitlines()
    assert len(table) == 17
    assert table[1].split()[2:] == ["255", "SAFE_MODE"]
    assert "15 pushed, 15 dispatched, 3 SAFE_MODE" in table[-1]


def test_a_demo_larger_than_its_queue_ends() -> None:
    report = run_demo(capacity=2, producers=4, per_producer=6, handling_s=0)
    assert report.final == MetricsSnapshot(24, 24, 4)


def test_an_empty_batch_is_refused_after_the_end_as_any_other() -> None:
    queue = CommandQueue(1)
    queue.push_many([])
    queue.shutdown()
    with pytest.raises(QueueShutdown) as caught:
        queue.push_many([])
    assert (caught.value.admitted, caught.value.offered) == (0, 0)
