"""The command queue when a signal strikes, or something inside of it fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from meridian.foundation.sync.cmdqueue import (
    Command,
    CommandQueue,
    PopTimeout,
    QueueBroken,
    QueueFull,
    QueueShutdown,
)
from meridian.foundation.sync.primitives import THREADING
from tests.foundation.sync.cmdqueue_rig import (
    PATIENCE_S,
    Interrupt,
    interrupting,
    safe_mode,
    sound,
    status,
)

# Interrupts.


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
