"""What is said about an end that was dropped and not closed."""

from __future__ import annotations

import sys
import warnings
from typing import Any

__all__ = ["warn_unclosed"]


def warn_unclosed(channel: Any, end: str) -> None:
    """Tell that an end of a channel that was in use was left to the garbage collector."""
    if (channel.thread or channel.sent) and not sys.is_finalizing():
        warnings.warn(f"A {end} of {channel!r} was not closed", ResourceWarning, stacklevel=3)
