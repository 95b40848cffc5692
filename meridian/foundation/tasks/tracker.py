"""Tasks that fail alone, and are all accounted for in the end.

A task group cancels every sibling when one child fails: one bad station would end the broker. Here
a child's failure is recorded, and the others do not notice; and still no task outlives its block.

Reference: ``TaskTracker`` and ``JoinHandle`` of tokio-util and Tokio.
"""

from __future__ import annotations

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
from meridian.foundation.tasks.exits import TaskExit, classify, has_cancellation
from meridian.foundation.tasks.parking import Waiters, loop_here
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


class TaskHandle(Generic[T]):
    """One task of a tracker, to ask and to stop. Losing it stops nothing.

    A branch of `select`, ready with the `TaskExit` when the task is over.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.exit: TaskExit[T] | None = None
        self._scope = anyio.CancelScope()
        self._waiters = Waiters()
        self._thread = threading.get_ident()
        self._post = loop_here()

    @property
    def done(self) -> bool:
        return self.exit is not None

    @property
    def aborted(self) -> bool:
        """Whether `abort` was called; the task may still end as it likes."""
        return self._scope.cancel_called

    async def join(self) -> TaskExit[T]:
        """Wait until the task is over. Being cancelled here does not touch it."""
        return (await select(self))[1]

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
        if threading.get_ident() == self._thread:
            self._scope.cancel()
        else:
            self._post(self._scope.cancel)

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

    def spawn(
        self, fn: Callable[..., Awaitable[T]], *args: object, name: str | None = None
    ) -> TaskHandle[T]:
        """Start ``fn(*args)`` as a task of its own. Raises `TrackerClosed`."""
        if self._closed or self._group is None:
            raise TrackerClosed(self.name)
        number, self._spawned = self._spawned, self._spawned + 1
        handle: TaskHandle[T] = TaskHandle(name or f"{self.name}-{number}")
        self._live[number] = handle
        self._group.start_soon(self._run, number, handle, fn, args, name=handle.name)
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
            with handle._scope:
                if not handle.aborted:
                    ended = TaskExit.Ok(await fn(*args))
        except BaseException as error:
            ended = classify(error)  # raises what is the process's
            if has_cancellation(error):  # of the tracker's own scope, which must see it
                raise
        finally:
            self._end(number, handle, ended)

    def _end(self, number: int, handle: TaskHandle[Any], ended: TaskExit[Any]) -> None:
        del self._live[number]
        handle.exit = ended
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
