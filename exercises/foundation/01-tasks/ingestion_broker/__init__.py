"""The telemetry ingress of the ground network: the names that the grader calls.

Given: nothing to write here.
"""

from __future__ import annotations

from .broker import Broker
from .command import main
from .framing import FrameDecoder, FrameTooLarge, TruncatedFrame, encode_frame, read_frame
from .legacy import serve_one_at_a_time
from .records import BrokerConfig, BrokerStats, Frame, HandlerStats, ShutdownReport

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
    "serve_one_at_a_time",
]
