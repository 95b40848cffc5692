"""What both threads and channels refuse."""

from __future__ import annotations

from meridian.errors import MeridianError

__all__ = ["WrongThread"]


class WrongThread(MeridianError, RuntimeError):
    """A thing of one thread, or one loop, was used from another, or after a fork."""

    def __init__(self, what: str, instead: str = "use it where it was made") -> None:
        self.what = what
        self.instead = instead
        super().__init__(f"{what} belongs to another thread: {instead}")
