"""How long to wait for a lock or a thread, as `threading.Lock.acquire` spells it."""

from __future__ import annotations

import threading
from typing import SupportsFloat

from meridian.checks import checked_seconds

__all__ = ["FOREVER", "limit_s"]

FOREVER = -1.0
"""No limit."""


def limit_s(timeout: SupportsFloat | None) -> float:
    """Seconds for ``acquire(timeout=...)``: `FOREVER` for None and for more than it can count.

    Raises `TypeError` for what is no number, `ValueError` for a negative time or NaN.
    """
    if timeout is None:
        return FOREVER
    seconds = checked_seconds("timeout", timeout)
    return FOREVER if seconds > threading.TIMEOUT_MAX else seconds
