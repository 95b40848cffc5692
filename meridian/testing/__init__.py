"""Tools for tests, notebooks and the grader: a clock that stands still, a file system that fails,
a scheduler that tries every interleaving, a check that every channel has to pass.

No shipped system imports this package.
"""

from __future__ import annotations

from meridian.testing.channels import ChannelAdapter, Item, check_channel
from meridian.testing.clock import VirtualClock
from meridian.testing.faulty import FaultyFileSystem
from meridian.testing.interleave import explore, replay

__all__ = [
    "ChannelAdapter",
    "FaultyFileSystem",
    "Item",
    "VirtualClock",
    "check_channel",
    "explore",
    "replay",
]
