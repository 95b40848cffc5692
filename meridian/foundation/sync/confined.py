"""What only one thread may touch, checked where a compiler would have refused.

Reference: Rust's ``!Send``; ``sqlite3.Connection`` and its ``check_same_thread``.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from meridian.foundation.sync.errors import WrongThread
from meridian.foundation.sync.guard import Uncopyable
from meridian.foundation.sync.order import of_thread

__all__ = ["ThreadConfined"]

T = TypeVar("T")


class ThreadConfined(Uncopyable, Generic[T]):
    """Let only the thread that made this reach `value`; any other gets `WrongThread`.

    The wrapper may travel freely. It cannot see a reference to the value that was kept.
    """

    __slots__ = ("__weakref__", "_thread", "_value")

    def __init__(self, value: T) -> None:
        self._thread = of_thread.locks
        self._value = value

    @property
    def value(self) -> T:
        """The value; may be assigned. Raises `WrongThread` off the thread that made this."""
        self._check()
        return self._value

    @value.setter
    def value(self, value: T) -> None:
        self._check()
        self._value = value

    def _check(self) -> None:
        if of_thread.locks is not self._thread:
            raise WrongThread(f"This {type(self._value).__name__}")

    def __repr__(self) -> str:
        here = "here" if of_thread.locks is self._thread else "in another thread"
        return f"<ThreadConfined {type(self._value).__name__}: usable {here}>"
