"""Counters that a dashboard reads while the queue works."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Metrics", "MetricsSnapshot"]


@dataclass(slots=True, frozen=True)
class MetricsSnapshot:
    """safe_mode_count <= commands_dispatched <= commands_pushed, at whatever moment it is taken."""

    commands_pushed: int
    commands_dispatched: int
    safe_mode_count: int


class Metrics:
    """Read at any moment, without a lock: a dashboard must not wait for a thread that is stuck.

    The queue counts, one thread at a time, while it holds its own lock: a command as pushed when
    it is admitted, as dispatched, and as SAFE_MODE if it is one, when it is handed to a consumer.
    """

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

    def snapshot(self) -> MetricsSnapshot:
        """All three. Other threads count meanwhile, and still the inequality above must hold."""
        raise NotImplementedError(
            "foundation/02-sync #4: snapshot() - no lock; mind what may be counted between two reads"
        )
