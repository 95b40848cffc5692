"""Event loops that go on in the worker between questions, each in a thread of its own."""

from __future__ import annotations

import inspect
import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any

from grader.inside.tasks import Entered, Pump, Started, Task

__all__ = ["AsyncioLoop", "Loop", "TrioLoop", "open_loop"]

_END_S = 2.0


class Loop(ABC):
    """An event loop in a thread of its own, asked from others."""

    def __init__(self) -> None:
        up = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(up,), name="loop", daemon=True)
        self._thread.start()
        up.wait()

    @abstractmethod
    def _run(self, up: threading.Event) -> None:
        """Set `up` inside the loop, and return when `stop` asks for it."""

    @abstractmethod
    def spawn(self, function: Callable[[], Awaitable[Any]]) -> Task:
        """Start a task."""

    @abstractmethod
    def do(self, function: Callable[[], Any]) -> None:
        """Run a plain function in the loop, soon."""

    @abstractmethod
    def event(self) -> Any:
        """An event of this backend: ``set()`` in the loop, and ``await wait()``."""

    @abstractmethod
    async def _settle(self) -> None:
        """Return when every other task waits for something."""

    @abstractmethod
    def stop(self) -> None:
        """Cancel every task and end the loop. Waits for that, but not for ever."""

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
        return task, status.wait(task)

    def enter(self, manager: Any) -> tuple[Entered, Any]:
        entered = Entered(self, manager)
        return entered, entered.value()

    def iterate(self, source: Any) -> Pump:
        return Pump(self, source)

    def settle(self) -> None:
        self.spawn(self._settle).result()


class AsyncioLoop(Loop):
    """asyncio. A task counts as waiting when the future it awaits is not done."""

    def _run(self, up: threading.Event) -> None:
        import asyncio

        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            self._loop.call_soon(up.set)
            self._loop.run_forever()

    def spawn(self, function: Callable[[], Awaitable[Any]]) -> Task:
        import asyncio

        task = Task()

        async def run() -> None:
            try:
                task.end(await function())
            except asyncio.CancelledError:
                task.end(cancelled=True)
                raise
            except BaseException as error:
                task.end(error=error)

        def start() -> None:
            ours = self._loop.create_task(run())
            task.stop = lambda: self.do(ours.cancel)

        task.stop = lambda: self.do(lambda: task.stop())  # until it has started
        self.do(start)
        return task

    def do(self, function: Callable[[], Any]) -> None:
        self._loop.call_soon_threadsafe(function)

    def event(self) -> Any:
        import asyncio

        return asyncio.Event()

    async def _settle(self) -> None:
        import asyncio

        quiet, me = 0, asyncio.current_task()
        while quiet < 2:
            await asyncio.sleep(0)
            others = asyncio.all_tasks() - {me}
            waits = [getattr(task, "_fut_waiter", None) for task in others]
            quiet = quiet + 1 if all(w is not None and not w.done() for w in waits) else 0

    def stop(self) -> None:
        if self._thread.is_alive():
            self.do(self._loop.stop)
            self._thread.join(_END_S)


class TrioLoop(Loop):
    """trio: every task has a cancel scope of its own."""

    def _run(self, up: threading.Event) -> None:
        import trio

        async def main() -> None:
            self._token = trio.lowlevel.current_trio_token()
            async with trio.open_nursery() as self._nursery:
                up.set()
                await trio.sleep_forever()

        trio.run(main)

    def spawn(self, function: Callable[[], Awaitable[Any]]) -> Task:
        import trio

        task, scope = Task(), trio.CancelScope()
        task.stop = lambda: self.do(scope.cancel)

        async def run() -> None:
            value = None
            try:
                with scope:
                    value = await function()
            except trio.Cancelled:
                task.end(cancelled=True)
                raise
            except BaseException as error:
                task.end(error=error)
            else:
                task.end(value, cancelled=scope.cancelled_caught)

        self.do(lambda: self._nursery.start_soon(run))
        return task

    def do(self, function: Callable[[], Any]) -> None:
        self._token.run_sync_soon(function)

    def event(self) -> Any:
        import trio

        return trio.Event()

    async def _settle(self) -> None:
        import trio.testing

        await trio.testing.wait_all_tasks_blocked()

    def stop(self) -> None:
        if self._thread.is_alive():
            self.do(self._nursery.cancel_scope.cancel)
            self._thread.join(_END_S)


def open_loop(backend: str) -> Loop:
    """A running loop. Raises `ModuleNotFoundError` where the box has no such backend."""
    if backend == "trio":
        import trio  # noqa: F401 - its absence is told here, not from a thread

        return TrioLoop()
    return AsyncioLoop()
