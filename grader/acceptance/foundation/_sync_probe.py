"""What runs in the worker, beside the queue: commands, threads, primitives for every other probe.

Hostile code could tamper with what is counted here: the tests say where they rely on it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

Row = tuple[int, int]  # priority, issued_at

PATIENCE_S = 4.0  # what a thread of the submission may take before it is called stuck


class Kit:
    """One package, and what all probes do with it."""

    patience_s = PATIENCE_S

    def __init__(self, package: Any) -> None:
        self.package = package

    def command(self, priority: int, issued_at: int) -> Any:
        """SAFE_MODE for 255, else a request for status with that priority."""
        kinds = self.package.CommandKind
        kind = kinds.SAFE_MODE if priority == 255 else kinds.STATUS_REQUEST
        return self.package.Command.make(kind, priority=priority, issued_at=issued_at)

    def commands(self, rows: Sequence[Row]) -> list[Any]:
        return [self.command(*row) for row in rows]

    def filled(self, rows: Sequence[Row]) -> tuple[Any, list[Any]]:
        """A queue that just holds all of `rows`, and the commands."""
        made = self.commands(rows)
        queue = self.package.CommandQueue(len(made))
        for one in made:
            queue.push(one)
        return queue, made

    def primitives(self, **parts: Any) -> Any:
        """The package's bundle, with these parts in place of the real ones."""
        given = {
            "Lock": threading.Lock,
            "Condition": threading.Condition,
            "Thread": threading.Thread,
            "monotonic_ns": time.monotonic_ns,
        }
        return self.package.Primitives(**(given | parts))

    def push_outcome(self, queue: Any, row: Row, timeout: float) -> str:
        return outcome(queue.push, self.command(*row), timeout)

    @staticmethod
    def call(function: Callable[..., Any], *arguments: Any) -> Call:
        """The same in a thread of its own."""
        return Call(function, *arguments)

    @staticmethod
    def join(calls: Sequence[Call]) -> float:
        """Seconds until all have ended; `PATIENCE_S` or more when one has not."""
        began = time.perf_counter()
        for call in calls:
            call.ended(began + PATIENCE_S)
        return time.perf_counter() - began

    @staticmethod
    def wait_until(condition: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
        """Return when it holds, or after a while."""
        deadline = time.perf_counter() + seconds
        while not condition() and time.perf_counter() < deadline:
            time.sleep(0.001)

    @staticmethod
    def numbers(made: Sequence[Any], popped: Iterable[Any]) -> list[int]:
        """The number in `made` of each that was popped, -1 for one that is none of them."""
        number = {id(one): n for n, one in enumerate(made)}
        return [number.get(id(one), -1) for one in popped]


class Call:
    """A call in a thread of its own; a daemon, so that one that waits for ever keeps nothing.

    `outcome` is "waits", then "returned" or the class of what was raised; `value` what it gave.
    """

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.outcome = "waits"
        self.value: Any = None
        self._thread = threading.Thread(target=self._run, args=(function, arguments), daemon=True)
        self._thread.start()

    def _run(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        def keep() -> None:
            self.value = function(*arguments)

        self.outcome = outcome(keep)

    def ended(self, deadline: float) -> str:
        """The outcome, waited for until `deadline` of `time.perf_counter`."""
        self._thread.join(max(0.0, deadline - time.perf_counter()))
        return self.outcome


def outcome(function: Callable[..., Any], *arguments: Any) -> str:
    """ "returned", or the class of what was raised."""
    try:
        function(*arguments)
    except Exception as error:
        return type(error).__name__
    return "returned"


def size(queue: Any) -> int:
    return len(queue)
