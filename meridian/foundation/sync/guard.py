"""The only way to a locked value, and what becomes of it when it ends badly."""

from __future__ import annotations

import sys
import threading
import warnings
from types import TracebackType
from typing import TYPE_CHECKING, Generic, NoReturn, TypeVar

from meridian.foundation.sync.lock_errors import GuardReleased, LostGuard

if TYPE_CHECKING:
    from typing import Self

    from meridian.foundation.sync.mutex import Mutex

__all__ = ["Guard", "Uncopyable", "failure", "report_loss"]

T = TypeVar("T")


class Uncopyable:
    """A second copy of a lock or guard would let two in: there is none, not even by pickle."""

    __slots__ = ()

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot copy or pickle {type(self).__name__}: share it between threads")


class Guard(Uncopyable, Generic[T]):
    """Proof that a mutex is held, and the way to its value until it is released.

    ::

        with mutex.lock() as guard:
            guard.value += 1

    An exception that leaves the block poisons the mutex: the value may be half-changed. So does
    a guard that is dropped while it holds, by a thread that ends say; a `LostGuard` warning tells.
    The guard may be released by another thread than took it, as a lock may; asking for the mutex
    meanwhile is still refused to the taker, as it would be a second lock.
    """

    __slots__ = ("_held", "_lock")

    # No __init__: the mutex sets both, which takes half the time.
    _held: bool
    _lock: Mutex[T]

    @property
    def value(self) -> T:
        """What the mutex guards; may be assigned. Raises `GuardReleased` after the release."""
        if not self._held:
            raise GuardReleased(self._lock._label)
        return self._lock._value

    @value.setter
    def value(self, value: T) -> None:
        if not self._held:
            raise GuardReleased(self._lock._label)
        self._lock._value = value

    def release(self) -> None:
        """Let the next in, before the block ends. A second call does nothing."""
        lock = self._lock
        if self._held and lock._entry is not None:
            lock._entry.dropped()
        if self._held:
            # No signal comes between: nothing is called but the lock, in C.
            let_go = lock._release
            lock._entry = None
            self._held = False
            lock._owner = None
            let_go()

    def __enter__(self) -> Self:
        if not self._held:
            raise GuardReleased(self._lock._label)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._held:
            lock = self._lock
            if kind is not None:
                lock._flaw = failure(kind)
            if lock._entry is not None:
                return self.release()
            # As `release` does: a call of it is a tenth of lock and release.
            let_go = lock._release  # a name of its own: as a method it is looked up anew
            self._held = False
            lock._owner = None
            let_go()
        return None

    def __del__(self) -> None:
        try:
            held = self._held
        except AttributeError:  # made by hand, and so of no lock
            return
        if held:
            self._lock._flaw = "a guard that was dropped"
            self.release()
            report_loss(self._lock._label)

    def __repr__(self) -> str:
        state = "holds" if self._held else "released"
        return f"<{type(self).__name__} of {self._lock._label}: {state}>"


def failure(kind: type[BaseException]) -> str:
    """What poisoned, in words. Not the exception itself, which would keep its frames alive."""
    return f"{kind.__qualname__} in thread {threading.current_thread().name}"


def report_loss(label: str, outcome: str = "released and poisoned") -> None:
    """Warn of a lost guard; not while the interpreter ends, where every guard is dropped."""
    if not sys.is_finalizing():
        warnings.warn(LostGuard(label, outcome), stacklevel=3)
