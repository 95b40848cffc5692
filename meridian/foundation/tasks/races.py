"""Operations as branches of a select: one that is started once, a deadline; and whole races.

A coroutine can be awaited once. What has to be begun once and waited for many times (a fetch beside
a loop of commands) therefore needs a handle of its own, `Once`.

What nobody asks for any more, because its race is lost or its block left, may fail as operations do
(`EXPECTED`): that is forgotten. A bug is raised all the same, in a group as task groups do.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Generic, TypeVar

import anyio
from anyio.abc import TaskGroup

from meridian.checks import checked_seconds
from meridian.foundation.tasks.exits import TaskExit, classify
from meridian.foundation.tasks.parking import Waiters, call_at
from meridian.foundation.tasks.poll_events import PolledAfterCompletion
from meridian.foundation.tasks.readiness import CLOSED, PENDING, Closed, Pending, Ready, Selectable
from meridian.foundation.tasks.tracker import TaskAborted

__all__ = ["Once", "deadline", "race"]

T = TypeVar("T")


class Once(Generic[T]):
    """``async with Once(fn, *args) as fetch:`` starts the operation once; `fetch` may then be a
    branch of any number of selects, and is ready when the operation has ended.

    Taking from it gives the value, or raises what the operation raised. A second time raises
    `PolledAfterCompletion`: put ``None if fetch.taken else fetch`` into a loop. Leaving the block
    cancels the operation and waits for it.
    """

    def __init__(self, fn: Callable[..., Awaitable[T]], *args: object) -> None:
        if not callable(fn):
            raise TypeError(f"Expected an async function and its arguments, got {fn!r}")
        self._fn = fn
        self._args = args
        self._group: TaskGroup | None = None
        self._end: Ready[T] | Exception | None = None
        self._waiters = Waiters()
        self.taken = False

    async def __aenter__(self) -> Once[T]:
        if self._group is not None:
            raise RuntimeError("A Once is entered once: make one for each operation")
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        self._group.start_soon(self._run)
        return self

    async def _run(self) -> None:
        try:
            self._end = await _outcome(self._fn, *self._args)
        finally:
            self._waiters.call_all()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._group is not None
        scope = self._group.cancel_scope
        scope.cancel()
        scope.shield = True  # what cancels the block as well must not replace its error
        await self._group.__aexit__(None, None, None)
        self._waiters.call_all()
        if isinstance(self._end, Exception) and _is_bug(self._end):
            self.taken = True
            raise self._end

    # -- as a branch of select -------------------------------------------------------------------

    def try_take(self) -> Ready[T] | Pending | Closed:
        if self.taken:
            raise PolledAfterCompletion("Once")
        if self._group is None:
            raise RuntimeError("A Once has to be entered first, by `async with`")
        if self._end is None:
            return CLOSED if self._group.cancel_scope.cancel_called else PENDING
        end, self._end = self._end, None
        self.taken = True
        if isinstance(end, Ready):
            return end
        raise end

    def add_waiter(self, wake: Callable[[], object]) -> Callable[[], object]:
        if self._end is not None:
            wake()
        return self._waiters.add(wake)


async def race(
    *fns: Callable[[], Awaitable[T]], on_lost: Callable[[int, T], object] | None = None
) -> tuple[int, T]:
    """Run all of `fns`; the index and the value of the first that ends, or raises what it raises.

    The others are cancelled, and have ended when this returns. A value that one of them returned
    nevertheless is given to `on_lost`, with its index; so is the winner's when it cannot be
    returned, because the race was cancelled or a loser has a bug.
    """
    if not fns:
        raise ValueError("Expected at least one function to race")
    for fn in fns:
        if not callable(fn):
            raise TypeError(f"Expected async functions without arguments, got {fn!r}")
    if on_lost is not None and not callable(on_lost):
        raise TypeError(f"Expected on_lost to call, got {on_lost!r}")
    ends: list[tuple[int, Ready[T] | Exception]] = []

    async def run(index: int, fn: Callable[[], Awaitable[T]]) -> None:
        ends.append((index, await _outcome(fn)))
        group.cancel_scope.cancel()

    with contextlib.ExitStack() as lost:
        try:
            async with anyio.create_task_group() as group:
                for index, fn in enumerate(fns):
                    group.start_soon(run, index, fn)
            winner, first = ends.pop(0)
        finally:
            for index, end in reversed(ends):
                if isinstance(end, Ready) and on_lost is not None:
                    lost.callback(on_lost, index, end.value)
    if isinstance(first, Ready):
        return winner, first.value
    raise first


def deadline(seconds: float) -> Selectable[None]:
    """A branch that is ready when `seconds` have passed since this call, and stays ready.

    Infinity never passes. Raises `ValueError` for a time below 0 and for NaN, `TypeError`.
    """
    return _Deadline(anyio.current_time() + checked_seconds("a time", seconds))


class _Deadline:
    """Its timer is set only while somebody waits."""

    def __init__(self, due_s: float) -> None:
        self._due_s = due_s
        self._waiters = Waiters()
        self._take_back: Callable[[], object] | None = None

    def try_take(self) -> Ready[None] | Pending:
        return Ready(None) if anyio.current_time() >= self._due_s else PENDING

    def add_waiter(self, wake: Callable[[], object]) -> Callable[[], object]:
        remove = self._waiters.add(wake)
        if self._take_back is None and self._due_s < math.inf:
            self._take_back = call_at(self._due_s, self._fire)

        def take_off() -> None:
            remove()
            if not self._waiters and self._take_back is not None:
                self._take_back()
                self._take_back = None

        return take_off

    def _fire(self) -> None:
        self._take_back = None
        self._waiters.call_all()


async def _outcome(fn: Callable[..., Awaitable[T]], *args: object) -> Ready[T] | Exception:
    """What came of it. Raises the cancellation of this task, and then also what is a bug, since
    nobody asks for the outcome any more; and at any time what is meant for the process.
    """
    try:
        return Ready(await fn(*args))
    except BaseException as error:
        case = classify(error)  # raises what is the process's
        cancelled = anyio.current_effective_deadline() == -math.inf
        if isinstance(case, TaskExit.Errored) or (
            isinstance(case, TaskExit.Panicked) and not cancelled
        ):
            return case.exc
        if cancelled:
            raise
        # asyncio also raises it for awaiting something else that was cancelled: an end like others
        return TaskAborted(getattr(fn, "__qualname__", repr(fn)), str(error))


def _is_bug(error: Exception) -> bool:
    return isinstance(classify(error), TaskExit.Panicked)
