"""A capacity as every channel reads it."""

from __future__ import annotations

from meridian.checks import checked_int

__all__ = ["checked_capacity"]


def checked_capacity(capacity: int, what: str = "capacity") -> int:
    """`capacity` as an int of at least 1. Raises `ValueError` for anything else, of any type."""
    try:
        return checked_int(what, capacity, least=1)
    except TypeError as error:
        raise ValueError(*error.args) from None
