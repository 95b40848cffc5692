"""Locks, counters and command queues: ours and what the standard library or a package offers."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np

from benchmarks.bounds import Bound
from benchmarks.harness import Side
from meridian.checks import available_cores
from meridian.foundation.sync import (
    LITMUS,
    AtomicArray,
    Command,
    CommandKind,
    CommandQueue,
    Mutex,
    Order,
    RwLock,
    ShardedCounter,
    fetch_add,
    run_litmus,
)
from meridian.orbital.screening import screen_altitude

__all__ = [
    "bulk_sides",
    "counter_sides",
    "kernel_sides",
    "litmus_bounds",
    "method_sides",
    "mutex_sides",
    "pair_sides",
    "rwlock_sides",
    "screening_sides",
    "threads_sides",
]

_KINDS = (CommandKind.SAFE_MODE, CommandKind.REPOINT, CommandKind.HOUSEKEEPING)


def commands(count: int, *, shuffled: bool = False, seed: int = 0) -> list[Command]:
    """Commands of three urgencies, made outside the clock; `issued_at` rises, or is shuffled."""
    times = np.arange(count)
    if shuffled:
        np.random.default_rng(seed).shuffle(times)
    made = []
    for number, issued_at in enumerate(times.tolist()):
        kind = _KINDS[number * 7 % 3]
        angles = {"azimuth": 10.0, "elevation": 45.0} if kind is CommandKind.REPOINT else {}
        made.append(Command.make(kind, issued_at=issued_at, **angles))
    return made


def _entry(number: int, command: Command) -> tuple[int, int, int, Command]:
    """What a heap orders as our queue does."""
    return (-command.priority, command.issued_at, number, command)


def pair_sides(*, shuffled: bool) -> Callable[[int], tuple[Side, Side]]:
    """One thread pushes everything, then pops everything."""

    def make(items: int) -> tuple[Side, Side]:
        made = commands(items, shuffled=shuffled)
        entries = [_entry(number, command) for number, command in enumerate(made)]

        def ours(waiting: CommandQueue) -> list[int]:
            for command in made:
                waiting.push(command)
            return [_number(waiting.pop()) for _ in made]

        def heap(waiting: queue.PriorityQueue[Any]) -> list[int]:
            for entry in entries:
                waiting.put(entry)
            return [waiting.get()[3].issued_at for _ in entries]

        return (
            Side("CommandQueue", ours, prepare=lambda: CommandQueue(items)),
            Side("queue.PriorityQueue", heap, prepare=lambda: queue.PriorityQueue(items)),
        )

    return make


def _number(command: Command | None) -> int:
    assert command is not None
    return command.issued_at


def threads_sides(capacity: int) -> Callable[[int], tuple[Side, Side]]:
    """Three producers and one consumer; a capacity of 0 stands for one that is never reached."""

    def make(items: int) -> tuple[Side, Side]:
        made = commands(items)
        entries = [_entry(number, command) for number, command in enumerate(made)]
        room = capacity or items

        def between(put: Callable[[Any], object], get: Callable[[], Any], what: list[Any]) -> int:
            producers = [
                threading.Thread(target=lambda part: [put(x) for x in part], args=(what[n::3],))
                for n in range(3)
            ]
            for thread in producers:
                thread.start()
            for _ in what:
                get()
            for thread in producers:
                thread.join()
            return len(what)

        return (
            Side(
                "CommandQueue",
                lambda q: between(q.push, q.pop, made),
                prepare=lambda: CommandQueue(room),
            ),
            Side(
                "queue.PriorityQueue",
                lambda q: between(q.put, q.get, entries),
                prepare=lambda: queue.PriorityQueue(room),
            ),
        )

    return make


def bulk_sides(batch: int) -> Callable[[int], tuple[Side, Side]]:
    """`push_many` and `pop_many` against the single calls."""

    def make(items: int) -> tuple[Side, Side]:
        made = commands(items)

        def single(waiting: CommandQueue) -> list[int]:
            for command in made:
                waiting.push(command)
            return [_number(waiting.pop()) for _ in made]

        def many(waiting: CommandQueue) -> list[int]:
            for start in range(0, items, batch):
                waiting.push_many(made[start : start + batch])
            found: list[int] = []
            while len(found) < items:
                found += [command.issued_at for command in waiting.pop_many(batch)]
            return found

        return (
            Side(f"push_many({batch})", many, prepare=lambda: CommandQueue(items)),
            Side("push and pop", single, prepare=lambda: CommandQueue(items)),
        )

    return make


def counter_sides(items: int) -> tuple[Side, Side]:
    """Adding one, again and again, in one thread."""

    def ours(counter: ShardedCounter) -> int:
        for _ in range(items):
            counter.add()
        return counter.value

    return Side("ShardedCounter.add", ours, prepare=ShardedCounter), _locked(items)


def method_sides(items: int) -> tuple[Side, Side]:
    """The method of an atomic, called from Python: what crossing into a kernel costs each time."""

    def ours(array: AtomicArray) -> int:
        for _ in range(items):
            array.fetch_add(0, 1)
        return int(array.load(0))

    return Side("AtomicArray.fetch_add", ours, prepare=lambda: AtomicArray(1)), _locked(items)


def _locked(items: int) -> Side:
    def theirs(lock: Any) -> int:
        count = 0
        for _ in range(items):
            with lock:
                count += 1
        return count

    return Side("with threading.Lock", theirs, prepare=threading.Lock)


def kernel_sides(items: int) -> tuple[Side, Side]:
    """Adding one without leaving the kernel: what leaving the interpreter buys."""
    add_all = numba.njit(nogil=True, cache=True)(_add_all)

    def ours(array: AtomicArray) -> int:
        add_all(array.cells, items)
        return int(array.load(0))

    add_all(AtomicArray(1).cells, 1)  # compiled outside the clock
    return Side("fetch_add in a kernel", ours, prepare=lambda: AtomicArray(1)), _locked(items)


def _add_all(cells: Any, items: int) -> None:
    for _ in range(items):
        fetch_add(cells, 0, 1, Order.RELAXED)


def litmus_bounds(_out: Path, quick: bool) -> list[Bound]:
    """What a round of the store-buffering test takes, two threads that meet included."""
    if available_cores() < LITMUS["SB"].threads:
        return []
    rounds = 1_000 if quick else 1_000_000
    run_litmus("SB", Order.RELAXED, 1)  # compiled outside the clock
    started_s = time.perf_counter()
    run_litmus("SB", Order.RELAXED, rounds)
    took_s = time.perf_counter() - started_s
    return [Bound("litmus test SB", "round", took_s / rounds * 1e9, 1e9 / 100_000)]


def mutex_sides(items: int) -> tuple[Side, Side]:
    """Taking and giving back a lock that nobody else wants."""

    def ours(mutex: Mutex[int]) -> int:
        for _ in range(items):
            with mutex.lock():
                pass
        return items

    def theirs(lock: Any) -> int:
        for _ in range(items):
            with lock:
                pass
        return items

    return (
        Side("Mutex", ours, prepare=lambda: Mutex(0)),
        Side("threading.Lock", theirs, prepare=threading.Lock),
    )


def rwlock_sides(items: int) -> tuple[Side, Side]:
    """Reading under a lock that nobody writes under."""
    from readerwriterlock.rwlock import RWLockFair

    def ours(lock: RwLock[int]) -> int:
        for _ in range(items):
            with lock.read():
                pass
        return items

    def theirs(lock: Any) -> int:
        for _ in range(items):
            with lock.gen_rlock():
                pass
        return items

    return (
        Side("RwLock.read", ours, prepare=lambda: RwLock(0)),
        Side("readerwriterlock, fair", theirs, prepare=RWLockFair),
    )


def screening_sides(items: int) -> tuple[Side, Side]:
    """All pairs of objects less than 5 km apart in altitude."""
    from scipy.spatial import cKDTree

    rng = np.random.default_rng(0)
    shells = rng.choice([550.0, 780.0, 1_200.0], items)
    altitudes = np.where(
        rng.random(items) < 0.1, shells + rng.normal(0, 15, items), rng.uniform(200, 36_000, items)
    )
    ids = np.arange(items, dtype=np.uint32)

    def pairs(first: Any, second: Any) -> Any:
        both = np.sort(np.stack([first, second], axis=1).astype(np.int64), axis=1)
        return both[np.lexsort((both[:, 1], both[:, 0]))]

    def ours(_: object) -> Any:
        return screen_altitude(ids, altitudes, 5.0)

    def theirs(_: object) -> Any:
        return cKDTree(altitudes[:, None]).query_pairs(5.0, output_type="ndarray")

    return (
        Side("screen_altitude", ours, answer=lambda _, a: pairs(a.object_a, a.object_b)),
        Side("scipy cKDTree.query_pairs", theirs, answer=lambda _, a: pairs(a[:, 0], a[:, 1])),
    )
