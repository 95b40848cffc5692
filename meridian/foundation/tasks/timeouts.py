"""A limit to how long something may take."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import anyio

from meridian.checks import checked_seconds
from meridian.errors import MeridianError

__all__ = ["STATION_FETCH_S", "Elapsed", "with_timeout"]

T = TypeVar("T")

STATION_FETCH_S: Final = 5.0
"""How long a station may take to answer a fetch."""


class Elapsed(MeridianError, TimeoutError):
    """Something took longer than it was given, and was cancelled."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(f"Not done within {seconds:g} s, and cancelled")


async def with_timeout(seconds: float, fn: Callable[..., Awaitable[T]], *args: object) -> T:
    """``await fn(*args)``, cancelled after `seconds`; infinity is no limit.

    Raises `Elapsed` once the cleanup of `fn` has finished. A result or an error that comes all the
    same is not thrown away, and being cancelled from outside is never reported as `Elapsed`.
    Raises `ValueError` for a time below 0 and for NaN, `TypeError`.
    """
    if not callable(fn):
        raise TypeError(f"Expected an async function and its arguments, got {fn!r}")
    limit_s = checked_seconds("a time", seconds)
    with anyio.CancelScope(deadline=anyio.current_time() + limit_s):
        return await fn(*args)
    raise Elapsed(limit_s)
