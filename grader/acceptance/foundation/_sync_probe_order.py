"""What runs in the worker: the order of dispatch, consumers that wait, metrics that are read.

Each begins with `kit`, made by the other probe. Hostile code could tamper with what is counted.
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


def order(kit: Any, rows: Sequence[Row]) -> list[int]:
    """Push all, pop all; the number of each popped command in `rows`, -1 for one that is none."""
    queue, made = kit.filled(rows)
    return list(kit.numbers(made, [queue.pop(kit.patience_s) for _ in made]))


def batches(kit: Any, rows: Sequence[Row]) -> list[int]:
    """The same by `push_many` and `pop_many`, seven at a time."""
    made = kit.commands(rows)
    queue = kit.package.CommandQueue(len(made))
    queue.push_many(made)
    popped: list[Any] = []
    while len(popped) < len(made):
        taken = queue.pop_many(7)
        if not 1 <= len(taken) <= 7:
            return [*kit.numbers(made, popped), -1]
        popped += taken
    return list(kit.numbers(made, popped))


def history(kit: Any, rows: Sequence[Row]) -> list[tuple[int, int, int, int, int]]:
    """Three producers and a consumer at once: for each command in the order of its dispatch, its
    number in `rows` and the ticks around its push and around its pop.
    """
    ticks = itertools.count()
    made = kit.commands(rows)
    queue = kit.package.CommandQueue(len(made))
    pushed: dict[int, tuple[int, int]] = {}
    popped: list[tuple[Any, int, int]] = []

    def produce(part: int) -> None:
        for number in range(part, len(made), 3):
            begin = next(ticks)
            queue.push(made[number])
            pushed[number] = (begin, next(ticks))

    def consume() -> None:
        for _ in made:
            begin = next(ticks)
            popped.append((queue.pop(kit.patience_s), begin, next(ticks)))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        kit.join([*(kit.call(produce, part) for part in range(3)), kit.call(consume)])
    finally:
        sys.setswitchinterval(interval)
    numbers = kit.numbers(made, [one for one, _, _ in popped])
    return [
        (n, *pushed.get(n, (-1, -1)), begin, end)
        for n, (_, begin, end) in zip(numbers, list(popped), strict=False)
    ]


# -- waiting -------------------------------------------------------------------------------------


class Idle:
    """A consumer that waits in `pop`, while the judge looks at what that costs."""

    def __init__(self, kit: Any) -> None:
        self._kit = kit
        self._queue = kit.package.CommandQueue(4)
        self._consumer = kit.call(self._queue.pop)

    def woken(self) -> bool:
        """Whether it gets the command that is pushed now."""
        command = self._kit.command(50, 0)
        self._queue.push(command)
        self._kit.join([self._consumer])
        return self._consumer.value is command


def wake_latencies(kit: Any, count: int) -> tuple[list[float], list[float]]:
    """Seconds from before a push to after the pop that slept for it, shortest first; and the same,
    measured in turn with it, for `queue.Queue`: what this machine can do just now.
    """
    mine, plain = kit.package.CommandQueue(4), standard.Queue[Any](4)
    ways: tuple[tuple[Callable[[Any], object], Callable[[], object]], ...] = (
        (mine.push, lambda: mine.pop(kit.patience_s)),
        (plain.put, lambda: plain.get(True, kit.patience_s)),
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

    consumer = kit.call(consume)
    for number in range(count):
        for push, _pop in ways:
            ready.acquire(timeout=kit.patience_s)
            time.sleep(0.001)
            one = kit.command(50, number)
            stamps.append(time.perf_counter())
            push(one)
    kit.join([consumer])
    return sorted(late[0]), sorted(late[1])


# -- metrics -------------------------------------------------------------------------------------


def read_while_held(kit: Any, reads: int) -> tuple[int, float]:
    """Read the metrics while a thread holds every lock of the queue: reads made, and the
    processor time they took, in seconds.
    """
    locks: list[Any] = []

    def make() -> Any:
        locks.append(threading.Lock())
        return locks[-1]

    queue = kit.package.CommandQueue(4, primitives=kit.primitives(Lock=make))
    queue.push(kit.command(255, 0))
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
        kit.join([kit.call(read)])
    return done[0], took[0] if took else kit.patience_s
