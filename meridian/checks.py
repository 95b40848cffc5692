"""What a caller gives, read once and in one way: whole numbers, and times in seconds.

`bool` is no number here, though Python says so: a flag where a count belongs is a mistake.
"""

from __future__ import annotations

import math
import os
from operator import index
from typing import SupportsFloat, SupportsIndex

__all__ = ["available_cores", "checked_int", "checked_seconds"]


def checked_int(what: str, value: SupportsIndex, *, least: int = 0, most: int | None = None) -> int:
    """`value` as an int from `least` to `most` (included; None: no limit).

    NumPy's integers are taken too. Raises `TypeError` for what is no whole number, `ValueError`
    for one outside, both naming `what`.
    """
    if type(value) is not int:
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise TypeError(f"Expected {what} as an int, got {type(value).__name__}")
        value = index(value)
    if value < least:
        raise ValueError(f"Expected {what} >= {least}, got {value}")
    if most is not None and value > most:
        raise ValueError(f"Expected {what} <= {most}, got {value}")
    return value


def checked_seconds(
    what: str, seconds: SupportsFloat, *, positive: bool = False, finite: bool = False
) -> float:
    """`seconds` as a float >= 0 (> 0 if `positive`); infinity is a time unless `finite`.

    Raises `TypeError` for what is no real number, `ValueError` for NaN and for one that is out
    of range (an int beyond every float included), both naming `what`.
    """
    if type(seconds) is not float:
        if isinstance(seconds, (bool, complex)) or not hasattr(seconds, "__float__"):
            raise TypeError(f"Expected {what} in seconds, got {type(seconds).__name__}")
        try:
            seconds = float(seconds)
        except OverflowError:
            raise ValueError(f"Expected {what} in seconds, got an int beyond a float") from None
    if not seconds >= 0 or (positive and seconds == 0):  # NaN compares false
        raise ValueError(f"Expected {what} {'>' if positive else '>='} 0 s, got {seconds}")
    if finite and not math.isfinite(seconds):
        raise ValueError(f"Expected a finite {what} in seconds, got {seconds}")
    return seconds


def available_cores() -> int:
    """How many cores this process may run on; fewer than the machine has when it is confined."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
