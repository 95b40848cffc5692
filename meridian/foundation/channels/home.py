"""Which thread, and so which loop, a channel belongs to; and a check of it that costs nothing."""

from __future__ import annotations

import itertools
import os
import sys
import threading
from collections.abc import Callable, Iterable

from meridian.foundation.sync.errors import WrongThread
from meridian.foundation.tasks.parking import Waiter, Waiters, current_budget, loop_here

__all__ = ["Home", "freeze", "here"]

_numbers = itertools.count(1)


class _Here(threading.local):
    def __init__(self) -> None:
        self.token = object()


here = _Here()
"""``here.token`` is this thread's own. A forked child gets another: no loop runs on in it."""

os.register_at_fork(after_in_child=lambda: setattr(here, "token", object()))


class Home:
    """What both ends of a channel share: its name, its thread, and who waits for news of it.

    A channel belongs to the thread that first uses it. Ask ``home.token is not here.token`` before
    anything is changed, and `enter` where that is so.
    """

    def __init__(self, kind: str, name: str | None) -> None:
        self.name = name or f"{kind}-{next(_numbers)}"
        self.token: object = None
        self.budget = current_budget()
        self.waiters = Waiters()
        self._post: Callable[[Callable[[], object]], object] | None = None

    def enter(self) -> None:
        """Belong to this thread. Raises `WrongThread` where the channel belongs to another."""
        if self.token is not None:
            raise WrongThread(f"Channel {self.name}", "use its ends in the loop that used it first")
        self.token = here.token
        self.budget = current_budget()

    async def wait(self) -> None:
        """Sleep until somebody calls the waiters."""
        waiter = Waiter()
        remove = self.add_waiter(waiter.wake)
        try:
            await waiter.wait()
        finally:
            remove()

    def add_waiter(self, wake: Callable[[], object]) -> Callable[[], object]:
        if self._post is None:
            self._post = loop_here()
        return self.waiters.add(wake)

    def call_later(self) -> None:
        """Call the waiters from wherever this is: another thread, or within garbage collection."""
        if self._post is not None:
            self._post(self.waiters.call_all)


def freeze(items: Iterable[object]) -> None:
    """Make those that are NumPy arrays read-only: who sends one has given it away.

    Not what an array is a view of, nor what a record holds. Costs no import of NumPy.
    """
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        for item in items:
            if isinstance(item, numpy.ndarray):
                item.flags.writeable = False
