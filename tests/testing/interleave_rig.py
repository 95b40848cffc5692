"""Scenarios that the tests of the seeded scheduler share."""

from __future__ import annotations

from typing import Any

from meridian.testing.interleave import (
    Bundle,
    Failure,
    Report,
)

__all__ = ["bounded_buffer", "lock_order", "locked_update", "lost_update", "only", "start"]


def only(report: Report) -> Failure:
    assert len(report.failures) == 1, report
    return report.failures[0]


def start(bundle: Bundle, *bodies: Any) -> None:
    threads = [bundle.Thread(target=body, name=body.__name__) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def lost_update(bundle: Bundle) -> Any:
    """Read under the lock, write under the lock, but the lock is let go between."""
    lock = bundle.Lock()
    box = [0]

    def add() -> None:
        with lock:
            seen = box[0]
        with lock:
            box[0] = seen + 1

    def add_too() -> None:
        add()

    start(bundle, add, add_too)
    return lambda: box == [2]


def lock_order(bundle: Bundle) -> None:
    fork = bundle.Lock()
    knife = bundle.Lock()

    def left() -> None:
        with fork, knife:
            pass

    def right() -> None:
        with knife, fork:
            pass

    start(bundle, left, right)


def locked_update(bundle: Bundle) -> Any:
    lock = bundle.Lock()
    box = [0]

    def add() -> None:
        with lock:
            box[0] += 1

    def add_too() -> None:
        add()

    start(bundle, add, add_too)
    return lambda: box == [2]


def bounded_buffer(bundle: Bundle) -> Any:
    lock = bundle.Lock()
    room = bundle.Condition(lock)
    filled = bundle.Condition(lock)
    items: list[int] = []
    taken: list[int] = []

    def producer() -> None:
        for item in range(2):
            with lock:
                while items:
                    room.wait()
                items.append(item)
                filled.notify()

    def second() -> None:
        producer()

    def consumer() -> None:
        for _ in range(4):
            with lock:
                while not items:
                    filled.wait()
                taken.append(items.pop())
                room.notify()

    start(bundle, producer, second, consumer)
    return lambda: sorted(taken) == [0, 0, 1, 1]
