"""Tools for tests, notebooks and the grader: a clock that stands still, a file system that fails,
a scheduler that tries every interleaving, a check that every channel has to pass.

No shipped system imports this package. Names are loaded when first used: a worker that needs one
tool need not have what the others are built on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meridian.lazy import lazy_names

if TYPE_CHECKING:
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

_EXPORTS = {
    "channels": ("ChannelAdapter", "Item", "check_channel"),
    "clock": ("VirtualClock",),
    "faulty": ("FaultyFileSystem",),
    "interleave": ("explore", "replay"),
}
__getattr__, __dir__ = lazy_names(__name__, _EXPORTS)
