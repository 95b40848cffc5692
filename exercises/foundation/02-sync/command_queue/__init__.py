"""The command queue of a ground station: highest priority first, then oldest, and nothing lost."""

from __future__ import annotations

from .command import URGENT, Command, CommandKind
from .demo import DemoReport, Sample, dispatch_table, run_demo
from .errors import QueueBroken, QueueFull, QueueShutdown
from .metrics import Metrics, MetricsSnapshot
from .primitives import THREADING, Primitives
from .queue import CommandQueue

__all__ = [
    "THREADING",
    "URGENT",
    "Command",
    "CommandKind",
    "CommandQueue",
    "DemoReport",
    "Metrics",
    "MetricsSnapshot",
    "Primitives",
    "QueueBroken",
    "QueueFull",
    "QueueShutdown",
    "Sample",
    "dispatch_table",
    "run_demo",
]
