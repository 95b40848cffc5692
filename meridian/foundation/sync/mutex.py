"""A lock that owns what it guards, and refuses instead of waiting for ever.

Reference: ``std::sync::Mutex`` (value behind the lock, poisoning); Linux's ``lockdep`` (order).
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass
from typing import Generic, TypeVar

from meridian.foundation.sync import order
from meridian.foundation.sync.guard import Guard, Uncopyable
from meridian.foundation.sync.limits import FOREVER, limit_s
from meridian.foundation.sync.lock_errors import (
    GuardReleased,
    LockConsumed,
    LockOrderViolation,
    LockTimeout,
    LostGuard,
    PoisonError,
    ReentrantLockError,
)
from meridian.foundation.sync.order import ThreadLocks, of_thread, watch
from meridian.foundation.sync.primitives import THREADING, PrimitivesLike

__all__ = [
    "Guard",
    "GuardReleased",
    "LockConsumed",
    "LockOrderViolation",
    "LockTimeout",
    "LostGuard",
    "Mutex",
    "MutexStatistics",
    "PoisonError",
    "ReentrantLockError",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class MutexStatistics:
    """A mutex at one moment.

    Attributes:
        locked: whether a guard holds it.
        poisoned: whether its last holder failed.
        waiting: threads that wait for it.
    """

    locked: bool
    poisoned: bool
    waiting: int


class Mutex(Uncopyable, Generic[T]):
    """Let one thread at a time reach `value`, and only through a `Guard`.

    What a plain `threading.Lock` lets happen is an error here:

    - A block that fails leaves its lock open over a half-changed value. Here it is *poisoned*, and
      who locks next is told (`PoisonError`).
    - A thread that asks for a lock it holds waits for ever, and with it a whole event loop, when
      another task of it holds the lock across an await. Here: `ReentrantLockError`, at once.
    - Two locks taken in both orders wait for each other on a bad day. With `rank` the wrong order
      is refused on every day (`LockOrderViolation`); with a `name`, `enable_lockdep` finds it.

    An interrupt, as `KeyboardInterrupt`, leaves the mutex free or held by a guard, whenever it
    strikes. One that strikes on the way into the block or out of it leaves the release to the
    guard's finaliser, which poisons, as an interrupt of the block does.

    Python cannot keep a reference to the value from outliving its guard: do not store one.
    Not for use across ``fork``: a child would inherit locks that nobody in it can release.
    """

    __slots__ = (
        "__weakref__",
        "_acquire",
        "_attempts",
        "_consumed",
        "_entry",
        "_flaw",
        "_label",
        "_lock",
        "_owner",
        "_primitives",
        "_release",
        "_value",
        "_waiting",
        "name",
        "rank",
    )

    def __init__(
        self,
        value: T,
        *,
        name: str | None = None,
        rank: int | None = None,
        primitives: PrimitivesLike = THREADING,
    ) -> None:
        """Guard `value`.

        Args:
            value: what is reached through the guard.
            name: for messages and lockdep. Mutexes of one name are one to lockdep.
            rank: a thread takes locks only in rising order of rank.
            primitives: what to make the lock of, for tests.
        """
        order.check_names(name, rank)
        self.name = name
        self.rank = rank
        self._label = f"Mutex {name!r}" if name is not None else "an unnamed Mutex"
        self._value = value
        self._primitives = primitives
        self._lock = primitives.Lock()
        self._acquire = self._lock.acquire
        self._attempts = map(self._acquire, itertools.repeat(False))  # see `lock`
        self._release = self._lock.release
        self._owner: ThreadLocks | None = None
        self._flaw: str | None = None  # who locks next is refused for this
        self._consumed = False
        self._entry: order.Acquisition | None = None
        self._waiting: dict[ThreadLocks, None] = {}

    def lock(self, timeout: float | None = None) -> Guard[T]:
        """Wait until the mutex is free and hold it, for at most `timeout` seconds if given.

        Raises `LockTimeout`, `ReentrantLockError`, `LockOrderViolation`, `LockConsumed`, and
        `PoisonError`, whose guard takes the mutex all the same. Nothing is held then.
        """
        # A `for` takes the lock: CPython looks for signals after a call and at a jump back, not
        # between the head of a loop that runs in C and its body, which calls nothing.
        if timeout is None and self.rank is None and watch.graph is None:
            guard: Guard[T] = Guard()
            guard._held = False
            guard._lock = self
            thread = of_thread.locks
            for acquired in self._attempts:
                if not acquired:
                    break
                if self._flaw is None:
                    self._owner = thread
                    guard._held = True
                    return guard
                self._release()
                break
        return self._take(timeout)  # type: ignore[return-value]

    def try_lock(self) -> Guard[T] | None:
        """Hold the mutex if it is free, else None. Raises as `lock` does, but `LockTimeout`.

        The thread that holds it is refused (`ReentrantLockError`): trying again would not help.
        """
        return self._take(0, may_wait=False)

    @property
    def is_poisoned(self) -> bool:
        """Whether a holder failed, and nobody has said since that the value is sound."""
        return self._flaw is not None and not self._consumed

    def clear_poison(self) -> None:
        """Say that the value is sound again. Does nothing if it was not poisoned."""
        if not self._consumed:
            self._flaw = None

    def into_inner(self) -> T:
        """Take the value out, once nobody holds the mutex; from then on `LockConsumed`.

        Raises as `lock` does.
        """
        with self.lock() as guard:
            value = guard.value
            self._consumed = True
            self._flaw = "into_inner"
            del self._value
            return value

    def statistics(self) -> MutexStatistics:
        """The state at this moment. Takes no lock."""
        return MutexStatistics(self._lock.locked(), self.is_poisoned, len(self._waiting))

    def _take(
        self, timeout: float | None, *, may_wait: bool = True, poisoned: bool = False
    ) -> Guard[T] | None:
        """`lock` in full; None when it may not wait and would have to."""
        limit = limit_s(timeout)
        thread = of_thread.locks
        if self._owner == thread:  # only this thread can have written itself there
            raise ReentrantLockError(self._label)
        entry = self._want(may_wait)
        guard: Guard[T] = Guard()
        guard._held = False
        guard._lock = self
        try:
            if not self._hold(guard, thread, 0):
                if not may_wait:
                    return None
                if not self._wait(guard, thread, limit):
                    raise LockTimeout(self._label, limit)
            if self._flaw is not None and (self._consumed or not poisoned):
                if self._consumed:
                    raise LockConsumed(self._label)
                again = functools.partial(self._take, timeout, poisoned=True)
                raise PoisonError(self._label, self._flaw, again)
            if entry is not None:
                self._entry = entry
                entry.obtained()
        except BaseException:
            guard.release()
            raise
        return guard

    def _want(self, may_wait: bool = True) -> order.Acquisition | None:
        if self.rank is None and (watch.graph is None or self.name is None):
            return None
        return order.want(self, self._label, self.name, self.rank, may_wait=may_wait)

    def _wait(self, guard: Guard[T], thread: ThreadLocks, limit: float) -> bool:
        self._waiting[thread] = None
        try:
            if watch.graph is None:
                return self._hold(guard, thread, limit)
            with order.waiting(self.name or self._label):
                return self._hold(guard, thread, limit)
        finally:
            del self._waiting[thread]

    def _hold(self, guard: Guard[T], thread: ThreadLocks, limit: float) -> bool:
        """Take the lock and say whose it is, in one step to signals as in `lock`."""
        attempts = map(self._acquire, (True,), (limit,)) if limit else self._attempts
        for acquired in attempts:
            if acquired:
                self._owner = thread
                guard._held = True
            return acquired
        raise AssertionError("unreachable")

    def _hold_again(self, guard: Guard[T], entry: order.Acquisition | None) -> None:
        """After a wait on a condition: take the mutex back, and revive the guard."""
        thread = of_thread.locks
        if not self._hold(guard, thread, 0):
            self._wait(guard, thread, FOREVER)
        if entry is not None:
            self._entry = entry
            entry.obtained()

    def __repr__(self) -> str:
        state = "locked" if self._lock.locked() else "free"
        poisoned = ", poisoned" if self.is_poisoned else ""
        return f"<{self._label[0].upper()}{self._label[1:]}: {state}{poisoned}>"
