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
    """Tells tasks to stop; each decides where it can. A token is cancelled once, and stays so.

    A signal that is broadcast is missed by whoever subscribes late; a token is a state, so nobody
    can. `cancel` may be called from any thread and from a signal handler, and may itself be
    interrupted: there is no lock here. Each operation on a list or dictionary is a single step of
    the interpreter, and every writer writes before it looks: of a `cancel` and an `add_waiter`
    that meet, one sees the other.

    A branch of `select` that is ready, with the reason as its value, when the token is cancelled.
    """

    def __init__(self) -> None:
        self._claims: list[list[str]] = []  # the first decides, in the step that appends it
        self._waiters: dict[int, Callable[[], object]] = {}
        self._children: dict[int, weakref.ref[CancellationToken]] = {}
        self._numbers = itertools.count()

    @property
    def is_cancelled(self) -> bool:
        return bool(self._claims)

    @property
    def reason(self) -> str:
        """Why, in the words of the first who cancelled; empty until then."""
        return self._claims[0][0] if self._claims else ""

    def cancel(self, reason: str = "") -> bool:
        """Cancel this token and all below it; whether this was the first call.

        A later call only finishes what an interrupt may have cut short. Raises `TypeError` for a
        reason that is no text; the token is as it was.
        """
        if not isinstance(reason, str):
            raise TypeError(f"Expected the reason as str, got {type(reason).__name__}")
        first = self._claim(reason)
        tree = [self]
        for token in tree:  # which grows
            for number, wake in list(token._waiters.items()):
                wake()  # twice, if it is interrupted here: a waiter may be woken in vain
                token._waiters.pop(number, None)
            for reference in list(token._children.values()):
                if (child := reference()) is not None:
                    child._claim(token.reason)
                    tree.append(child)
        for token in tree:  # not before all are told: an interrupted walk begins again from the top
            token._children.clear()
        return first

    def _claim(self, reason: str) -> bool:
        mine = [reason]
        self._claims.append(mine)
        first = self._claims[0] is mine
        del self._claims[1:]
        return first

    def child_token(self) -> CancellationToken:
        """A token that is cancelled with this one; cancelling it alone stays below it.

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
        """Wait until the token is cancelled; returns the reason. A checkpoint in any case."""
        return (await select(self))[1]

    # -- as a branch of select -------------------------------------------------------------------

    def try_take(self) -> Ready[str] | Pending:
        return Ready(self.reason) if self._claims else PENDING

    def add_waiter(self, wake: Callable[[], object]) -> Callable[[], object]:
        """Call `wake` in the loop of this thread once the token is cancelled, wherever that is."""
        number = next(self._numbers)
        waiters = self._waiters
        waiters[number] = functools.partial(loop_here(), wake)
        if self.is_cancelled:  # it was cancelled just before
            wake()
        return lambda: waiters.pop(number, None)

    def __repr__(self) -> str:
        state = f"cancelled: {self.reason!r}" if self.is_cancelled else "not cancelled"
        return f"<CancellationToken {state}>"
