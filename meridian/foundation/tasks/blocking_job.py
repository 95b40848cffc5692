"""One call on its way to a thread and back to the task that waits for it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Generic, TypeVar

from meridian.foundation.tasks.parking import Waiter, loop_here

__all__ = ["Job"]

T = TypeVar("T")


class Job(Generic[T]):
    """A function, its arguments and context; later what it returned or raised."""

    __slots__ = (
        "_args",
        "_context",
        "_error",
        "_fn",
        "_value",
        "abandoned",
        "done",
        "post",
        "waiter",
    )

    def __init__(self, fn: Callable[..., T], args: tuple[object, ...]) -> None:
        self._fn = fn
        self._args = args
        self._context = _context_for_a_thread()
        self._value: T
        self._error: BaseException | None = None
        self.waiter = Waiter()
        self.post = loop_here()
        self.done = self.abandoned = False  # under the pool's lock

    def run(self) -> None:
        try:
            self._value = self._context.run(self._fn, *self._args)
        except BaseException as error:
            self._error = error

    def outcome(self) -> T:
        if self._error is None:
            return self._value
        error, self._error = self._error, None
        try:
            raise error
        finally:
            del error  # its traceback holds this frame


def _context_for_a_thread() -> Context:
    context = copy_context()
    if (sniffio := sys.modules.get("sniffio")) is not None:  # no loop runs in there
        context.run(sniffio.current_async_library_cvar.set, None)
    return context
