"""The judge's side of an event loop that runs in the worker between questions.

An ordinary test drives asynchronous code step by step: start a task, let everything come to rest,
look, send, look again.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

from grader.errors import WorkerLost
from grader.judging.compare import CriterionFailed
from grader.judging.histories import History
from grader.proxy.proxy import Remote, exactly, finish, leave
from grader.proxy.recording import Clients, recorded

__all__ = ["BACKENDS", "CLOCKS", "Block", "Loop", "Stream", "Task"]

BACKENDS = ("asyncio", "trio")
CLOCKS = ("real", "virtual")


class Task:
    """A task of a `Loop`. `ready` is what it gave to ``task_status.started()``."""

    def __init__(self, remote: Remote, label: str, ready: Any = None) -> None:
        self._remote = remote
        self._label = label
        self.ready = ready

    def done(self) -> bool:
        """Whether it is over: returned, raised, or really cancelled."""
        return exactly(bool, self._ask("done"), self._label)

    def cancelled(self) -> bool:
        return exactly(bool, self._ask("cancelled"), self._label)

    def cancel(self) -> None:
        """Ask it to stop. `result` waits until it has."""
        self._ask("cancel")

    def result(self, timeout_s: float = 5.0) -> Any:
        """What it returned. Raises the `RemoteError` of what it raised, or of ``CancelledError``.

        Raises `CriterionFailed` when it is not over within `timeout_s`; keep that below the limit
        of one question.
        """
        if not exactly(bool, self._ask("wait", timeout_s), self._label):
            raise CriterionFailed(f"{self._label} is not done after {timeout_s:g} s")
        return self._ask("result")

    def _ask(self, method: str, *arguments: Any) -> Any:
        connection = self._remote._connection
        return connection.ask("method", self._remote, method, *arguments, label=self._label)


class Block:
    """A ``with`` around an async context manager that lives in one task of the loop."""

    def __init__(self, loop: Loop, manager: Remote) -> None:
        self._loop = loop
        self._manager = manager
        self.held = manager
        """What leaving asks, once entered."""

    def __enter__(self) -> Any:
        label = self._manager._label
        self.held, value = self._loop._ask("enter", self._manager, label=label)
        return value

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        leave(self.held, error)


class Stream:
    """``async for``, one item for each question: nothing is read ahead."""

    def __init__(self, pump: Remote, label: str) -> None:
        self._pump = pump
        self._label = label

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Any:
        items, end = self._pump._ask("next", 1, label=self._label)
        if end is not None:
            finish(end, self._label)
        if len(items) != 1:
            raise WorkerLost("crashed", "Broken answer: neither an item nor the end")
        return items[0]

    def close(self) -> None:
        """Stop early: ``aclose()`` in the same task. Closing twice is harmless."""
        self._pump._connection.ask("method", self._pump, "close", label=self._label)


class Loop:
    """An event loop in a thread of the worker; ends with the worker, `close` or ``with``."""

    def __init__(self, remote: Remote, how: str = "") -> None:
        self._remote = remote
        self._how = how

    def call(self, function: Remote, *arguments: Any, **keywords: Any) -> Any:
        """``await function(*arguments)`` in a task of its own, to its end.

        A plain function is called in the loop's thread, where asynchronous code may be touched.
        """
        return self._ask("call", function, arguments, keywords, label=function._label)

    def start(self, function: Remote, *arguments: Any, **keywords: Any) -> Task:
        """The same as a task that goes on while the judge does something else."""
        task = self._ask("start", function, arguments, keywords, label=function._label)
        return Task(task, function._label)

    def serve(self, function: Remote, *arguments: Any, **keywords: Any) -> Task:
        """`start` with a ``task_status``; returns when its ``started(value)`` was called."""
        label = function._label
        task, ready = self._ask("serve", function, arguments, keywords, label=label)
        return Task(task, label, ready)

    def entered(self, manager: Remote) -> Block:
        """``async with manager as value`` around a block of the test."""
        return Block(self, manager)

    def iterate(self, source: Remote) -> Stream:
        """``async for`` over `source`."""
        return Stream(self._ask("iterate", source, label=source._label), source._label)

    def settle(self) -> None:
        """Return when every task waits for something: a clock, a socket, another task."""
        self._ask("settle", label="the event loop coming to rest")

    def time(self) -> float:
        """Seconds by the loop's own clock, as the worker tells it."""
        return exactly(float, self._ask("time"), "The loop's clock")

    def advance(self, seconds: float) -> None:
        """Let virtual time pass: timers that come due run in their order, at their time.

        Raises `RemoteError` (``ValueError``) on a loop whose clock is real.
        """
        self._ask("advance", float(seconds), label="advancing the clock")

    def together(self, clients: Clients, within_s: float = 5.0) -> History:
        """What tasks saw that made calls at once: one task for each of `clients`.

        A client is a list of calls made one after the other, ``(function, *arguments)``, or
        ``("name", function, *arguments)`` for another name than the function's own. Calls that
        have not returned after `within_s`, or when no task can move any more, never return.
        """
        return recorded(self._remote._connection, self._remote, clients, within_s, 0, self._how)

    def close(self) -> None:
        """Cancel every task and end the loop. Closing twice is harmless."""
        if self._remote._connection.alive:
            self._ask("stop")

    def __enter__(self) -> Loop:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, method: str, *arguments: Any, label: str = "") -> Any:
        connection = self._remote._connection
        return connection.ask("method", self._remote, method, *arguments, label=label)
