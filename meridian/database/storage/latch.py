"""The pool's one lock, and the wait for what others are moving."""

from __future__ import annotations

import threading

__all__ = ["Latch"]


class Latch:
    """A lock for the tables, held for moments, and a wait for page moves, which take I/O.

    `lock` is reentrant, for callers who hold it over several calls. Waking costs nothing as long
    as nobody waits, which is nearly always.
    """

    __slots__ = ("_settled", "_waiting", "lock")

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._settled = threading.Condition(self.lock)
        self._waiting = 0

    def wait(self) -> None:
        """Let go of the lock, which is held, until some page has settled."""
        self._waiting += 1
        try:
            self._settled.wait()
        finally:
            self._waiting -= 1

    def wake(self) -> None:
        """Some page has settled. The lock is held."""
        if self._waiting:
            self._settled.notify_all()
