"""`meridian.foundation.tasks` under the names of the capstone, so that one suite judges both."""

from __future__ import annotations

from meridian.foundation.tasks import (
    Broker,
    BrokerConfig,
    BrokerStats,
    Frame,
    HandlerStats,
    ShutdownReport,
)
from meridian.foundation.tasks.broker_command import main
from meridian.orbital.framing import (
    FrameDecoder,
    FrameTooLarge,
    TruncatedFrame,
    encode_frame,
    read_frame,
)

__all__ = [
    "Broker",
    "BrokerConfig",
    "BrokerStats",
    "Frame",
    "FrameDecoder",
    "FrameTooLarge",
    "HandlerStats",
    "ShutdownReport",
    "TruncatedFrame",
    "encode_frame",
    "main",
    "read_frame",
]
