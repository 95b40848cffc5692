"""What runs in the worker, beside the queue: threads, clocks, locks that are held.

Hostile code could tamper with what is counted here: the tests say where they rely on it.
"""

from __future__ import annotations

import contextlib
import itertools
import queue as standard
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

Row = tuple[int, int]  # priority, issued_at

PATIENCE_S = 4.0  # what a thread of the submission may take before it is called stuck


def command(package: Any, priority: int, issued_at: int) -> Any:
    """SAFE_MODE for 255, else a request for status with that priority."""
    kinds = package.CommandKind
    kind = kinds.SAFE_MODE if priority == 255 else kinds.STATUS_REQUEST
    return package.Command.make(kind, priority=priority, issued_at=issued_at)


def commands(package: Any, rows: Sequence[Row]) -> list[Any]:
    return [command(package, *row) for row in rows]


def size(queue: Any) -> int:
    return len(queue)


def thread(function: Callable[..., object], *arguments: Any) -> threading.Thread:
    """A daemon, so that one that never returns keeps nothing from ending."""
    made = threading.Thread(target=function, args=arguments, daemon=True)
    made.start()
    return made


def outcome(function: Callable[..., Any], *arguments: Any) -> str:
    """ "returned", or the class of what was raised."""
    try:
        function(*arguments)
    except Exception as error:
        return type(error).__name__
    return "returned"


# -- order ---------------------------------------------------------------------------------------


def order(package: Any, rows: Sequence[Row]) -> list[int]:
    """Push all, pop all; the number of each popped command in `rows`, -1 for one that is none."""
    made = commands(package, rows)
    queue = package.CommandQueue(len(made))
    for one in made:
        queue.push(one)
    number = {id(one): n for n, one in enumerate(made)}
    return [number.get(id(queue.pop(PATIENCE_S)), -1) for _ in made]


def batches(package: Any, rows: Sequence[Row]) -> list[int]:
    """The same by `push_many` and `pop_many`, seven at a time."""
    made = commands(package, rows)
    queue = package.CommandQueue(len(made))
    queue.push_many(made)
    number = {id(one): n for n, one in enumerate(made)}
    popped: list[int] = []
    while len(popped) < len(made):
        taken = queue.pop_many(7)
        if not 1 <= len(taken) <= 7:
            return [*popped, -1]
        popped += [number.get(id(one), -1) for one in taken]
    return popped


def history(package: Any, rows: Sequence[Row]) -> list[tuple[int, int, int, int, int]]:
    """Three producers and a consumer at once: for each command in the order of its dispatch, its
    number in `rows` and the ticks around its push and around its pop.
    """
    ticks = itertools.count()
    made = commands(package, rows)
    queue = package.CommandQueue(len(made))
    number = {id(one): n for n, one in enumerate(made)}
    pushed: dict[int, tuple[int, int]] = {}
    popped: list[tuple[int, int, int]] = []

    def produce(part: Sequence[Any]) -> None:
        for one in part:
            begin = next(ticks)
            queue.push(one)
            pushed[number[id(one)]] = (begin, next(ticks))

    def consume() -> None:
        for _ in made:
            begin = next(ticks)
            one = queue.pop(PATIENCE_S)
            popped.append((number.get(id(one), -1), begin, next(ticks)))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [thread(produce, made[part::3]) for part in range(3)] + [thread(consume)]
        for one in threads:
            one.join(PATIENCE_S)
    finally:
        sys.setswitchinterval(interval)
    return [(n, *pushed.get(n, (-1, -1)), begin, end) for n, begin, end in popped]


# -- waiting -------------------------------------------------------------------------------------


def idle(package: Any, seconds: float) -> tuple[float, bool]:
    """The processor time of this process while a consumer waits, and whether it then wakes."""
    queue = package.CommandQueue(4)
    consumer = thread(queue.pop)
    time.sleep(0.05)
    before = time.process_time()
    time.sleep(seconds)
    used = time.process_time() - before
    queue.push(command(package, 50, 0))
    consumer.join(PATIENCE_S)
    return used, not consumer.is_alive()


def wake_latencies(package: Any, count: int) -> tuple[list[float], list[float]]:
    """Seconds from before a push to after the pop that slept for it, shortest first; and the same,
    measured in turn with it, for `queue.Queue`: what this machine can do just now.
    """
    mine, plain = package.CommandQueue(4), standard.Queue[Any](4)
    ways: tuple[tuple[Callable[[Any], object], Callable[[], object]], ...] = (
        (mine.push, lambda: mine.pop(PATIENCE_S)),
        (plain.put, lambda: plain.get(True, PATIENCE_S)),
    )
    late: tuple[list[float], list[float]] = ([], [])
    stamps: list[float] = []
    ready = threading.Semaphore(0)

    def consume() -> None:
        for _ in range(count):
            for (_push, pop), into in zip(ways, late, strict=True):
                ready.release()
                pop()
                into.append(time.perf_counter() - stamps[-1])

    consumer = thread(consume)
    for number in range(count):
        for push, _pop in ways:
            ready.acquire(timeout=PATIENCE_S)
            time.sleep(0.001)
            one = command(package, 50, number)
            stamps.append(time.perf_counter())
            push(one)
    consumer.join(PATIENCE_S)
    return sorted(late[0]), sorted(late[1])


# -- metrics -------------------------------------------------------------------------------------


def _real(package: Any, **parts: Any) -> Any:
    """The package's bundle, with these parts in place of the real ones."""
    given = {
        "Lock": threading.Lock,
        "Condition": threading.Condition,
        "Thread": threading.Thread,
        "monotonic_ns": time.monotonic_ns,
    }
    return package.Primitives(**(given | parts))


def read_while_held(package: Any, reads: int) -> tuple[int, float]:
    """Read the metrics while a thread holds every lock of the queue: reads made, and the
    processor time they took, in seconds.
    """
    locks: list[Any] = []

    def make() -> Any:
        locks.append(threading.Lock())
        return locks[-1]

    queue = package.CommandQueue(4, primitives=_real(package, Lock=make))
    queue.push(command(package, 255, 0))
    took: list[float] = []
    done = [0]

    def read() -> None:
        metrics = queue.metrics
        began = time.thread_time()  # what others do on this machine is not counted
        for _ in range(reads // 4):
            metrics.snapshot()
            metrics.commands_pushed  # noqa: B018
            metrics.commands_dispatched  # noqa: B018
            metrics.safe_mode_count  # noqa: B018
            done[0] += 4
        took.append(time.thread_time() - began)

    with contextlib.ExitStack() as held:
        for lock in locks:
            held.enter_context(lock)
        reader = thread(read)
        reader.join(PATIENCE_S)
    return done[0], took[0] if took else PATIENCE_S


# -- the end, and admission ----------------------------------------------------------------------


class Crowd:
    """A producer thread for each command; what became of each push."""

    def __init__(self, queue: Any, made: Sequence[Any]) -> None:
        self.outcomes = ["waits"] * len(made)
        self._queue = queue
        self._threads = [thread(self._push, n, one) for n, one in enumerate(made)]

    def _push(self, number: int, one: Any) -> None:
        self.outcomes[number] = outcome(self._queue.push, one)

    def count(self, what: str) -> int:
        return self.outcomes.count(what)

    def ended(self) -> float:
        """Seconds until all have ended; `PATIENCE_S` when one has not."""
        began = time.perf_counter()
        for one in self._threads:
            one.join(max(0.0, began + PATIENCE_S - time.perf_counter()))
        return time.perf_counter() - began


def crowd(package: Any, queue: Any, rows: Sequence[Row], waiting: int) -> Crowd:
    """Push all of `rows` from threads; return when so many wait, or after a while."""
    made = Crowd(queue, commands(package, rows))
    deadline = time.perf_counter() + PATIENCE_S
    while queue.waiting_producers < waiting and time.perf_counter() < deadline:
        time.sleep(0.001)
    return made


class Sleepers:
    """Consumers that wait in `pop`, and what it gave them."""

    def __init__(self, queue: Any, count: int) -> None:
        self.given: list[str] = []
        self._queue = queue
        self._threads = [thread(self._pop) for _ in range(count)]
        time.sleep(0.1)

    def _pop(self) -> None:
        try:
            self.given.append(type(self._queue.pop()).__name__)
        except Exception as error:
            self.given.append(type(error).__name__)

    def ended(self) -> list[str]:
        deadline = time.perf_counter() + PATIENCE_S
        for one in self._threads:
            one.join(max(0.0, deadline - time.perf_counter()))
        return sorted(self.given + ["waits"] * sum(one.is_alive() for one in self._threads))


def drained(package: Any, rows: Sequence[Row]) -> list[int]:
    """Push all, shut down, pop two more than there are; -1 for None, -2 for a pop that waits."""
    made = commands(package, rows)
    queue = package.CommandQueue(len(made))
    for one in made:
        queue.push(one)
    number = {id(one): n for n, one in enumerate(made)}
    queue.shutdown()
    popped: list[int] = []

    def consume() -> None:
        for _ in range(len(made) + 2):
            one = queue.pop()
            popped.append(-1 if one is None else number.get(id(one), -3))

    consumer = thread(consume)
    consumer.join(PATIENCE_S)
    metrics = queue.metrics.snapshot()
    counted = [metrics.commands_pushed, metrics.commands_dispatched]
    return [*popped, *([-2] if consumer.is_alive() else []), *counted]


def pops(queue: Any, count: int) -> list[int]:
    """`issued_at` of the next commands, one pop right after the other; -1 for what is none."""
    return [getattr(queue.pop(PATIENCE_S), "issued_at", -1) for _ in range(count)]


def pop_seconds(queue: Any) -> float:
    began = time.perf_counter()
    queue.pop(PATIENCE_S)
    return time.perf_counter() - began


def push_outcome(package: Any, queue: Any, row: Row, timeout: float) -> str:
    return outcome(queue.push, command(package, *row), timeout)
