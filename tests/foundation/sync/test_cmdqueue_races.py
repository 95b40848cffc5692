"""The command queue between threads: every schedule, every interrupt, every fault, and stress."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from typing import Any

from meridian.foundation.sync import (
    cmdqueue_ledger,
    cmdqueue_producers,
    command_metrics,
)
from meridian.foundation.sync.cmdqueue import (
    Command,
    CommandKind,
    CommandQueue,
    PopTimeout,
    QueueFull,
    QueueShutdown,
)
from meridian.testing import explore
from tests.foundation.sync.cmdqueue_rig import (
    safe_mode,
    start,
    status,
)

# Every schedule.


def test_two_producers_one_consumer_one_slot() -> None:
    def scenario(bundle: Any) -> Any:
        queue = CommandQueue(1, primitives=bundle)
        popped: list[Command | None] = []
        start(
            bundle,
            lambda: queue.push(status(1)),
            lambda: queue.push(safe_mode(2)),
            lambda: popped.extend(queue.pop() for _ in range(2)),
        )

        def check() -> None:
            assert Counter(c.issued_at for c in popped if c) == {1: 1, 2: 1}
            assert (len(queue), queue.waiting_producers) == (0, 0)
            counters = queue.metrics.snapshot()
            assert (counters.commands_pushed, counters.commands_dispatched) == (2, 2)
            assert counters.safe_mode_count == 1

        return check

    report = explore(scenario, max_schedules=1_200)
    assert report.failures == ()
    assert report.schedules > 500


def test_two_consumers_are_never_asleep_beside_a_command() -> None:
    def scenario(bundle: Any) -> Any:
        queue = CommandQueue(1, primitives=bundle)
        popped: list[Command | None] = []
        start(
            bundle,
            lambda: popped.append(queue.pop()),
            lambda: popped.append(queue.pop()),
            lambda: queue.push(status(1)),
            lambda: queue.push(status(2)),
        )
        return lambda: sorted(c.issued_at for c in popped if c) == [1, 2]

    assert explore(scenario, max_schedules=1_200).failures == ()


def test_shutdown_against_push_against_pop() -> None:
    def scenario(bundle: Any) -> Any:
        queue = CommandQueue(1, primitives=bundle)
        queue.push(status(0))
        popped: list[int] = []
        refused: list[int] = []

        def push(issued_at: int) -> None:
            try:
                queue.push(status(issued_at))
            except QueueShutdown:
                refused.append(issued_at)

        def consume() -> None:
            while (command := queue.pop()) is not None:
                popped.append(command.issued_at)
            assert queue.pop() is None

        start(bundle, lambda: push(1), lambda: push(2), consume, queue.shutdown)

        def check() -> None:
            assert sorted(popped + refused) == [0, 1, 2]
            assert queue.metrics.commands_pushed == len(popped)
            assert queue.metrics.commands_dispatched == len(popped)

        return check

    assert explore(scenario, max_schedules=1_200).failures == ()


def test_timeouts_against_push_and_pop() -> None:
    """Whoever times out has neither lost a command nor left one behind."""

    def scenario(bundle: Any) -> Any:
        queue = CommandQueue(1, primitives=bundle)
        popped: list[int] = []
        admitted: list[int] = []

        def push(issued_at: int) -> None:
            try:
                queue.push(status(issued_at), timeout=1)
            except QueueFull:
                return
            admitted.append(issued_at)

        def pop() -> None:
            try:
                command = queue.pop(timeout=1)
            except PopTimeout:
                return
            assert command is not None
            popped.append(command.issued_at)

        start(bundle, lambda: push(1), lambda: push(2), pop, pop)

        def check() -> None:
            left = [queue.pop(timeout=0) for _ in range(len(queue))]
            assert sorted(popped + [c.issued_at for c in left if c]) == sorted(admitted)
            assert queue.waiting_producers == 0
            assert not queue._ledger.consumers

        return check

    assert explore(scenario, max_schedules=1_200).failures == ()


def test_batches_against_single_pops() -> None:
    def scenario(bundle: Any) -> Any:
        queue = CommandQueue(2, primitives=bundle)
        popped: list[Command | None] = []

        def consume() -> None:
            while len(popped) < 3:
                popped.extend(queue.pop_many(2))

        start(bundle, lambda: queue.push_many([status(1), status(2), safe_mode(3)]), consume)
        return lambda: sorted(c.issued_at for c in popped if c) == [1, 2, 3]

    assert explore(scenario, max_schedules=1_000).failures == ()


def test_a_snapshot_holds_its_inequality_between_any_two_bytecodes() -> None:
    def scenario(bundle: Any) -> Any:
        queue = CommandQueue(2, primitives=bundle)
        queue.push(safe_mode())
        seen: list[Any] = []

        def work() -> None:
            queue.push(safe_mode())
            queue.pop()
            queue.pop()

        def watch() -> None:
            seen.append(queue.metrics.snapshot())
            assert 0 <= queue.metrics.waiting <= 2

        start(bundle, work, watch)

        def check() -> None:
            (at,) = seen
            assert at.safe_mode_count <= at.commands_dispatched <= at.commands_pushed

        return check

    report = explore(
        scenario,
        preempt_in=[command_metrics, cmdqueue_ledger, cmdqueue_producers],
        max_schedules=800,
        preemptions=3,
        max_steps=50_000,
    )
    assert report.failures == ()


def test_a_snapshot_read_in_the_wrong_order_is_caught() -> None:
    """The proof above can fail."""

    def scenario(bundle: Any) -> Any:
        queue = CommandQueue(2, primitives=bundle)
        seen: list[tuple[int, int]] = []

        def work() -> None:
            queue.push(safe_mode())
            queue.pop()

        def watch() -> None:
            pushed = queue.metrics.commands_pushed
            seen.append((pushed, queue.metrics.commands_dispatched))

        start(bundle, work, watch)
        return lambda: seen[0][0] >= seen[0][1]

    report = explore(
        scenario, preempt_in=[command_metrics, cmdqueue_ledger, cmdqueue_producers], preemptions=2
    )
    assert [failure.kind for failure in report.failures] == ["assert"]


# Stress.


def test_eight_producers_and_two_consumers_lose_and_double_nothing() -> None:
    each = 5_000
    queue = CommandQueue(64, emergency_reserve=4)
    popped: list[list[Command]] = [[], []]

    def produce(number: int) -> None:
        kinds = [CommandKind.HOUSEKEEPING, CommandKind.SAFE_MODE, CommandKind.ABORT_PASS]
        for i in range(each):
            queue.push(Command.make(kinds[i % 3], issued_at=number * each + i))

    def consume(into: list[Command]) -> None:
        while (command := queue.pop()) is not None:
            into.append(command)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        producers = [threading.Thread(target=produce, args=(n,)) for n in range(8)]
        consumers = [threading.Thread(target=consume, args=(into,)) for into in popped]
        for thread in producers + consumers:
            thread.start()
        for thread in producers:
            thread.join()
        queue.shutdown()
        for thread in consumers:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert Counter(c.issued_at for c in popped[0] + popped[1]) == Counter(range(8 * each))
    counters = queue.metrics.snapshot()
    assert (counters.commands_pushed, counters.commands_dispatched) == (8 * each, 8 * each)
    assert counters.safe_mode_count == sum(c.priority == 255 for c in popped[0] + popped[1])
