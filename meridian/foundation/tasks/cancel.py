"""One switch that tells a whole tree of tasks to stop.

Reference: the ``CancellationToken`` of .NET and of tokio-util.
"""

from __future__ import annotations

import functools
import itertools
import weakref
from collections.abc import Callable

from meridian.foundation.tasks.parking import loop_here
from meridian.foundation.tasks.readiness import PENDING, Pending, Ready
from meridian.foundation.tasks.select import select

__all__ = ["CancellationToken"]


class CancellationToken:
    """Tells tasks to stop; each decides where it can. A token is thrown once and stays thrown.

    A signal that is broadcast is missed by whoever subscribes late; a token is a state, so nobody
    can. `cancel` may be called from any thread and from a signal handler: there is no lock here.
    Each dictionary operation is a single step of the interpreter, and every writer writes before
    it looks: of a `cancel` and an `add_waiter` that meet, one sees the other.

    A branch of `select` that is ready, with the reason as its value, when the token is thrown.
    """

    def __init__(self) -> None:
        self._reason: str | None = None
        self._unthrown = [None]  # popping decides who was first
        self._waiters: dict[int, Callable[[], object]] = {}
        self._children: dict[int, weakref.ref[CancellationToken]] = {}
        self._numbers = itertools.count()

    @property
    def is_cancelled(self) -> bool:
        return self._reason is not None

    @property
    def reason(self) -> str:
        """Why, in the words of the first who cancelled; empty until then."""
        return self._reason or ""

    def cancel(self, reason: str = "") -> bool:
        """Throw this token and all below it; whether this was the first call.

        Raises `TypeError` for a reason that is no text; the token is as it was.
        """
        if not isinstance(reason, str):
            raise TypeError(f"Expected the reason as str, got {type(reason).__name__}")
        try:
            self._unthrown.pop()
        except IndexError:
            return False
        self._reason = reason
        for number in list(self._waiters):
            if (wake := self._waiters.pop(number, None)) is not None:
                wake()
        for reference in list(self._children.values()):
            if (child := reference()) is not None:
                child.cancel(reason)
        self._children.clear()
        return True

    def child_token(self) -> CancellationToken:
        """A token that is thrown with this one; throwing it alone stays below it.

        This token does not keep it: a child that nobody holds costs nothing.
        """
        child = CancellationToken()
        number = next(self._numbers)
        children = self._children
        children[number] = weakref.ref(child, lambda _: children.pop(number, None))
        if self.is_cancelled:
            child.cancel(self.reason)
        return child

    async def cancelled(self) -> str:
        """Wait until the token is thrown; returns the reason. A checkpoint in any case."""
        return (await select(self))[1]

    # -- as a branch of select -------------------------------------------------------------------

    def try_take(self) -> Ready[str] | Pending:
        return PENDING if self._reason is None else Ready(self._reason)

    def add_waiter(self, wake: Callable[[], object]) -> Callable[[], object]:
        """Call `wake` in the loop of this thread once the token is thrown, wherever that is."""
        number = next(self._numbers)
        waiters = self._waiters
        waiters[number] = functools.partial(loop_here(), wake)
        if self.is_cancelled:  # it was thrown just before
            wake()
        return lambda: waiters.pop(number, None)

    def __repr__(self) -> str:
        state = f"cancelled: {self._reason!r}" if self.is_cancelled else "not cancelled"
        return f"<CancellationToken {state}>"
