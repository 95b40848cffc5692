"""How much an aggregator may hold at each place, and how long it may take to stop. Given."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["AggregatorConfig"]


@dataclass(slots=True, frozen=True, kw_only=True)
class AggregatorConfig:
    """Room, in frames. Use what your design has a place for; hold no more than the sum."""

    ctrl_capacity: int = 8
    """Commands (add, remove) that may wait, where a task of its own carries them out."""
    feed_capacity: int = 32
    """Routine frames of one source that wait behind the lane."""
    emergency_capacity: int = 64
    """The lane that the emergencies of all sources share."""
    routine_capacity: int = 256
    """The lane that the routine frames of all sources share."""
    processor_capacity: int = 64
    """Frames before the processor, or that it works on before it lets other tasks run."""
    broadcast_capacity: int = 128
    """Processed frames that a subscriber may be behind before it misses the oldest."""
    shutdown_deadline_s: float = 5.0
    """What is accepted and not processed by then is discarded."""
