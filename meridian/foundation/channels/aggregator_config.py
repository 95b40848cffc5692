"""How much an aggregator may hold at each place, and how long it may take to stop."""

from __future__ import annotations

from dataclasses import dataclass, fields

from meridian.checks import checked_int, checked_seconds

__all__ = ["AggregatorConfig"]


@dataclass(slots=True, frozen=True, kw_only=True)
class AggregatorConfig:
    """Room for frames, in frames. The sum over all places bounds what is held at any time:
    ``feed_capacity`` for each source, and the emergency, routine and processor capacities once.

    Raises `TypeError` and `ValueError` for what is none.
    """

    ctrl_capacity: int = 8
    """Calls of `remove_source` that wait for a feed to drain at once; another waits for its turn to
    wait, while its source, closed already, drains with the others."""
    feed_capacity: int = 32
    """Routine frames that each source may have waiting of its own, behind the routine lane."""
    emergency_capacity: int = 64
    """The lane that the emergencies of all sources share."""
    routine_capacity: int = 256
    """The lane that the routine frames of all sources share."""
    processor_capacity: int = 64
    """Routine frames that the processor draws from the lane at a time, the one it works on among
    them, and frames that it works on without letting other tasks run."""
    broadcast_capacity: int = 128
    """Processed frames that a subscriber may be behind before it misses the oldest."""
    shutdown_deadline_s: float = 5.0
    """What is accepted and not processed by then is discarded."""
    max_high_run: int | None = None
    """After so many emergencies in a row one waiting routine frame is processed; by default
    routine frames starve while emergencies keep coming, which is meant."""

    def __post_init__(self) -> None:
        for each in fields(self):
            if each.name.endswith("_capacity"):
                checked_int(each.name, getattr(self, each.name), least=1)
        if self.max_high_run is not None:
            checked_int("max_high_run", self.max_high_run, least=1)
        checked_seconds("shutdown_deadline_s", self.shutdown_deadline_s, finite=True)
