"""Event loops in the worker: run a coroutine to its end, or keep one going between questions.

asyncio is always there, trio where the box has it; code written for anyio runs on either. A task,
an entered context manager and an async iterator are one task of the loop each, from its beginning
to its end, as cancel scopes require.
"""

from __future__ import annotations

import contextlib
import inspect
import queue
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any

from grader.conversation import ConversationOver, Dispatcher

__all__ = ["AsyncioLoop", "Loop", "Task", "TrioLoop", "awaited", "open_loop", "run_once"]

_END_S = 2.0
_OVER = object()


class Task:
    """One task of a loop as a thread sees it: over when it really is, also after `cancel`."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._value: Any = None
        self._error: BaseException | None = None
        self._cancelled = False
        self._lock = threading.Lock()
        self._after: list[Callable[[], None]] = []
        self.stop: Callable[[], None] = lambda: None

    def done(self) -> bool:
        return self._over.is_set()

    def cancelled(self) -> bool:
        return self._cancelled

    def cancel(self) -> None:
        """Ask it to stop, and do not wait for that."""
        self.stop()

    def wait(self, timeout_s: float | None) -> bool:
        """Whether it is over within that time."""
        return self._over.wait(timeout_s)

    def result(self) -> Any:
        """What it returned, when it is over. Raises what it raised, or ``CancelledError``."""
        import asyncio

        self._over.wait()
        if self._cancelled:
            raise asyncio.CancelledError
        if self._error is not None:
            raise self._error
        return self._value

    def end(
        self, value: Any = None, error: BaseException | None = None, *, cancelled: bool = False
    ) -> None:
        self._value, self._error, self._cancelled = value, error, cancelled
        with self._lock:
            self._over.set()
        for function in self._after:
            function()

    def when_over(self, function: Callable[[], None]) -> None:
        with self._lock:
            if not self._over.is_set():
                self._after.append(function)
                return
        function()


class Started:
    """The ``task_status`` of anyio and trio: a server says that it serves, and where."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._values: list[Any] = []

    def started(self, value: Any = None) -> None:
        self._values.append(value)
        self._event.set()

    def wait(self, task: Task) -> Any:
        """The value, as soon as it is there. Raises what `task` raised before that."""
        task.when_over(self._event.set)
        self._event.wait()
        if not self._values:
            task.result()
            raise RuntimeError("It returned without calling task_status.started()")
        return self._values[0]


class Entered:
    """An async context manager that is open between two questions."""

    def __init__(self, loop: Loop, manager: Any) -> None:
        self._loop = loop
        self._values: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thrown: BaseException | None = None
        self._leave = loop.event()

        async def hold() -> None:
            async with manager as value:
                self._values.put(value)
                await self._leave.wait()
                if self._thrown is not None:
                    raise self._thrown

        self._task = loop.spawn(hold)
        self._task.when_over(lambda: self._values.put(_OVER))

    def value(self) -> Any:
        """What entering gave. Raises what it raised."""
        return _next_of(self._values, self._task)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        """Leave the block, by `error` if there is one; whether that was swallowed."""
        self._thrown = error
        self._loop.do(self._leave.set)
        try:
            self._task.result()
        except BaseException as raised:
            if raised is not error:
                raise
            return False
        return error is not None


class Pump:
    """An async iterator, one item for each question."""

    def __init__(self, loop: Loop, source: Any) -> None:
        self._loop = loop
        self._items: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._wanted = loop.event()
        self._closing = False

        async def pump() -> None:
            iterator = type(source).__aiter__(source)
            while True:
                await self._wanted.wait()
                self._wanted = loop.event()
                if self._closing:
                    break
                try:
                    item = await type(iterator).__anext__(iterator)
                except StopAsyncIteration:
                    return
                self._items.put(item)
            if hasattr(iterator, "aclose"):
                await iterator.aclose()

        self._task = loop.spawn(pump)
        self._task.when_over(lambda: self._items.put(_OVER))

    def __iter__(self) -> Pump:
        return self

    def __next__(self) -> Any:
        self._loop.do(lambda: self._wanted.set())
        return _next_of(self._items, self._task)

    def close(self) -> None:
        if self._task.done():
            return
        self._closing = True
        self._loop.do(lambda: self._wanted.set())
        self._task.result()


def _next_of(values: queue.SimpleQueue[Any], task: Task) -> Any:
    """The next value that `task` gives. Raises what ended it instead, or `StopIteration`."""
    value = values.get()
    if value is _OVER:
        values.put(_OVER)  # for whoever asks again
        task.result()
        raise StopIteration
    return value


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


def run_once(backend: str, function: Any, arguments: Any, keywords: Any) -> Any:
    """The result of an async function, in a loop that begins and ends with it."""

    async def main() -> Any:
        value = function(*arguments, **keywords)
        if not inspect.isawaitable(value):
            raise TypeError(f"Expected an async function; it returned {type(value).__name__}")
        return await value

    if backend == "trio":
        import trio

        return trio.run(main)
    import asyncio

    return asyncio.run(main())


async def awaited(dispatcher: Dispatcher, job: Callable[[Callable[[], None]], Any]) -> Any:
    """The result of ``job(spoken)``, made in a thread of `dispatcher` while this loop goes on."""
    wait, post = _bell()
    outcome: list[tuple[Any, BaseException | None]] = []

    def work(spoken: Callable[[], None]) -> None:
        try:
            outcome.append((job(spoken), None))
        except ConversationOver:
            raise
        except BaseException as error:
            outcome.append((None, error))
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
            post()

    dispatcher.submit(work)
    await wait()
    value, error = outcome[0]
    if error is not None:
        raise error
    return value


def _bell() -> tuple[Callable[[], Awaitable[Any]], Callable[[], None]]:
    """A wait for the running loop, and a function that ends it from any thread."""
    trio: Any = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        event, token = trio.Event(), trio.lowlevel.current_trio_token()
        return event.wait, lambda: token.run_sync_soon(event.set)
    import asyncio

    loop, bell = asyncio.get_running_loop(), asyncio.Event()

    def post() -> None:
        loop.call_soon_threadsafe(bell.set)

    return bell.wait, post
