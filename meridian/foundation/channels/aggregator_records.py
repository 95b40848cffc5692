"""What flows through the aggregator, what it counts, and what it refuses."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

import msgspec

from meridian.errors import MeridianError

__all__ = [
    "AggregatorReport",
    "AggregatorStats",
    "AggregatorUsed",
    "FeedKind",
    "Frame",
    "FramePriority",
    "PipelineStats",
    "ProcessFailed",
    "ShuttingDown",
]


class FramePriority(IntEnum):
    ROUTINE = 0
    EMERGENCY = 1


class FeedKind(Enum):
    LIVE_UPLINK = "live_uplink"
    ARCHIVED_REPLAY = "archived_replay"


@dataclass(slots=True, frozen=True)
class Frame:
    """One frame of one source. `sequence` counts within the source, `payload` is not looked at."""

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


class AggregatorStats(msgspec.Struct, frozen=True, kw_only=True):
    """What an aggregator has done so far; ``routed`` is the sum of the four after it."""

    routed: int
    processed: int
    failed: int
    """Frames that `process` raised for."""
    discarded: int
    """Frames of sources removed without draining, and those left at the end."""
    waiting: int
    """Accepted frames that are none of those yet, the one in hand included."""
    emergency: int
    rejected: int
    """Frames refused because of the shutdown."""
    sources: int
    """Sources there are now, those that are draining included."""


@dataclass(slots=True, frozen=True)
class AggregatorReport:
    """How a run went: ``routed == processed + failed + discarded``."""

    routed: int
    processed: int
    emergency: int
    rejected: int
    """Sends refused after the shutdown was requested."""
    discarded: int
    """Frames accepted and never processed, the one in hand of a hung `process` included."""
    clean: bool
    """Whether everything that was accepted and not discarded on demand was worked off in time."""
    elapsed_s: float
    failed: int = 0
    """Frames that `process` raised for; they were not broadcast."""


class ShuttingDown(MeridianError, BrokenPipeError):
    """The aggregator takes nothing more; `item` is the frame that was not accepted, if any."""

    def __init__(self, item: object = None) -> None:
        self.item = item
        what = "no source" if item is None else "no frame"
        super().__init__(f"The aggregator is shutting down or has ended: it takes {what} any more")


class AggregatorUsed(MeridianError, RuntimeError):
    """An aggregator runs once: it runs, or it has run."""

    def __init__(self) -> None:
        super().__init__("This aggregator runs or has run: make a new one")


class ProcessFailed(MeridianError, RuntimeError):
    """`process` raised, and that was to end the run. ``__cause__`` is what it raised."""

    def __init__(self, frame: Frame, report: AggregatorReport) -> None:
        self.frame = frame
        self.report = report
        super().__init__(
            f"Processing frame {frame.sequence} of source {frame.source_id} failed: stopped after "
            f"{report.processed} frames, {report.discarded} accepted ones were left"
        )
