"""The thread primitives that our locks and queue are built from, in one bundle a test may swap."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

__all__ = [
    "THREADING",
    "ConditionLike",
    "LockLike",
    "Primitives",
    "PrimitivesLike",
    "ThreadLike",
]


class LockLike(Protocol):
    """What `threading.Lock()` answers to, as far as it is used here."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...
    def release(self) -> None: ...
    def locked(self) -> bool: ...
    def __enter__(self) -> bool: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...


class ConditionLike(Protocol):
    """What `threading.Condition(lock)` answers to, as far as it is used here."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...
    def release(self) -> None: ...
    def wait(self, timeout: float | None = None) -> bool: ...
    def notify(self, n: int = 1) -> None: ...
    def notify_all(self) -> None: ...
    def __enter__(self) -> bool: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...


class ThreadLike(Protocol):
    """What `threading.Thread(target=..., args=...)` answers to, as far as it is used here."""

    name: str

    def start(self) -> None: ...
    def join(self, timeout: float | None = None) -> None: ...
    def is_alive(self) -> bool: ...


class PrimitivesLike(Protocol):
    """Any bundle with the four makers: `Primitives`, or what a scenario of `explore` is given.

    Take this type as an argument, not `Primitives`: `meridian.testing` knows no system and makes
    its bundle itself.
    """

    @property
    def Lock(self) -> Callable[[], LockLike]: ...  # noqa: N802
    @property
    def Condition(self) -> Callable[[Any], ConditionLike]: ...  # noqa: N802
    @property
    def Thread(self) -> Callable[..., ThreadLike]: ...  # noqa: N802
    @property
    def monotonic_ns(self) -> Callable[[], int]: ...


@dataclass(frozen=True, slots=True)
class Primitives:
    """Threads, locks and time as one argument with a real default.

    The code under test does not know which bundle it runs on. `THREADING` is the real one;
    `meridian.testing.explore` passes one whose every operation is a scheduling point, and a test of
    failures passes one that raises.

    Attributes:
        Lock: makes a plain, not re-entrant, lock.
        Condition: makes a condition on the lock given.
        Thread: makes a thread from `target=`, `args=`, `name=`, `daemon=`.
        monotonic_ns: nanoseconds of a clock that never goes back.
    """

    Lock: Callable[[], LockLike]
    Condition: Callable[[Any], ConditionLike]
    Thread: Callable[..., ThreadLike]
    monotonic_ns: Callable[[], int]


THREADING = Primitives(threading.Lock, threading.Condition, threading.Thread, time.monotonic_ns)
"""The primitives of the standard library."""
