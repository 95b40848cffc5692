"""How one sample is taken: which clock, how many calls, and with the collector out of the way."""

from __future__ import annotations

import gc
import itertools
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from meridian.errors import MeridianError

__all__ = ["BadTiming", "Call", "Clock", "Timer", "calibrate", "gc_paused", "pick_timer", "sample"]

Call = Callable[[], object]
Timer = Callable[[], float]
Clock = Literal["cpu", "wall"]

MAX_INNER = 1 << 24
_TICKS = 20  # a sample must span this many ticks of a clock that was seen standing still

_CLOCKS: dict[str, Timer] = {"cpu": time.process_time, "wall": time.perf_counter}


class BadTiming(MeridianError, ValueError):
    """A timer gave something that cannot be a duration."""

    def __init__(self, seconds: object, reason: str) -> None:
        self.seconds = seconds
        super().__init__(f"Got {seconds!r} s as a duration: {reason}")


def pick_timer(timer: Timer, clock: Clock | None) -> tuple[Timer, str]:
    """The timer to use and its name; `clock` is the short way of naming one of the usual two.

    ``"cpu"`` is the time of all threads of the process, which neighbours cannot inflate much;
    ``"wall"`` is what a user waits, the right one as soon as anything is written or awaited.
    """
    if clock is not None:
        if clock not in _CLOCKS:
            raise ValueError(f"Expected clock 'cpu' or 'wall', got {clock!r}")
        if timer is not time.perf_counter:
            raise ValueError("Expected either clock or timer, got both")
        timer = _CLOCKS[clock]
    for name, known in _CLOCKS.items():
        if timer is known:
            return timer, name
    return timer, getattr(timer, "__name__", "custom")


@contextmanager
def gc_paused(pause: bool = True) -> Iterator[None]:
    """Keep the cyclic collector from running inside a sample; its state is restored in any case."""
    enabled = gc.isenabled()
    if pause:
        gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def sample(call: Call, inner: int, timer: Timer) -> float:
    """Seconds that `inner` calls took, as `timer` sees it; zero is possible on a coarse timer."""
    loop = itertools.repeat(None, inner)
    start = timer()
    for _ in loop:
        call()
    return checked(timer() - start)


def checked(seconds: float) -> float:
    """`seconds` if it can be a duration (finite, not negative), else `BadTiming`."""
    if not math.isfinite(seconds):
        raise BadTiming(seconds, "a timer must return finite seconds")
    if seconds < 0:
        raise BadTiming(seconds, "the timer ran backwards")
    return seconds


def nonzero(seconds: float) -> float:
    """`seconds` if the clock saw it pass at all, else `BadTiming` with the remedy."""
    if seconds == 0:
        raise BadTiming(seconds, "the timer stood still; raise min_sample_us or inner")
    return seconds


def calibrate(
    call: Call,
    timer: Timer,
    min_s: float,
    take: Callable[[Call, int, Timer], float] = sample,
    limit: int = MAX_INNER,
) -> int:
    """How many calls (a power of two, at most `limit`) make one sample last `min_s` seconds.

    A clock that stands still during a sample is coarse: its first step then sets the scale, and a
    sample must span 20 of them.
    """
    inner, took, stood_still, target = 1, 0.0, False, min_s
    while inner <= limit:
        took = take(call, inner, timer)
        if took == 0:
            stood_still = True
        elif stood_still:
            target, stood_still = max(min_s, _TICKS * took), False
        # The second look guards against a sample that was long by accident.
        if took >= target and take(call, inner, timer) >= target / 2:
            return inner
        inner *= 2
    if took == 0:
        raise BadTiming(took, f"the timer stood still during {limit:,} calls")
    return limit
