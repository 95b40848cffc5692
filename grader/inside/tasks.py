"""Tasks in the worker: run a coroutine to its end, or hold one open between questions.

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
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from grader.inside.conversation import ConversationOver, Dispatcher

if TYPE_CHECKING:
    from grader.inside.event_loops import Loop

__all__ = ["KEEPER", "Entered", "Pump", "Started", "Task", "awaited", "keeper_here", "run_once"]

_OVER = object()

KEEPER = "the keeper of time"
"""The name of the task and the threads that move virtual time."""
keeper_here = threading.local()
"""Its ``keeper`` is the `Keeper` of the loop that runs in a thread, where time is virtual."""


class Task:
    """One task of a loop as a thread sees it: over when it really is, also after `cancel`."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
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
        started_s = time.monotonic()
        if not self.done():
            self._loop.until(self.done, timeout_s=timeout_s)
        left_s = None if timeout_s is None else timeout_s - (time.monotonic() - started_s)
        return self._over.wait(left_s)

    def result(self) -> Any:
        """What it returned, when it is over. Raises what it raised, or ``CancelledError``."""
        import asyncio

        self.wait(None)
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

    def is_over(self, task: Task) -> bool:
        """Whether it said so, or `task` never will."""
        return bool(self._values) or task.done()

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
        self._loop.until(lambda: not self._values.empty())
        return _next_of(self._values, self._task)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        """Leave the block, by `error` if there is one; whether that was swallowed."""
        self._thrown = error
        self._loop.until(self._task.done, self._leave.set)
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
        self._loop.until(lambda: not self._items.empty(), lambda: self._wanted.set())
        return _next_of(self._items, self._task)

    def close(self) -> None:
        if self._task.done():
            return
        self._closing = True
        self._loop.until(self._task.done, lambda: self._wanted.set())
        self._task.result()


def _next_of(values: queue.SimpleQueue[Any], task: Task) -> Any:
    """The next value that `task` gives. Raises what ended it instead, or `StopIteration`."""
    value = values.get()
    if value is _OVER:
        values.put(_OVER)  # for whoever asks again
        task.result()
        raise StopIteration
    return value


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

    keeper = getattr(keeper_here, "keeper", None)
    if keeper is not None:
        keeper.held += 1
    try:
        dispatcher.submit(work)
        await wait()
    finally:
        if keeper is not None:
            keeper.held -= 1
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
