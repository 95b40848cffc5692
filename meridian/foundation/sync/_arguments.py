"""How long to wait and how many to take, in one reading for every lock and thread."""

from __future__ import annotations

import operator
import threading
from typing import SupportsIndex

__all__ = ["FOREVER", "count", "limit_s"]

FOREVER = -1.0
"""No limit, as `threading.Lock.acquire` spells it."""


def limit_s(timeout: float | None) -> float:
    """Seconds for ``acquire(timeout=...)``: `FOREVER` for None and for more than it can count.

    Raises `TypeError` for what is no number, `ValueError` for a negative time or NaN.
    """
    if timeout is None:
        return FOREVER
    if type(timeout) not in (float, int) and (
        isinstance(timeout, bool) or not hasattr(timeout, "__float__")
    ):
        raise TypeError(f"Expected timeout in seconds or None, got {type(timeout).__name__}")
    if not timeout >= 0:  # NaN too
        raise ValueError(f"Expected a timeout >= 0 s, got {timeout}")
    return FOREVER if timeout > threading.TIMEOUT_MAX else float(timeout)


def count(what: str, number: SupportsIndex, least: int) -> int:
    """`number` as int. Raises `TypeError` for what is no integer, `ValueError` below `least`."""
    if isinstance(number, bool) or not hasattr(number, "__index__"):
        raise TypeError(f"Expected {what} as int, got {type(number).__name__}")
    if operator.index(number) < least:
        raise ValueError(f"Expected {what} >= {least}, got {number}")
    return operator.index(number)
