"""Tasks that fail alone, and are all accounted for in the end.

A task group cancels every sibling when one child fails: one bad station would end the broker. Here
a child's failure is recorded, and the others do not notice; and still no task outlives its block.

Reference: ``TaskTracker`` and ``JoinHandle`` of tokio-util and Tokio.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Generic, NamedTuple, TypeVar, cast

import anyio
import structlog
from anyio.abc import TaskGroup

from meridian.errors import MeridianError
from meridian.foundation.tasks.exits import TaskExit, cancellation_in, classify
from meridian.foundation.tasks.parking import Waiters, current_budget, loop_here
from meridian.foundation.tasks.readiness import PENDING, Pending, Ready
from meridian.foundation.tasks.select import select

__all__ = [
    "EndedTask",
    "TaskAborted",
    "TaskHandle",
    "TaskTracker",
    "TrackerClosed",
    "abort_on_exit",
]

T = TypeVar("T")
_KEPT_EXITS = 1024
_log = structlog.get_logger(__name__)


class TaskAborted(MeridianError):
    """The result was asked of a task that was aborted before it had one."""

    def __init__(self, name: str, reason: str = "") -> None:
        self.name = name
        self.reason = reason
        super().__init__(f"Task {name} was aborted" + (f": {reason}" if reason else ""))


class TrackerClosed(MeridianError, RuntimeError):
    """A task was given to a tracker that takes none any more."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"Tracker {name} is closed: reopen() it, or make a new one")


class EndedTask(NamedTuple):
    """A task that is over."""

    name: str
    exit: TaskExit[Any]


class _Home(NamedTuple):
    """Where the tasks of a tracker run."""

    thread: int
    post: Callable[[Callable[[], object]], object]


class TaskHandle(Generic[T]):
    """One task of a tracker, to ask and to stop. Losing it stops nothing.

    A branch of `select`, ready with the `TaskExit` when the task is over.
    """

    def __init__(self, name: str, home: _Home) -> None:
        self.name = name
        self.exit: TaskExit[T] | None = None
        self.aborted = False
        """Whether `abort` was called in time; the task may still end as it likes."""
        self._task: anyio.TaskHandle[None] | None = None
        self._waiters = Waiters()
        self._home = home

    @property
    def done(self) -> bool:
        return self.exit is not None

    async def join(self) -> TaskExit[T]:
        """Wait until the task is over. Being cancelled here does not touch it."""
        if self.exit is None:
            return (await select(self))[1]
        budget = current_budget()
        if budget.spend():
            await budget.turn()
        return self.exit

    async def result(self) -> T:
        """What the task returned; raises what it raised, `TaskAborted` when it was aborted."""
        match await self.join():
            case TaskExit.Ok(value):
                return cast("T", value)
            case TaskExit.Errored(exc) | TaskExit.Panicked(exc):
                raise exc
            case TaskExit.Aborted(reason):
                raise TaskAborted(self.name, reason)
        raise AssertionError("unreachable")

    def abort(self) -> None:
        """Cancel the task; from any thread, at once. Before its first step, none is made."""
        if threading.get_ident() == self._home.thread:
            self._cancel()
        else:
            self._home.post(self._cancel)

    def _cancel(self) -> None:
        if self.exit is None:
            self.aborted = True
            if self._task is not None:
                self._task.cancel()

    # -- as a branch of select -------------------------------------------------------------------

    def try_take(self) -> Ready[TaskExit[T]] | Pending:
        return PENDING if self.exit is None else Ready(self.exit)

    def add_waiter(self, wake: Callable[[], object]) -> Callable[[], object]:
        return self._waiters.add(wake)

    def __repr__(self) -> str:
        return f"<TaskHandle {self.name} {self.exit or 'running'}>"


@contextmanager
def abort_on_exit(handle: TaskHandle[Any]) -> Iterator[TaskHandle[Any]]:
    """A block at whose end the task is aborted, whatever ends it. It is not waited for."""
    try:
        yield handle
    finally:
        handle.abort()


class TaskTracker:
    """Runs tasks that fail alone. Leaving its block closes it and waits for all of them.

    What a child raises is kept in `exits` and logged, and goes no further; only what is meant for
    the process (`KeyboardInterrupt`, `SystemExit`) does. Leaving the block on an exception aborts
    the children first. A task that is over costs nothing but its place among the latest `exits`.
    """

    def __init__(self, name: str = "tracker") -> None:
        self.name = name
        self.exits: deque[EndedTask] = deque(maxlen=_KEPT_EXITS)
        self._live: dict[int, TaskHandle[Any]] = {}
        self._spawned = 0
        self._closed = False
        self._waiters = Waiters()
        self._group: TaskGroup | None = None
        self._home: _Home

    def spawn(
        self, fn: Callable[..., Awaitable[T]], *args: object, name: str | None = None
    ) -> TaskHandle[T]:
        """Start ``fn(*args)`` as a task of its own. Raises `TrackerClosed`, and `TypeError` for
        what cannot be called, such as a coroutine.
        """
        if not callable(fn):
            raise TypeError(f"Expected an async function and its arguments, got {fn!r}")
        if self._closed or self._group is None:
            raise TrackerClosed(self.name)
        number, self._spawned = self._spawned, self._spawned + 1
        handle: TaskHandle[T] = TaskHandle(name or f"{self.name}-{number}", self._home)
        self._live[number] = handle
        run = self._run(number, handle, fn, args)
        task = self._group.create_task(run, name=handle.name)
        if handle.exit is None:  # an eager loop may have run it already
            handle._task = task
            if handle.aborted:
                task.cancel()
        return handle

    async def _run(
        self,
        number: int,
        handle: TaskHandle[Any],
        fn: Callable[..., Awaitable[Any]],
        args: tuple[object, ...],
    ) -> None:
        ended: TaskExit[Any] = TaskExit.Aborted()
        try:
            if not handle.aborted:
                ended = TaskExit.Ok(await fn(*args))
        except BaseException as error:
            case = classify(error)  # raises what is the process's
            if not isinstance(case, TaskExit.Aborted):  # its words are the backend's
                ended = case
            # A cancellation goes on, alone, to the scope that it is of. It may be of none: asyncio
            # raises it for an await of something else that was cancelled.
            cancellation = cancellation_in(error)
            if cancellation is not None and anyio.current_effective_deadline() == -math.inf:
                raise cancellation from None
        finally:
            self._end(number, handle, ended)

    def _end(self, number: int, handle: TaskHandle[Any], ended: TaskExit[Any]) -> None:
        del self._live[number]
        handle.exit, handle._task = ended, None
        self.exits.append(EndedTask(handle.name, ended))
        match ended:
            case TaskExit.Ok() if handle.aborted:
                _log.warning("cancel_ignored", tracker=self.name, task=handle.name)
            case TaskExit.Errored(exc):
                _log.warning("task_errored", tracker=self.name, task=handle.name, error=repr(exc))
            case TaskExit.Panicked(exc):
                _log.error("task_panicked", tracker=self.name, task=handle.name, exc_info=exc)
        handle._waiters.call_all()
        if not self._live:
            self._waiters.call_all()

    def close(self) -> None:
        """Take no more tasks. Closing twice is harmless."""
        self._closed = True
        if not self._live:
            self._waiters.call_all()

    def reopen(self) -> None:
        """Take tasks again."""
        self._closed = False

    async def wait(self) -> None:
        """Until this tracker is closed and empty, both."""
        await select(_Emptied(self))

    def __len__(self) -> int:
        return len(self._live)

    def handles(self) -> tuple[TaskHandle[Any], ...]:
        """The tasks that run, oldest first."""
        return tuple(self._live.values())

    def names(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(handle.name for handle in self.handles())

    def abort_all(self) -> None:
        """Abort every task that runs now."""
        for handle in self.handles():
            handle.abort()

    async def __aenter__(self) -> TaskTracker:
        if self._group is not None:
            raise RuntimeError(f"Tracker {self.name} is in use: make one for each block")
        self._home = _Home(threading.get_ident(), loop_here())
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._group is not None
        self.close()
        if error is not None:
            self.abort_all()
        try:
            # The block's own error is not one of the group's: it goes on as it is.
            await self._group.__aexit__(None, None, None)
        finally:
            self._group = None


class _Emptied:
    """The tracker as a branch of select: ready when it is closed and has no task."""

    def __init__(self, tracker: TaskTracker) -> None:
        self._tracker = tracker

    def try_take(self) -> Ready[None] | Pending:
        return Ready(None) if self._tracker._closed and not self._tracker._live else PENDING

    def add_waiter(self, wake: Callable[[], object]) -> Callable[[], object]:
        return self._tracker._waiters.add(wake)
