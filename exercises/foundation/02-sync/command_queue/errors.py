"""What the queue refuses. Given: nothing to write here."""

from __future__ import annotations

__all__ = ["QueueBroken", "QueueFull", "QueueShutdown"]


class QueueShutdown(RuntimeError):
    """The queue was shut down: this command was not admitted."""


class QueueFull(TimeoutError):
    """No slot came free within the timeout: this command was not admitted."""


class QueueBroken(RuntimeError):
    """An operation failed half-way, so the queue can no longer be trusted; ``__cause__`` is why."""
