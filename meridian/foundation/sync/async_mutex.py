"""A mutex for tasks: waiting does not block the loop, and it may be held across awaits.

Reference: ``tokio::sync::Mutex``.
"""

from __future__ import annotations

import contextlib
import threading
import traceback
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Generic, TypeVar

import structlog

from meridian.checks import checked_seconds
from meridian.clock import SYSTEM_CLOCK, Clock
from meridian.foundation.sync.errors import WrongThread
from meridian.foundation.sync.guard import Uncopyable, report_loss
from meridian.foundation.sync.lock_errors import GuardReleased, ReentrantLockError
from meridian.foundation.sync.order import Place, here, summary
from meridian.foundation.tasks.parking import Waiter, current_budget, loop_here, task_here

if TYPE_CHECKING:
    from typing import Self

__all__ = ["AsyncGuard", "AsyncMutex", "AsyncMutexStatistics"]

T = TypeVar("T")
_log = structlog.get_logger(__name__)
_LABEL = "an AsyncMutex"


@dataclass(frozen=True, slots=True)
class AsyncMutexStatistics:
    """A mutex at one moment.

    Attributes:
        locked: whether a guard holds it.
        waiting: tasks that wait for it.
    """

    locked: bool
    waiting: int


class AsyncGuard(Uncopyable, Generic[T]):
    """Proof that an `AsyncMutex` is held, and the way to its value until it is released."""

    __slots__ = ("_held", "_mutex", "_since", "_stack")

    def __init__(self, mutex: AsyncMutex[T]) -> None:
        """Only the mutex itself makes guards: use `AsyncMutex.lock`."""
        self._mutex = mutex
        self._held = False
        self._since = 0.0
        self._stack: tuple[Place, ...] = ()

    @property
    def value(self) -> T:
        """What the mutex guards; may be assigned. Raises `GuardReleased` after the release."""
        if not self._held:
            raise GuardReleased(_LABEL)
        return self._mutex._value

    @value.setter
    def value(self, value: T) -> None:
        if not self._held:
            raise GuardReleased(_LABEL)
        self._mutex._value = value

    def release(self) -> None:
        """Let the next in. In the loop's thread only. A second call does nothing."""
        if self._held:
            self._mutex._check_thread()
            self._held = False
            self._mutex._end(self)

    def __enter__(self) -> Self:
        if not self._held:
            raise GuardReleased(_LABEL)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def __del__(self) -> None:
        if self._held:
            self._held = False
            self._mutex._end_lost()
            report_loss(_LABEL, "released")


class _Lock(Generic[T]):
    """One ``async with mutex.lock()``."""

    __slots__ = ("_guard", "_mutex")

    def __init__(self, mutex: AsyncMutex[T]) -> None:
        self._mutex = mutex
        self._guard: AsyncGuard[T] | None = None

    async def __aenter__(self) -> AsyncGuard[T]:
        guard = self._guard = await self._mutex._take()
        return guard

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.release()


class AsyncMutex(Uncopyable, Generic[T]):
    """Let one task at a time reach `value`, in the order in which they asked.

    ::

        async with mutex.lock() as guard:
            guard.value = await refresh(guard.value)

    The lock is handed to the next in the queue and never free while somebody waits, so nobody
    overtakes. A cancelled waiter leaves the queue; one that is cancelled after it was handed the
    lock meets that at its next await, in the block, and releases. Nothing poisons: cancelling a
    block is no mistake of it; keep the value whole across your awaits.

    A task that asks for a mutex it holds gets `ReentrantLockError`. All tasks are of one thread,
    that of the first; others get `WrongThread`. For code without an await between lock and
    release, `Mutex` is faster, and safe between threads.
    """

    __slots__ = (
        "__weakref__",
        "_clock",
        "_holder",
        "_locked",
        "_max_hold_s",
        "_post",
        "_thread",
        "_value",
        "_waiters",
    )

    def __init__(
        self, value: T, *, max_hold: float | None = None, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        """Guard `value`; log, with the stack that took it, what is held longer than `max_hold` s.

        Raises `TypeError` and `ValueError` for a `max_hold` that is no time.
        """
        self._value = value
        self._max_hold_s = None if max_hold is None else checked_seconds("max_hold", max_hold)
        self._clock = clock
        self._locked = False
        self._holder: weakref.ref[object] | None = None  # weak: its result may be the guard
        self._waiters: deque[Waiter] = deque()
        self._thread: int | None = None
        self._post: Callable[[Callable[[], object]], object] | None = None

    def lock(self) -> _Lock[T]:
        """Wait in the queue and hold the mutex: ``async with mutex.lock() as guard``."""
        return _Lock(self)

    def try_lock(self) -> AsyncGuard[T] | None:
        """Hold the mutex if it is free, else None. Use the guard in a ``with`` block.

        Raises `ReentrantLockError` for the task that holds it, `WrongThread`.
        """
        guard = AsyncGuard(self)
        task = self._enter()
        if self._locked or self._waiters:
            return None
        self._begin(guard, task)
        return guard

    def statistics(self) -> AsyncMutexStatistics:
        """The state at this moment."""
        return AsyncMutexStatistics(self._locked, len(self._waiters))

    async def _take(self) -> AsyncGuard[T]:
        budget = current_budget()
        if budget.spend():
            await budget.turn()
        guard = AsyncGuard(self)
        task = self._enter()
        if self._locked or self._waiters:
            await self._line_up()
        self._begin(guard, task)
        return guard

    def _enter(self) -> object:
        self._check_thread()
        task = task_here()
        if self._holder is not None and self._holder() is task:
            raise ReentrantLockError(_LABEL, "this task holds it already")
        return task

    async def _line_up(self) -> None:
        """Sleep until the lock is this task's. Cancelled, it is not, and never will be."""
        self._post = loop_here()
        waiter = Waiter()
        self._waiters.append(waiter)
        if not self._locked:  # a finaliser has released while this task came
            self._hand_on()
        try:
            await waiter.wait()
        except BaseException:
            if waiter.woken:  # the coroutine was closed, which is not a cancellation
                self._locked = False
                self._hand_on()
            else:
                with contextlib.suppress(ValueError):  # passed over in `_hand_on`
                    self._waiters.remove(waiter)
            raise

    def _begin(self, guard: AsyncGuard[T], task: object) -> None:
        self._locked = True
        self._holder = weakref.ref(task)
        guard._held = True
        if self._max_hold_s is not None:
            guard._since = self._clock.monotonic()
            guard._stack = here()

    def _end(self, guard: AsyncGuard[T]) -> None:
        self._holder = None
        self._locked = False
        if self._waiters:
            self._hand_on()
        if self._max_hold_s is not None:
            held_s = self._clock.monotonic() - guard._since
            if held_s > self._max_hold_s:
                _log.warning(
                    "async_mutex_held_long",
                    held_s=held_s,
                    max_hold_s=self._max_hold_s,
                    stack="".join(traceback.format_list(list(summary(guard._stack)))),
                )

    def _end_lost(self) -> None:
        """For finalisers, which may run in any thread, and after the loop has ended."""
        self._holder = None
        self._locked = False
        if self._waiters and self._post is not None:
            self._post(self._hand_on)

    def _hand_on(self) -> None:
        """Give the free lock to the first in the queue who is not being cancelled."""
        while self._waiters and not self._locked:
            self._locked = self._waiters.popleft().wake()

    def _check_thread(self) -> None:
        thread = threading.get_ident()
        if self._thread is None:
            self._thread = thread
        elif self._thread != thread:
            raise WrongThread("This AsyncMutex", "use a Mutex between threads")
