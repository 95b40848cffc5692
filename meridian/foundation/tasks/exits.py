"""How a task ended: four cases that callers tell apart, since each asks for something else."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from meridian.errors import MeridianError

__all__ = ["EXPECTED", "JoinTimeout", "TaskExit", "cancellation_in", "classify", "has_cancellation"]

T_co = TypeVar("T_co", covariant=True)

EXPECTED: tuple[type[Exception], ...] = (MeridianError, OSError, TimeoutError)
"""What goes wrong in operation; anything else that is raised is a mistake in the program."""


class JoinTimeout(MeridianError, TimeoutError):
    """A task or thread did not end in the time that was given to wait for it. It goes on."""

    def __init__(self, what: str, timeout_s: float) -> None:
        self.what = what
        self.timeout_s = timeout_s
        super().__init__(f"{what} still runs after {timeout_s:g} s: join again, or let it go on")


class TaskExit(Generic[T_co]):
    """One of `TaskExit.Ok`, `TaskExit.Errored`, `TaskExit.Panicked`, `TaskExit.Aborted`.

    >>> match classify(TimeoutError("5 s")):
    ...     case TaskExit.Errored(exc):
    ...         print("try again:", exc)
    ...     case TaskExit.Panicked(exc):
    ...         print("a bug:", exc)
    try again: 5 s
    """

    __slots__ = ()

    Ok: ClassVar[type[Ok[Any]]]
    Errored: ClassVar[type[Errored[Any]]]
    Panicked: ClassVar[type[Panicked[Any]]]
    Aborted: ClassVar[type[Aborted[Any]]]


@dataclass(frozen=True, slots=True)
class Ok(TaskExit[T_co]):
    """It returned `value`."""

    value: T_co


@dataclass(frozen=True, slots=True)
class Errored(TaskExit[T_co]):
    """It raised what operation has to expect: `exc`, a group only if every leaf is such."""

    exc: Exception


@dataclass(frozen=True, slots=True)
class Panicked(TaskExit[T_co]):
    """It raised what nobody expected: `exc` is a bug in it."""

    exc: Exception


@dataclass(frozen=True, slots=True)
class Aborted(TaskExit[T_co]):
    """It was cancelled before it came to an end of its own."""

    reason: str = ""


TaskExit.Ok = Ok
TaskExit.Errored = Errored
TaskExit.Panicked = Panicked
TaskExit.Aborted = Aborted


def classify(
    exc: BaseException, expected: tuple[type[BaseException], ...] = EXPECTED
) -> TaskExit[object]:
    """The case that `exc` makes of a task.

    Raises `exc` itself when it is meant for the whole process: `KeyboardInterrupt`, `SystemExit`,
    and any other that is neither an `Exception` nor the backend's cancellation.
    """
    leaves = _leaves(exc)
    errors = [leaf for leaf in leaves if isinstance(leaf, Exception)]
    if not all(isinstance(leaf, Exception) or _is_cancellation(leaf) for leaf in leaves):
        raise exc
    if not errors:
        return Aborted(str(exc))
    whole = exc if isinstance(exc, Exception) else ExceptionGroup("while cancelled", errors)
    case = Errored if all(isinstance(error, expected) for error in errors) else Panicked
    return case(whole)


def cancellation_in(exc: BaseException) -> BaseException | None:
    """How a backend tells a task to stop, when `exc` is that or a group that holds it."""
    return next((leaf for leaf in _leaves(exc) if _is_cancellation(leaf)), None)


def has_cancellation(exc: BaseException) -> bool:
    """Whether `exc` is, or holds, how a backend tells a task to stop: then it must go on."""
    return cancellation_in(exc) is not None


def _is_cancellation(exc: BaseException) -> bool:
    trio = sys.modules.get("trio")
    return isinstance(exc, asyncio.CancelledError) or (
        trio is not None and isinstance(exc, trio.Cancelled)
    )


def _leaves(exc: BaseException) -> list[BaseException]:
    """The exceptions of a group and its groups; of any other, itself."""
    if not isinstance(exc, BaseExceptionGroup):
        return [exc]
    return [leaf for each in exc.exceptions for leaf in _leaves(each)]
