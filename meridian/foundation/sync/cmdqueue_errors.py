"""What a command queue refuses, and why."""

from __future__ import annotations

from meridian.errors import MeridianError

__all__ = ["BadCapacity", "PopTimeout", "QueueBroken", "QueueFull", "QueueShutdown"]


class BadCapacity(MeridianError, ValueError):
    """A queue cannot be of this size."""

    def __init__(self, name: str, expected: str, actual: object) -> None:
        self.name = name
        self.expected = expected
        self.actual = actual
        super().__init__(f"Expected {name} {expected}, got {actual!r}")


class QueueShutdown(MeridianError, RuntimeError):
    """The queue admits nothing more: it was shut down. What it holds can still be popped."""

    def __init__(self, admitted: int = 0, offered: int = 1) -> None:
        self.admitted = admitted
        self.offered = offered
        super().__init__(
            f"The queue is shut down: {admitted} of {offered} commands offered were admitted"
        )


class QueueFull(MeridianError, TimeoutError):
    """No slot came free for the command within the timeout; it was not admitted."""

    def __init__(self, capacity: int, timeout_s: float) -> None:
        self.capacity = capacity
        self.timeout_s = timeout_s
        super().__init__(
            f"The queue is full: no slot of {capacity} free for this command within {timeout_s:g} s"
        )


class PopTimeout(MeridianError, TimeoutError):
    """No command came within the timeout."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        super().__init__(f"The queue is empty: no command within {timeout_s:g} s")


class QueueBroken(MeridianError, RuntimeError):
    """The queue failed inside an operation, so its content can no longer be trusted.

    ``__cause__`` is the error. Make a new queue, and have the commands issued again.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"The queue is broken and was closed, after {reason}: make a new one")
