"""What runs in the worker: producers and consumers that wait, the end of a queue.

Each begins with `kit`, made by the other probe. Hostile code could tamper with what is counted.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

Row = tuple[int, int]  # priority, issued_at


class Crowd:
    """A producer thread for each of `rows`; what became of each push. Begins when `waiting` wait,
    or after a while.
    """

    def __init__(self, kit: Any, queue: Any, rows: Sequence[Row], waiting: int) -> None:
        self._kit = kit
        self._calls = [kit.call(queue.push, one) for one in kit.commands(rows)]
        kit.wait_until(lambda: queue.waiting_producers >= waiting)

    @property
    def outcomes(self) -> list[str]:
        return [call.outcome for call in self._calls]

    def count(self, what: str) -> int:
        return self.outcomes.count(what)

    def ended(self) -> float:
        """Seconds until all have ended."""
        return float(self._kit.join(self._calls))


class Sleepers:
    """Consumers that wait in `pop`, and what it gave them."""

    def __init__(self, kit: Any, queue: Any, count: int) -> None:
        self._kit = kit
        self._calls = [kit.call(queue.pop) for _ in range(count)]
        time.sleep(0.1)

    def ended(self) -> list[str]:
        self._kit.join(self._calls)
        return sorted(
            type(call.value).__name__ if call.outcome == "returned" else call.outcome
            for call in self._calls
        )


def drained(kit: Any, rows: Sequence[Row]) -> list[int]:
    """Push all, shut down, pop two more than there are; -1 for None, -2 for a pop that waits."""
    queue, made = kit.filled(rows)
    queue.shutdown()
    popped: list[Any] = []

    def consume() -> None:
        for _ in range(len(made) + 2):
            popped.append(queue.pop())  # noqa: PERF401 - it is read while a pop waits

    consumer = kit.call(consume)
    kit.join([consumer])
    numbers = kit.numbers(made, popped)
    told = [-3 if n < 0 and one is not None else n for n, one in zip(numbers, popped, strict=False)]
    metrics = queue.metrics.snapshot()
    counted = [metrics.commands_pushed, metrics.commands_dispatched]
    return [*told, *([-2] if consumer.outcome == "waits" else []), *counted]


def pops(kit: Any, queue: Any, count: int) -> list[int]:
    """`issued_at` of the next commands, one pop right after the other; -1 for what is none."""
    return [getattr(queue.pop(kit.patience_s), "issued_at", -1) for _ in range(count)]


def pop_seconds(kit: Any, queue: Any) -> float:
    began = time.perf_counter()
    queue.pop(kit.patience_s)
    return time.perf_counter() - began
