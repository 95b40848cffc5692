"""How much an aggregator may hold at each place, and how long it may take to stop."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

__all__ = ["AggregatorConfig"]


@dataclass(slots=True, frozen=True, kw_only=True)
class AggregatorConfig:
    """Room for frames, in frames. The sum over all places bounds what is held at any time:
    ``feed_capacity`` for each source, and the emergency, routine and processor capacities once.

    Raises `TypeError` and `ValueError` for what is none.
    """

    ctrl_capacity: int = 8
    """Removals of sources that may be draining at once; another waits for its turn."""
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
            if not each.name.endswith("_capacity") and each.name != "max_high_run":
                continue
            value = getattr(self, each.name)
            if value is None and each.name == "max_high_run":
                continue
            if type(value) is not int:
                raise TypeError(f"Expected {each.name} as int, got {type(value).__name__}")
            if value < 1:
                raise ValueError(f"Expected {each.name} of at least 1, got {value}")
        deadline_s = self.shutdown_deadline_s
        if not isinstance(deadline_s, (int, float)) or isinstance(deadline_s, bool):
            raise TypeError(f"Expected shutdown_deadline_s in seconds, got {deadline_s!r}")
        if not (math.isfinite(deadline_s) and deadline_s >= 0):
            raise ValueError(f"Expected shutdown_deadline_s as finite seconds, got {deadline_s!r}")
