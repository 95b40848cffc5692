"""What runs in the worker: the demo, and the work of a race.

Each begins with `kit`, made by the other probe. Hostile code could tamper with what is counted.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

Row = tuple[int, int]  # priority, issued_at


def demo(kit: Any) -> dict[str, Any]:
    """`run_demo()` as plain data."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        report = kit.package.run_demo()
    place = {id(one): number for number, one in enumerate(report.arrived, 1)}
    return {
        "dispatched": [
            (one.priority, one.kind.name, place.get(id(one), 0)) for one in report.dispatched
        ],
        "samples": [(at.at_s, *_counts(at.snapshot)) for at in report.samples],
        "final": _counts(report.final),
        "printed": printed.getvalue(),
    }


def _counts(snapshot: Any) -> tuple[int, int, int]:
    return (
        snapshot.commands_pushed,
        snapshot.commands_dispatched,
        snapshot.safe_mode_count,
    )


# -- the race ------------------------------------------------------------------------------------


class Work:
    """Commands made outside the clock, pushed and popped inside it."""

    def __init__(self, kit: Any) -> None:
        self._kit = kit
        self._made: list[Any] = []
        self._popped: list[Any] = []

    def deal(self, rows: Sequence[Row]) -> None:
        self._made = self._kit.commands(rows)
        self._popped = []

    def alone(self) -> int:
        """One thread: all in, all out."""
        queue = self._kit.package.CommandQueue(len(self._made))
        push, pop = queue.push, queue.pop
        for one in self._made:
            push(one)
        self._popped = [pop() for _ in self._made]
        return len(self._popped)

    def together(self) -> int:
        """Three producers, one consumer, no bound that is reached."""
        queue = self._kit.package.CommandQueue(len(self._made))

        def produce(part: Sequence[Any]) -> None:
            for one in part:
                queue.push(one)

        def consume() -> None:
            for _ in self._made:
                self._popped.append(queue.pop())

        call = self._kit.call
        self._kit.join([*(call(produce, self._made[part::3]) for part in range(3)), call(consume)])
        return len(self._popped)

    def order(self) -> list[int]:
        return list(self._kit.numbers(self._made, self._popped))
