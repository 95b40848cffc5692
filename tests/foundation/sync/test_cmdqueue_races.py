"""The command queue between threads: every schedule, every interrupt, every fault, and stress."""

from __future__ import annotations

import linecache
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import FrameType
from typing import Any

import pytest

from meridian.foundation.sync import (
    cmdqueue,
    cmdqueue_ledger,
    command_buckets,
    command_metrics,
)
from meridian.foundation.sync.cmdqueue import (
    Command,
    CommandKind,
    CommandQueue,
    PopTimeout,
    QueueBroken,
    QueueFull,
    QueueShutdown,
)
from meridian.foundation.sync.primitives import THREADING
from meridian.testing import explore

PATIENCE_S = 60.0


def status(issued_at: int, priority: int = 50) -> Command:
    return Command.make(CommandKind.STATUS_REQUEST, priority=priority, issued_at=issued_at)


def safe_mode(issued_at: int = 0) -> Command:
    return Command.make(CommandKind.SAFE_MODE, issued_at=issued_at)


def start(bundle: Any, *bodies: Callable[[], object]) -> None:
    threads = [bundle.Thread(target=body) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


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
        preempt_in=[command_metrics, cmdqueue_ledger],
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

    report = explore(scenario, preempt_in=[command_metrics, cmdqueue_ledger], preemptions=2)
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


# Interrupts.

FILES = {
    str(module.__file__) for module in (cmdqueue, cmdqueue_ledger, command_buckets, command_metrics)
}


class Interrupt(BaseException):
    """Stands for KeyboardInterrupt, which pytest would take for its own."""


@contextmanager
def interrupting(line: int, lock: Any) -> Iterator[list[int]]:
    """Raise `Interrupt` before the `line`-th line of the queue's code, and tell how many ran.

    Not before a ``with`` that is being left: no signal can strike there, a tracer can.
    """
    lines = [0]

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename not in FILES:
            return None
        if event == "line":
            source = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
            if source.startswith("with ") and lock.locked():
                return trace
            lines[0] += 1
            if lines[0] == line:
                raise Interrupt
        return trace

    sys.settrace(trace)
    try:
        yield lines
    finally:
        sys.settrace(None)


def sound(queue: CommandQueue) -> int:
    """Check the books, and return the number of commands held."""
    ledger = queue._ledger
    held = sum(len(fifo) for fifo in ledger.fifos if fifo)
    mask = sum(1 << priority for priority, fifo in enumerate(ledger.fifos) if fifo)
    assert not queue._lock.locked()
    assert ledger.broken is None
    assert ledger.mask == mask
    assert len(queue) == held
    assert ledger._moving is None
    for fifo in ledger.fifos:
        times = [command.issued_at for command in fifo or ()]
        assert times == sorted(times)
    return held


def prepare_idle() -> tuple[CommandQueue, list[threading.Thread]]:
    queue = CommandQueue(4)
    queue.push(status(5))
    return queue, []


def prepare_full() -> tuple[CommandQueue, list[threading.Thread]]:
    """Full, with a producer asleep."""
    queue = CommandQueue(2)
    queue.push(status(1))
    queue.push(status(2))

    def push() -> None:
        with suppress(QueueShutdown):
            queue.push(status(3))

    thread = threading.Thread(target=push)
    thread.start()
    while queue.waiting_producers < 1:
        pass
    return queue, [thread]


OPERATIONS: list[tuple[str, Callable[..., Any], Callable[[CommandQueue], Any]]] = [
    ("push", prepare_idle, lambda queue: queue.push(status(9))),
    ("push a late one", prepare_idle, lambda queue: queue.push(status(1))),
    ("push another priority", prepare_idle, lambda queue: queue.push(safe_mode())),
    ("push, full", prepare_full, lambda queue: queue.push(status(9), timeout=0.001)),
    ("push_many", prepare_idle, lambda queue: queue.push_many([status(7), safe_mode(), status(1)])),
    ("pop", prepare_idle, lambda queue: queue.pop()),
    ("pop, full", prepare_full, lambda queue: queue.pop()),
    ("pop_many", prepare_full, lambda queue: queue.pop_many(2)),
    ("pop_many, no producers", prepare_idle, lambda queue: queue.pop_many(2)),
    ("pop, empty", lambda: (CommandQueue(1), []), lambda queue: queue.pop(timeout=0.001)),
    ("shutdown", prepare_full, lambda queue: queue.shutdown()),
]


@pytest.mark.parametrize(
    ("prepare", "operate"), [o[1:] for o in OPERATIONS], ids=[o[0] for o in OPERATIONS]
)
def test_an_interrupt_at_any_line_leaves_the_books_in_order(
    prepare: Callable[[], tuple[CommandQueue, list[threading.Thread]]],
    operate: Callable[[CommandQueue], Any],
) -> None:
    line = 0
    while True:
        line += 1
        queue, threads = prepare()
        before = queue.metrics.snapshot()
        struck = False
        with interrupting(line, queue._lock) as lines:
            try:
                operate(queue)
            except Interrupt:
                struck = True
            except (QueueFull, PopTimeout):
                pass
        held = sound(queue)
        after = queue.metrics.snapshot()
        assert after.commands_pushed - after.commands_dispatched == held
        assert after.commands_pushed >= before.commands_pushed
        assert held <= queue.capacity
        assert queue.waiting_producers <= len(threads)
        assert queue.waiting_producers == 0 or held == queue.capacity
        assert not queue._ledger.consumers
        queue.shutdown()  # and everybody can go on
        for thread in threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
        held = sound(queue)
        assert [queue.pop() is not None for _ in range(held)] == [True] * held
        assert queue.pop() is None
        if not struck:
            assert lines[0] < line
            break
    assert line > 5


def test_an_interrupted_consumer_passes_its_wake_up_on() -> None:
    """Two sleep; the one that is woken is interrupted before it looks: the other must be woken."""
    made: list[Any] = []

    class Gate:
        """A lock whose second acquisition, the sleep, is interrupted when it ends."""

        def __init__(self) -> None:
            self._lock = threading.Lock()
            made.append(self)
            self.interrupt = len(made) == 2  # the first is the queue's own

        def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
            got = self._lock.acquire(blocking, timeout)
            if self.interrupt and blocking:
                raise Interrupt
            return got

        def release(self) -> None:
            self._lock.release()

        def locked(self) -> bool:
            return self._lock.locked()

        def __enter__(self) -> bool:
            return self._lock.__enter__()

        def __exit__(self, *error: Any) -> None:
            self._lock.__exit__(*error)

    queue = CommandQueue(3, primitives=replace(THREADING, Lock=Gate))
    outcome: list[Any] = []

    def consume() -> None:
        try:
            outcome.append(queue.pop())
        except Interrupt:
            outcome.append("interrupted")

    threads = []
    for number in range(2):
        threads.append(threading.Thread(target=consume))
        threads[-1].start()
        while len(queue._ledger.consumers) <= number:
            pass
    queue.push(status(7))
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    assert sorted(map(str, outcome)) == sorted(["interrupted", str(status(7))])


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs interval timers")
def test_signals_that_raise_leave_the_books_in_order() -> None:
    """Real interrupts, a few hundred, wherever they strike in push and pop of the main thread."""
    program = """
import signal, threading
from meridian.foundation.sync.cmdqueue import *

class Interrupt(BaseException): pass
queue = CommandQueue(8)
def strike(*_): raise Interrupt
signal.signal(signal.SIGALRM, strike)
stop = []
def other():
    n = 0
    while not stop:
        n += 1
        try:
            queue.push(Command.make(CommandKind.SAFE_MODE, issued_at=n), timeout=0.001)
        except QueueFull: pass
        try: queue.pop(timeout=0.001)
        except PopTimeout: pass
thread = threading.Thread(target=other)
thread.start()
struck = n = 0
while struck < 300:
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0002 + (struck % 7) * 0.0001)
        while True:
            n += 1
            try: queue.push(Command.make(CommandKind.STATUS_REQUEST, issued_at=-n), timeout=0.0005)
            except QueueFull: pass
            try: queue.pop(timeout=0.0005)
            except PopTimeout: pass
    except Interrupt:
        struck += 1
stop.append(1)
thread.join(30)
assert not thread.is_alive()
ledger = queue._ledger
assert ledger.broken is None and not queue._lock.locked()
assert not ledger.producers and not ledger.consumers
held = sum(len(fifo) for fifo in ledger.fifos if fifo)
assert len(queue) == held == len([queue.pop(0) for _ in range(len(queue))])
print("sound", struck)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S * 2,
        check=False,
        env=os.environ,
    )
    assert done.stdout.strip() == "sound 300", done.stderr


def test_the_interpreter_ends_in_silence_with_a_consumer_asleep() -> None:
    program = """
import threading
from meridian.foundation.sync.cmdqueue import CommandQueue
queue = CommandQueue(1)
threading.Thread(target=queue.pop, daemon=True).start()
while not queue._ledger.consumers: pass
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


# Faults.


class Faulty:
    """A lock whose `release` fails from the moment that is told; the gates of sleepers are such."""

    broken = False

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.acquire = self._lock.acquire
        self.locked = self._lock.locked

    def release(self) -> None:
        if Faulty.broken:
            Faulty.broken = False
            raise OSError("no more locks")
        self._lock.release()

    def __enter__(self) -> bool:
        return self._lock.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._lock.__exit__(*error)


def test_a_fault_inside_breaks_the_queue_for_everybody() -> None:
    """The fault strikes the consumer that gives its slot to a sleeping producer."""
    queue = CommandQueue(1, primitives=replace(THREADING, Lock=Faulty))
    queue.push(status(1))
    outcome: list[Any] = []

    def push(issued_at: int) -> None:
        try:
            queue.push(status(issued_at))
        except QueueBroken as error:
            outcome.append(error)

    threads = [threading.Thread(target=push, args=(number,)) for number in range(2, 6)]
    for thread in threads:
        thread.start()
    while queue.waiting_producers < 4:
        pass
    Faulty.broken = True
    with pytest.raises(QueueBroken, match="no more locks") as caught:
        queue.pop()
    assert isinstance(caught.value.__cause__, OSError)
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    assert len(outcome) == 4
    for call in (
        lambda: queue.push(status(9)),
        lambda: queue.push(status(9), timeout=0),
        lambda: queue.push_many([status(9)]),
        queue.pop,
        lambda: queue.pop(timeout=0),
        lambda: queue.pop_many(3),
    ):
        with pytest.raises(QueueBroken):
            call()
    assert queue.is_shutdown
    assert "broken" in repr(queue)
    queue.shutdown()
    with pytest.raises(QueueBroken):
        queue.pop()


def test_a_fault_wakes_the_consumers_that_sleep() -> None:
    queue = CommandQueue(1, primitives=replace(THREADING, Lock=Faulty))
    outcome: list[str] = []

    def consume() -> None:
        try:
            queue.pop()
        except QueueBroken as error:
            outcome.append(error.reason)

    threads = [threading.Thread(target=consume) for _ in range(3)]
    for thread in threads:
        thread.start()
    while len(queue._ledger.consumers) < 3:
        pass
    Faulty.broken = True
    with pytest.raises(QueueBroken):
        queue.push(status(1))
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    assert outcome == ["OSError('no more locks')"] * 3


def test_a_second_interrupt_while_the_first_is_mended_breaks_the_queue() -> None:
    queue = CommandQueue(4)
    queue.push(status(1))
    ledger = queue._ledger

    class Struck(type(ledger)):  # type: ignore[misc]
        __slots__ = ()

        def recount(self) -> int:
            raise Interrupt

        def insert(self, _: Command) -> None:
            raise Interrupt

    ledger.__class__ = Struck
    with pytest.raises(Interrupt):
        queue.push(status(0))
    with pytest.raises(QueueBroken):
        queue.pop()
