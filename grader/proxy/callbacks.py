"""Functions of the judge that a submission may call, and what travels when they raise.

A function passed as an argument may be called while that question is out, from any thread of the
submission. `Callback` makes one that lasts as long as the worker.
"""

from __future__ import annotations

import builtins
import inspect
import itertools
import os
from collections.abc import Callable
from typing import Any, NamedTuple

from grader.errors import RemoteError

__all__ = ["Callback", "Callbacks", "Throw", "class_name", "error_parts", "sendable"]


class Throw(Exception):
    """Raised by a callback: the submission sees `error`, an exception object of its own.

    >>> def handler(frame):                                             # doctest: +SKIP
    ...     raise Throw(submission.StationLost("gs-1"))
    """

    def __init__(self, error: Any) -> None:
        self.error = error
        super().__init__("an exception of the submission")


class Callback:
    """A judge's function that the submission may keep, and call whenever a question is out.

    Called between two questions it waits for the next one. With `awaited` the submission gets an
    async function: its event loop goes on while the judge runs this one.
    """

    def __init__(self, function: Callable[..., Any], *, awaited: bool = False) -> None:
        _check(function)
        self.function = function
        self.awaited = awaited
        self.calls = 0


class _Passed(NamedTuple):
    number: int
    function: Callable[..., Any]
    scope: int
    kept: Callback | None


class Callbacks:
    """What one worker may call. The numbers begin at random: none can be guessed."""

    def __init__(self) -> None:
        self._numbers = itertools.count(int.from_bytes(os.urandom(4), "little"))
        self._passed: dict[int, _Passed] = {}
        self._kept: dict[int, int] = {}

    def tell(self, function: Any, question: int) -> list[Any]:
        """Number, whether awaited and scope: what travels for a function or a `Callback`."""
        kept = function if isinstance(function, Callback) else None
        if kept is not None and id(kept) in self._kept:
            return [self._kept[id(kept)], kept.awaited, 0]
        number = next(self._numbers)
        if kept is None:
            _check(function)
            self._passed[number] = _Passed(number, function, question, None)
            return [number, False, question]
        self._kept[id(kept)] = number  # the entry below keeps it alive, so its id stays its own
        self._passed[number] = _Passed(number, kept.function, 0, kept)
        return [number, kept.awaited, 0]

    def find(self, number: int) -> Callable[..., Any] | None:
        """The function to run for a call, which is counted; ``None`` for one nobody passed."""
        passed = self._passed.get(number)
        if passed is None:
            return None
        if passed.kept is not None:
            passed.kept.calls += 1
        return passed.function

    def end(self, question: int) -> None:
        """Forget what was passed for `question` only."""
        for number in [n for n, passed in self._passed.items() if passed.scope == question]:
            del self._passed[number]


def _check(function: Any) -> None:
    if inspect.iscoroutinefunction(function):
        raise TypeError(
            "Expected a plain function as callback, got an async one: "
            "pass submission.callback(function, awaited=True)"
        )
    if not callable(function):
        raise TypeError(f"Expected a function as callback, got {type(function).__name__}")


def sendable(error: BaseException) -> bool:
    """Whether `error` is for the submission: its own, or a builtin one; never a failed check."""
    if isinstance(error, RemoteError):
        return True
    kind = type(error)
    return (
        _builtin(kind.__name__) is kind
        and isinstance(error, Exception)
        and kind is not AssertionError
    )


def error_parts(error: BaseException) -> tuple[str, list[Any], int]:
    """Name of a builtin class, arguments and number: how `error` is made again in the worker.

    A `RemoteError` is the submission's own exception again, as long as the worker remembers it.
    Raises `TypeError` for any other class.
    """
    if isinstance(error, RemoteError):
        names = [name for name in error.mro if _builtin(name)]
        return names[0] if names else "Exception", [error.message], error.number
    if not sendable(error):
        raise TypeError(f"Expected a builtin exception to send, got {type(error).__name__}")
    return type(error).__name__, list(error.args), 0


def class_name(kind: type) -> str:
    """The name by which the worker knows a builtin class. Raises `TypeError` for any other."""
    name: str = kind.__name__
    if getattr(builtins, name, None) is not kind:
        raise TypeError(f"Expected a builtin class or plain data to send, got {name}")
    return name


def _builtin(name: str) -> type[BaseException] | None:
    found = getattr(builtins, name, None)
    is_error = isinstance(found, type) and issubclass(found, BaseException)
    return found if is_error else None
