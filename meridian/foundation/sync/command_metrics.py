"""The counters of a command queue, read at any moment without its lock."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Metrics", "MetricsSnapshot"]


@dataclass(slots=True, frozen=True)
class MetricsSnapshot:
    """Counters since the queue was made: safe_mode_count <= commands_dispatched <= commands_pushed.

    Attributes:
        commands_pushed: commands admitted.
        commands_dispatched: commands handed to a consumer.
        safe_mode_count: those of them that were SAFE_MODE.
    """

    commands_pushed: int
    commands_dispatched: int
    safe_mode_count: int


class Metrics:
    """What a dashboard reads while the queue works, even while a thread is stuck with the lock.

    One thread at a time writes, under the queue's lock: a command is counted as pushed before it
    can be dispatched, as dispatched before it is counted as SAFE_MODE. A snapshot reads in the
    opposite order. Counters only grow, so each one read later is at least what the one before it
    was then, and the inequality of `MetricsSnapshot` holds. That needs of the interpreter only
    that a reference is stored and loaded whole and in program order: so it is under the GIL, and
    so it is without it, where slots are stored with release and loaded with acquire (PEP 703).
    """

    __slots__ = ("_dispatched", "_pushed", "_safe_mode")

    def __init__(self) -> None:
        self._pushed = 0
        self._dispatched = 0
        self._safe_mode = 0

    @property
    def commands_pushed(self) -> int:
        return self._pushed

    @property
    def commands_dispatched(self) -> int:
        return self._dispatched

    @property
    def safe_mode_count(self) -> int:
        return self._safe_mode

    @property
    def waiting(self) -> int:
        """Commands admitted and not dispatched, as it was at one moment during the call."""
        dispatched = self._dispatched
        while True:
            pushed = self._pushed
            again = self._dispatched
            if again == dispatched:
                return pushed - dispatched
            dispatched = again

    def snapshot(self) -> MetricsSnapshot:
        """All three, in the inequality of `MetricsSnapshot` whatever happens meanwhile."""
        safe_mode = self._safe_mode
        dispatched = self._dispatched
        return MetricsSnapshot(self._pushed, dispatched, safe_mode)

    def __repr__(self) -> str:
        return repr(self.snapshot())
