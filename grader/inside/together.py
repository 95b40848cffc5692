"""Calls made at once, and when each began and ended: the worker's half of a history.

Ticks count beginnings and ends, of all clients together. A tick is taken before a call begins and
after it has ended, so that two calls which did not overlap are never told as if they had.
"""

from __future__ import annotations

import itertools
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

__all__ = ["Prepared", "Row", "Rows", "in_threads"]

Prepared = tuple[Any, tuple[Any, ...]]
"""A function and its arguments."""
Row = tuple[int, int, bool, Any]
"""Tick of the beginning, of the end (-1: never), whether it raised, and what."""

_SWITCH_S = 1e-5
_YIELDS = 0.25


class Entry:
    """One call of one client."""

    def __init__(self, ticks: Iterator[int], call: Prepared) -> None:
        self.function, self.arguments = call
        self._ticks = ticks
        self._start = self._end = -1
        self._told: tuple[bool, Any] = (False, None)

    def begin(self) -> None:
        self._start = next(self._ticks)

    def end(self, value: Any, *, raised: bool = False) -> None:
        end = next(self._ticks)
        self._told = (raised, value)
        self._end = end

    def row(self) -> Row | None:
        if self._start < 0:
            return None
        end = self._end
        return (self._start, end, *((False, None) if end < 0 else self._told))


class Rows:
    """What all clients saw."""

    def __init__(self, clients: Sequence[Sequence[Prepared]]) -> None:
        ticks = itertools.count()
        self._entries = [[Entry(ticks, call) for call in calls] for calls in clients]

    def of(self, client: int) -> list[Entry]:
        return self._entries[client]

    def told(self) -> list[list[Row]]:
        """As far as it has come: the last call of a client may not have ended."""
        rows = [[entry.row() for entry in entries] for entries in self._entries]
        return [[row for row in client if row is not None] for client in rows]


def in_threads(
    clients: Sequence[Sequence[Prepared]],
    within_s: float,
    seed: int,
    is_watched: Callable[[str], bool],
) -> list[list[Row]]:
    """The calls of each client in a thread of its own, all threads at once.

    Threads change places often: the interpreter switches between them every few microseconds, and
    at lines drawn from `seed`, of files that are watched, a thread lets the others go first.
    """
    rows = Rows(clients)
    gate = threading.Barrier(len(clients))

    def client(number: int) -> None:
        order = random.Random(f"{seed}/{number}")

        def line(_frame: FrameType, event: str, _: Any) -> Any:
            if event == "line" and order.random() < _YIELDS:
                time.sleep(0)
            return line

        def enter(frame: FrameType, _event: str, _: Any) -> Any:
            return line if is_watched(frame.f_code.co_filename) else None

        gate.wait()
        sys.settrace(enter)
        try:
            for entry in rows.of(number):
                entry.begin()
                try:
                    value = entry.function(*entry.arguments)
                except Exception as error:
                    entry.end(error, raised=True)
                else:
                    entry.end(value)
        finally:
            sys.settrace(None)

    threads = [
        threading.Thread(target=client, args=(number,), name=f"client {number}", daemon=True)
        for number in range(len(clients))
    ]
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_S)
    deadline_s = time.monotonic() + within_s
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, deadline_s - time.monotonic()))
    finally:
        sys.setswitchinterval(before_s)
    return rows.told()
