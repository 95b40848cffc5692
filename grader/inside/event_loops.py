"""Event loops that go on in the worker between questions, each in a thread of its own."""

from __future__ import annotations

import functools
import inspect
import math
import queue
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from grader.inside.conversation import CALLBACKS
from grader.inside.tasks import KEEPER, Entered, Pump, Started, Task, keeper_here
from grader.inside.together import Prepared, Row, Rows

if TYPE_CHECKING:
    from grader.inside.steering import Keeper

__all__ = ["END_S", "Deadlock", "Loop"]

END_S = 2.0
"""How long a loop has to end when it is told to."""


class Deadlock(RuntimeError):
    """What the judge waits for can never come."""


class Loop(ABC):
    """An event loop in a thread of its own, asked from others.

    With a `keeper` its time is virtual: each question lets it run until every task waits, and
    nothing moves between questions. So what happens depends on the questions alone.
    """

    def __init__(self, keeper: Keeper | None = None, seed: int | None = None) -> None:
        self._keeper = keeper
        self._seed = seed
        self._threads = set(threading.enumerate())
        up = threading.Event()
        self._thread = threading.Thread(target=self._main, args=(up,), name="loop", daemon=True)
        self._thread.start()
        up.wait()
        self.until(lambda: True)

    def _main(self, up: threading.Event) -> None:
        keeper_here.keeper = self._keeper
        self._run(up)

    @abstractmethod
    def _run(self, up: threading.Event) -> None:
        """Set `up` inside the loop, and return when `stop` asks for it."""

    @abstractmethod
    def spawn_all(self, functions: Sequence[Callable[[], Awaitable[Any]]]) -> list[Task]:
        """Start tasks, all of them before any runs."""

    @abstractmethod
    def do(self, function: Callable[[], Any]) -> None:
        """Run a plain function in the loop, soon."""

    @abstractmethod
    def event(self) -> Any:
        """An event of this backend: ``set()`` in the loop, and ``await wait()``."""

    @abstractmethod
    def time(self) -> float:
        """Seconds by the loop's clock."""

    @abstractmethod
    async def _settle(self) -> None:
        """Return when every other task waits for something."""

    @abstractmethod
    def stop(self) -> None:
        """Cancel every task and end the loop. Waits for that, but not for ever."""

    def until(
        self,
        goal: Callable[[], bool],
        begin: Callable[[], Any] | None = None,
        *,
        timeout_s: float | None = None,
        until_s: float = math.inf,
        or_stuck: bool = False,
    ) -> None:
        """Do `begin` in the loop, and let virtual time pass until `goal` holds at a rest.

        No longer than `timeout_s` of real time, nor beyond `until_s` of virtual time. Raises
        `Deadlock` when nothing can move any more, or returns with `or_stuck`. Where time is real
        it does `begin`, no more.
        """
        keeper = self._keeper
        if keeper is None:
            if begin is not None:
                self.do(begin)
            return
        news: queue.SimpleQueue[bool] = queue.SimpleQueue()

        def start() -> None:
            if begin is not None:
                begin()
            keeper.want(goal, until_s, news)

        self.do(start)
        deadline_s = math.inf if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left_s = min(deadline_s - time.monotonic(), threading.TIMEOUT_MAX)
            try:
                reached = news.get(timeout=max(0.0, left_s))
            except queue.Empty:
                break
            if reached:
                return
            if not self._has_threads():
                self.do(lambda: keeper.drop(news))
                if or_stuck:
                    return
                raise Deadlock("Every task waits for another, and no timer is set")
        self.do(lambda: keeper.drop(news))

    def _has_threads(self) -> bool:
        """Whether the submission has started any since this loop began: one may move things."""
        now = set(threading.enumerate()) - self._threads - {self._thread}
        return any(thread.name not in (KEEPER, CALLBACKS) for thread in now)

    def spawn(self, function: Callable[[], Awaitable[Any]]) -> Task:
        """Start a task."""
        (task,) = self.spawn_all([function])
        return task

    def call(self, function: Any, arguments: Any, keywords: Any) -> Any:
        """``function(*arguments)`` in a task of its own, awaited when it can be."""
        return self.start(function, arguments, keywords).result()

    def start(self, function: Any, arguments: Any, keywords: Any) -> Task:
        async def begin() -> Any:
            value = function(*arguments, **keywords)
            return await value if inspect.isawaitable(value) else value

        return self.spawn(begin)

    def serve(self, function: Any, arguments: Any, keywords: Any) -> tuple[Task, Any]:
        """The task and what it gave to ``task_status.started()``."""
        status = Started()
        task = self.start(function, arguments, {**keywords, "task_status": status})
        self.until(lambda: status.is_over(task))
        return task, status.wait(task)

    def enter(self, manager: Any) -> tuple[Entered, Any]:
        entered = Entered(self, manager)
        return entered, entered.value()

    def iterate(self, source: Any) -> Pump:
        return Pump(self, source)

    def settle(self) -> None:
        if self._keeper is None:
            self.spawn(self._settle).result()
        else:
            self.until(lambda: True)

    def advance(self, seconds: float) -> None:
        """Let so much virtual time pass. Raises `ValueError` where time is real, or goes back."""
        if self._keeper is None:
            raise ValueError('Expected a loop with clock="virtual"; real time cannot be advanced')
        if not 0 <= seconds < math.inf:
            raise ValueError(f"Expected a finite time >= 0 s, got {seconds}")
        to_s = self.time() + seconds
        self.until(lambda: self.time() >= to_s, until_s=to_s)

    def together(self, clients: Sequence[Sequence[Prepared]], within_s: float) -> list[list[Row]]:
        """What each client saw, one task each: not beyond `within_s`, nor until nothing moves."""
        rows = Rows(clients)

        async def client(number: int) -> None:
            for entry in rows.of(number):
                entry.begin()
                try:
                    value = entry.function(*entry.arguments)
                    entry.end(await value if inspect.isawaitable(value) else value)
                except Exception as error:
                    entry.end(error, raised=True)

        starts = [functools.partial(client, number) for number in range(len(clients))]
        tasks = self.spawn_all(starts)
        deadline_s = time.monotonic() + within_s
        self.until(lambda: all(task.done() for task in tasks), timeout_s=within_s, or_stuck=True)
        if self._keeper is None:
            for task in tasks:
                task.wait(max(0.0, deadline_s - time.monotonic()))
        told = rows.told()
        for task in tasks:
            task.cancel()
        return told
