"""What flows through the aggregator, what it counts, and what it refuses. Given."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

__all__ = [
    "AggregatorReport",
    "DuplicateSource",
    "FeedKind",
    "Frame",
    "FramePriority",
    "PipelineStats",
    "ShuttingDown",
    "UnknownSource",
]


class FramePriority(IntEnum):
    ROUTINE = 0
    EMERGENCY = 1


class FeedKind(Enum):
    LIVE_UPLINK = "live_uplink"
    ARCHIVED_REPLAY = "archived_replay"


@dataclass(slots=True, frozen=True)
class Frame:
    """One frame of one source; `sequence` counts within the source."""

    source_id: int
    source_kind: FeedKind
    priority: FramePriority
    sequence: int
    payload: bytes


@dataclass(slots=True, frozen=True)
class PipelineStats:
    """Counts of one moment: ``emergency_count <= frames_processed <= frames_routed``, always."""

    frames_routed: int = 0
    """Frames accepted: their `send` has returned, or is about to."""
    frames_processed: int = 0
    """Calls of `process` that have completed."""
    emergency_count: int = 0
    """Those of them that were for emergencies."""


@dataclass(slots=True, frozen=True)
class AggregatorReport:
    """How a run went: ``routed == processed + discarded``."""

    routed: int
    processed: int
    emergency: int
    rejected: int
    """Sends refused after the shutdown was requested."""
    discarded: int
    """Frames accepted and never processed, the one in hand of a hung `process` included."""
    clean: bool
    """Whether the run ended by itself, and not by the deadline."""
    elapsed_s: float


class ShuttingDown(BrokenPipeError):
    """The aggregator takes nothing more; `item` is the frame that was not accepted, if any."""

    def __init__(self, item: Frame | None = None) -> None:
        self.item = item
        super().__init__("The aggregator is shutting down: it takes nothing more")


class DuplicateSource(ValueError):
    def __init__(self, source_id: int) -> None:
        self.source_id = source_id
        super().__init__(f"Source {source_id} is there already")


class UnknownSource(LookupError):
    def __init__(self, source_id: int) -> None:
        self.source_id = source_id
        super().__init__(f"Source {source_id} is not there")
