"""`meridian.foundation.channels` under the names of the capstone, so that one suite judges both."""

from __future__ import annotations

from meridian.foundation.channels.aggregator import (
    AggregatorConfig,
    AggregatorReport,
    DuplicateSource,
    FeedKind,
    Frame,
    FramePriority,
    PipelineStats,
    ShuttingDown,
    SourceHandle,
    TelemetryAggregator,
    UnknownSource,
)
from meridian.foundation.channels.aggregator_demo import main, run_demo

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
