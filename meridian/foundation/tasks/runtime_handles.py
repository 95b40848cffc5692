"""Tasks of a runtime as other threads see them."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar, cast

from meridian.checks import checked_seconds
from meridian.errors import MeridianError
from meridian.foundation.tasks.exits import JoinTimeout, TaskExit
from meridian.foundation.tasks.tracker import TaskAborted, TaskHandle

__all__ = [
    "RuntimeNotRunning",
    "RuntimeUsed",
    "ThreadHandle",
    "WouldDeadlock",
    "answer",
]

T = TypeVar("T")


class RuntimeNotRunning(MeridianError, RuntimeError):
    """Something was asked of a runtime that has not started, or has ended."""

    def __init__(self, name: str, state: str) -> None:
        self.name = name
        self.state = state
        hint = "start() it first" if "start" in state else "make a new one"
        super().__init__(f"Runtime {name} is {state}: {hint}")


class RuntimeUsed(MeridianError, RuntimeError):
    """A runtime was started again: it stands for one thread and one life."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"Runtime {name} was started before: make a new one")


class WouldDeadlock(MeridianError, RuntimeError):
    """A loop's own thread was told to wait for the loop."""

    def __init__(self, what: str, name: str) -> None:
        self.what = what
        self.name = name
        super().__init__(
            f"Cannot {what} in the loop of runtime {name}, which would wait for itself: "
            "await there, and call this from another thread"
        )


class ThreadHandle(Generic[T]):
    """One task of a runtime, to ask and to stop from any thread. Losing it stops nothing."""

    def __init__(
        self,
        name: str,
        post: Callable[[Callable[[], object]], object],
        check: Callable[[str], None],
    ) -> None:
        """`post` has something called in the task's loop; `check` raises where none may wait."""
        self.name = name
        self._post = post
        self._check = check
        self._task: TaskHandle[T] | None = None
        self._ended: concurrent.futures.Future[TaskExit[T]] = concurrent.futures.Future()

    @property
    def done(self) -> bool:
        return self._ended.done()

    @property
    def exit(self) -> TaskExit[T] | None:
        """How it ended; ``None`` while it runs."""
        return self._ended.result() if self._ended.done() else None

    def join(self, timeout: float | None = None) -> TaskExit[T]:
        """Wait until the task is over, `timeout` seconds at most, ``None`` for ever.

        Raises `JoinTimeout`, a `TimeoutError`; `WouldDeadlock` in the thread of the task's loop.
        """
        if timeout is not None:
            timeout = min(checked_seconds("timeout", timeout), threading.TIMEOUT_MAX)
        if not self.done:
            self._check("join a task")
        try:
            return self._ended.result(timeout)
        except TimeoutError:
            assert timeout is not None
            raise JoinTimeout(f"Task {self.name}", timeout) from None

    def result(self, timeout: float | None = None) -> T:
        """What the task returned; raises what it raised, `TaskAborted`, and what `join` raises."""
        match self.join(timeout):
            case TaskExit.Ok(value):
                return cast("T", value)
            case TaskExit.Errored(exc) | TaskExit.Panicked(exc):
                raise exc
            case TaskExit.Aborted(reason):
                raise TaskAborted(self.name, reason)
        raise AssertionError("unreachable")

    def abort(self) -> None:
        """Cancel the task, and return at once. Before its first step, none is made."""
        self._post(self._abort_here)

    def _abort_here(self) -> None:
        if self._task is not None:
            self._task.abort()

    # -- in the task's loop ----------------------------------------------------------------------

    def bind(self, task: TaskHandle[T]) -> None:
        """This is the task: it ends when that does."""
        self._task = task
        task.add_waiter(lambda: self.end(cast("TaskExit[T]", task.exit)))

    def end(self, ended: TaskExit[T]) -> None:
        if not self._ended.done():
            self._task = None
            self._ended.set_result(ended)

    def __repr__(self) -> str:
        return f"<ThreadHandle {self.name} {self.exit or 'running'}>"


async def answer(
    fn: Callable[..., Awaitable[T]], args: tuple[object, ...]
) -> tuple[T | None, BaseException | None]:
    """What ``fn(*args)`` returns and raises: the caller's to deal with, not the tracker's."""
    try:
        return await fn(*args), None
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        return None, error
