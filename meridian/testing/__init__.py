"""Tools for tests, notebooks and the grader: a clock that stands still, a file system that fails.

No shipped system imports this package.
"""

from __future__ import annotations

from meridian.testing.clock import VirtualClock
from meridian.testing.faulty import FaultyFileSystem

__all__ = ["FaultyFileSystem", "VirtualClock"]
