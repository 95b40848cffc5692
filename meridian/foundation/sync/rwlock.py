"""Many readers or one writer, and neither kind waits for ever.

Who has to wait joins a queue and is admitted by whoever makes room, directly: a thread that comes
later cannot slip in between. Reference: Bos, *Rust Atomics and Locks*, ch. 9 (writer starvation).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from meridian.foundation.sync import order
from meridian.foundation.sync.limits import limit_s
from meridian.foundation.sync.lock_errors import (
    LockConsumed,
    LockTimeout,
    PoisonError,
    UpgradeError,
)
from meridian.foundation.sync.order import of_thread, watch
from meridian.foundation.sync.primitives import THREADING, PrimitivesLike
from meridian.foundation.sync.rw_admission import Admission
from meridian.foundation.sync.rw_guards import ReadGuard, WriteGuard

__all__ = ["ReadGuard", "RwLock", "RwLockStatistics", "UpgradeError", "WriteGuard"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RwLockStatistics:
    """A lock at one moment.

    Attributes:
        readers: threads that read.
        writing: whether one writes.
        waiting_readers: threads that wait to read.
        waiting_writers: threads that wait to write.
        poisoned: whether the last writer failed.
    """

    readers: int
    writing: bool
    waiting_readers: int
    waiting_writers: int
    poisoned: bool


class RwLock(Admission, Generic[T]):
    """Let any number of threads read `value` at a time, or one write it.

    A waiting writer stops new readers, so that an endless stream of them cannot starve it. When a
    writer leaves, ``prefer="writer"`` lets the next writer in, and readers when there is none;
    ``prefer="fair"`` whoever has waited longest, with all readers that stand directly behind.

    Refused at once instead of waiting for ever: to write while reading (`UpgradeError`), to read
    again while a writer waits, to read or write while writing (`ReentrantLockError`). A writer
    whose block fails poisons, as in `Mutex`. Not for use across ``fork``.
    """

    __slots__ = (
        "__weakref__",
        "_consumed",
        "_flaw",
        "_value",
        "rank",
    )

    def __init__(
        self,
        value: T,
        *,
        prefer: Literal["writer", "fair"] = "writer",
        name: str | None = None,
        rank: int | None = None,
        primitives: PrimitivesLike = THREADING,
    ) -> None:
        """Guard `value`; `name`, `rank` and `primitives` as in `Mutex`."""
        if prefer not in ("writer", "fair"):
            raise ValueError(f"Expected prefer 'writer' or 'fair', got {prefer!r}")
        order.check_names(name, rank)
        super().__init__(name, prefer, primitives)
        self.rank = rank
        self._value = value
        self._flaw: str | None = None  # whoever is admitted is refused for this
        self._consumed = False

    def read(self, timeout: float | None = None) -> ReadGuard[T]:
        """Wait until nobody writes or waits to, and read; for at most `timeout` seconds if given.

        Raises `LockTimeout`, `ReentrantLockError`, `LockOrderViolation`, `LockConsumed`, and
        `PoisonError`, whose guard reads all the same. Nothing is held then.
        """
        if timeout is None and self.rank is None and watch.graph is None:
            thread = of_thread.locks
            guard: ReadGuard[T] = ReadGuard()
            guard._entry = None
            guard._held = False
            guard._lock = self
            guard._thread = thread
            try:
                with self._latch:
                    if (
                        self._writer is None
                        and not self._waiting_writers
                        and self._flaw is None
                        and thread not in self._readers
                    ):
                        self._readers[thread] = 1
                        guard._held = True
                if self._lost:
                    self._release_lost()
            except BaseException:  # a signal
                guard.release()
                raise
            if guard._held:
                return guard
        return self._take(ReadGuard, timeout)  # type: ignore[return-value]

    def write(self, timeout: float | None = None) -> WriteGuard[T]:
        """Wait until nobody reads or writes, and write; for at most `timeout` seconds if given.

        Raises what `read` does, and `UpgradeError` for a thread that reads.
        """
        return self._take(WriteGuard, timeout)  # type: ignore[return-value]

    def try_read(self) -> ReadGuard[T] | None:
        """Read if nobody writes or waits to, else None. Raises as `read`, but `LockTimeout`."""
        return self._take(ReadGuard, 0, may_wait=False)

    def try_write(self) -> WriteGuard[T] | None:
        """Write if nobody reads or writes, else None. Raises as `write`, but `LockTimeout`."""
        return self._take(WriteGuard, 0, may_wait=False)  # type: ignore[return-value]

    @property
    def is_poisoned(self) -> bool:
        """Whether a writer failed, and nobody has said since that the value is sound."""
        return self._flaw is not None and not self._consumed

    def clear_poison(self) -> None:
        """Say that the value is sound again. Does nothing if it was not poisoned."""
        if not self._consumed:
            self._flaw = None

    def into_inner(self) -> T:
        """Take the value out, once nobody holds the lock; from then on `LockConsumed`.

        Raises as `write` does.
        """
        with self.write() as guard:
            value = guard.value
            self._consumed = True
            self._flaw = "into_inner"
            del self._value
            return value

    def statistics(self) -> RwLockStatistics:
        """The state at this moment. Takes no lock: counts may stem from neighbouring moments."""
        return RwLockStatistics(
            len(self._readers),
            self._writer is not None,
            len(self._waiting_readers),
            len(self._waiting_writers),
            self.is_poisoned,
        )

    def _take(
        self,
        kind: type[ReadGuard[T]],
        timeout: float | None,
        *,
        may_wait: bool = True,
        poisoned: bool = False,
    ) -> ReadGuard[T] | None:
        """`read` or `write` in full; None when it may not wait and would have to."""
        limit = limit_s(timeout)
        thread = of_thread.locks
        writes = kind is WriteGuard
        entry = None
        if self.rank is not None or (watch.graph is not None and self.name is not None):
            entry = order.want(self, self._label, self.name, self.rank, may_wait=may_wait)
        guard = kind()
        guard._entry = None
        guard._held = False
        guard._lock = self
        guard._thread = thread
        try:
            if not self._enter(guard, thread, writes, limit if may_wait else 0):
                if may_wait:
                    raise LockTimeout(self._label, limit)
                return None
            if self._flaw is not None and (self._consumed or not poisoned):
                if self._consumed:
                    raise LockConsumed(self._label)
                again = functools.partial(self._take, kind, timeout, poisoned=True)
                raise PoisonError(self._label, self._flaw, again)
            if entry is not None:
                guard._entry = entry
                entry.obtained()
        except BaseException:
            guard.release()
            raise
        return guard

    def __repr__(self) -> str:
        state = "written" if self._writer is not None else f"{len(self._readers)} readers"
        poisoned = ", poisoned" if self.is_poisoned else ""
        return f"<{self._label[0].upper()}{self._label[1:]}: {state}{poisoned}>"
