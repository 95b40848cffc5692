"""What a reader and the writer hold of an `RwLock`."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Generic, TypeVar

from meridian.foundation.sync.guard import Uncopyable, failure, report_loss
from meridian.foundation.sync.lock_errors import GuardReleased
from meridian.foundation.sync.order import Acquisition, ThreadLocks

if TYPE_CHECKING:
    from typing import Self

    from meridian.foundation.sync.rwlock import RwLock

__all__ = ["ReadGuard", "WriteGuard"]

T = TypeVar("T")


class ReadGuard(Uncopyable, Generic[T]):
    """Proof that nobody writes. Its value can be read, not assigned.

    Any number may be held at a time, so do not change the value in place either. Neither a failing
    block nor a dropped guard poisons: a reader has changed nothing.
    """

    __slots__ = ("_entry", "_held", "_lock", "_thread")

    # No __init__: the lock sets all four, which takes half the time.
    _entry: Acquisition | None
    _held: bool
    _lock: RwLock[T]
    _thread: ThreadLocks

    @property
    def value(self) -> T:
        """What the lock guards. Raises `GuardReleased` after the release."""
        if not self._held:
            raise GuardReleased(self._lock._label)
        return self._lock._value

    def release(self) -> None:
        """Stop reading, before the block ends. A second call does nothing."""
        if self._held:
            self._lock._end(self, False)

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
            self._lock._end(self, False)

    def __del__(self) -> None:
        if getattr(self, "_held", False):
            self._held = False
            if self._entry is not None:
                self._entry.dropped()
            self._lock._end_lost(self._thread, writes=False)
            report_loss(self._lock._label, "released")

    def __repr__(self) -> str:
        state = "holds" if self._held else "released"
        return f"<{type(self).__name__} of {self._lock._label}: {state}>"


class WriteGuard(ReadGuard[T]):
    """Proof that nobody else reads or writes. An exception that leaves its block poisons."""

    __slots__ = ()

    @property
    def value(self) -> T:
        """What the lock guards; may be assigned. Raises `GuardReleased` after the release."""
        if not self._held:
            raise GuardReleased(self._lock._label)
        return self._lock._value

    @value.setter
    def value(self, value: T) -> None:
        if not self._held:
            raise GuardReleased(self._lock._label)
        self._lock._value = value

    def release(self) -> None:
        """Stop writing, before the block ends. A second call does nothing."""
        if self._held:
            self._lock._end(self, True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._held:
            if kind is not None:
                self._lock._flaw = failure(kind)
            self._lock._end(self, True)

    def __del__(self) -> None:
        if getattr(self, "_held", False):
            self._held = False
            if self._entry is not None:
                self._entry.dropped()
            self._lock._flaw = "a guard that was dropped"
            self._lock._end_lost(self._thread, writes=True)
            report_loss(self._lock._label)
