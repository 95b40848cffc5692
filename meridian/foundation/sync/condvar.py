"""Waiting, with the mutex let go, until another thread says that the value has changed.

Reference: ``std::sync::Condvar``; POSIX ``pthread_cond_wait``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from meridian.foundation.sync.guard import Guard, Uncopyable
from meridian.foundation.sync.limits import FOREVER, limit_s
from meridian.foundation.sync.lock_errors import (
    ForeignGuard,
    GuardReleased,
    LockConsumed,
    PoisonError,
)
from meridian.foundation.sync.mutex import Mutex
from meridian.foundation.sync.primitives import LockLike

__all__ = ["Condvar", "ForeignGuard"]

T = TypeVar("T")

_TRIES = range(100)  # interrupts in a row; after more the guard stays released


class Condvar(Uncopyable, Generic[T]):
    """Sleep until the value behind a mutex is as wanted, without asking again and again.

    ::

        with mutex.lock() as guard:
            if changed.wait_while(guard, lambda queue: not queue, timeout=5.0):
                item = guard.value.pop()

    Whoever changes the value calls `notify_one` or `notify_all`; holding the mutex for that is
    allowed and not required, as long as it is held for the change itself. The wait joins a
    queue of its own before it lets the mutex go, so no notification falls between.
    """

    __slots__ = ("__weakref__", "_latch", "_mutex", "_waiters")

    def __init__(self, mutex: Mutex[T]) -> None:
        """Wait for changes of what `mutex` guards. A mutex may have several conditions."""
        if not isinstance(mutex, Mutex):
            raise TypeError(f"Expected a Mutex, got {type(mutex).__name__}")
        self._mutex = mutex
        # A lock of its own: taken after the mutex and never while waiting for the mutex. Not a
        # `threading.Condition`, which an interrupt can leave with its lock in nobody's hands.
        self._latch = mutex._primitives.Lock()
        self._waiters: deque[LockLike] = deque()  # closed gates of those asleep, oldest first

    def wait(self, guard: Guard[T], timeout: float | None = None) -> bool:
        """Let the mutex go, sleep until notified, take it back; whether it was within `timeout` s.

        The guard is valid afterwards, however long taking the mutex back took and whatever is
        raised; others have changed the value meanwhile. May return without a cause: look again,
        or use `wait_while`.

        Raises `ForeignGuard` for the guard of another mutex, `GuardReleased`,
        `LockOrderViolation` when a lock is held that must be taken after this mutex, and
        `PoisonError` when the value is poisoned after the wait. `LockConsumed` alone leaves the
        guard released.
        """
        limit = limit_s(timeout)
        mutex = self._check(guard)
        entry = mutex._want()  # refused now rather than when the mutex has been let go
        interrupt: BaseException | None = None
        notified = False
        try:
            notified = self._sleep(guard, limit)
        except BaseException as error:  # raised by a signal's handler, as below
            interrupt = error
        for _ in _TRIES:
            try:
                if not guard._held:
                    mutex._hold_again(guard, entry)
                break
            except BaseException as error:
                interrupt = interrupt or error
        if interrupt is not None:
            raise interrupt
        if mutex._flaw is not None:
            if mutex._consumed:
                guard.release()
                raise LockConsumed(mutex._label)
            raise PoisonError(mutex._label, mutex._flaw, lambda: guard)
        return notified

    def wait_while(
        self, guard: Guard[T], predicate: Callable[[T], object], timeout: float | None = None
    ) -> bool:
        """Wait as long as ``predicate(value)`` is true; whether it ended within `timeout` s.

        The predicate runs with the mutex held and is asked before the first wait and after the
        last. Raises what `wait` and the predicate raise; the guard is valid afterwards.
        """
        limit = limit_s(timeout)
        self._check(guard)
        now_ns = self._mutex._primitives.monotonic_ns
        end_ns = None if limit == FOREVER else now_ns() + round(limit * 1e9)
        while predicate(guard.value):
            if end_ns is None:
                self.wait(guard)
            elif (left_ns := end_ns - now_ns()) > 0:
                self.wait(guard, left_ns / 1e9)
            else:
                return False
        return True

    def notify_one(self) -> None:
        """Wake the thread that has waited longest, if one waits."""
        with self._latch:
            self._wake(1)

    def notify_all(self) -> None:
        """Wake all threads that wait now."""
        with self._latch:
            self._wake(len(self._waiters))

    def _sleep(self, guard: Guard[T], limit: float) -> bool:
        """Release the guard and sleep; whether notified. Interrupted, hand a notification on."""
        gate = self._mutex._primitives.Lock()
        gate.acquire()
        try:
            with self._latch:
                self._waiters.append(gate)
            guard.release()
            if gate.acquire(True, limit):
                return True
            with self._latch:
                return not self._leave(gate)
        except BaseException:
            with self._latch:
                if not self._leave(gate):
                    self._wake(1)
            raise

    def _leave(self, gate: LockLike) -> bool:
        """Leave the queue; False for who was notified and so is in it no more."""
        if gate not in self._waiters:
            return False
        self._waiters.remove(gate)
        return True

    def _wake(self, most: int) -> None:
        for _ in range(min(most, len(self._waiters))):
            gate = self._waiters[0]
            del self._waiters[0]  # no signal comes between this and the release
            gate.release()

    def _check(self, guard: Guard[T]) -> Mutex[T]:
        if not isinstance(guard, Guard):
            raise TypeError(f"Expected the mutex's Guard, got {type(guard).__name__}")
        mutex = self._mutex
        if guard._lock is not mutex:
            raise ForeignGuard(guard._lock._label, mutex._label)
        if not guard._held:
            raise GuardReleased(mutex._label)
        return mutex
