"""Times that a caller gives: one rule for what is no time."""

from __future__ import annotations

__all__ = ["checked_seconds"]


def checked_seconds(what: str, seconds: float) -> float:
    """`seconds` when it is a number >= 0, of which infinity is one; else `TypeError` or
    `ValueError`, naming `what`.
    """
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        raise TypeError(f"Expected {what} as a number, got {type(seconds).__name__}")
    if not seconds >= 0:  # NaN compares false
        raise ValueError(f"Expected {what} >= 0, got {seconds}")
    return float(seconds)
