"""Many telemetry sources into one stream: emergencies first, and every frame accounted for."""

from __future__ import annotations

from .aggregator import TelemetryAggregator
from .config import AggregatorConfig
from .demo import main, run_demo
from .records import (
    AggregatorReport,
    DuplicateSource,
    FeedKind,
    Frame,
    FramePriority,
    PipelineStats,
    ShuttingDown,
    UnknownSource,
)
from .source import SourceHandle

__all__ = [
    "AggregatorConfig",
    "AggregatorReport",
    "DuplicateSource",
    "FeedKind",
    "Frame",
    "FramePriority",
    "PipelineStats",
    "ShuttingDown",
    "SourceHandle",
    "TelemetryAggregator",
    "UnknownSource",
    "main",
    "run_demo",
]
