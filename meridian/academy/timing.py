"""How long a call takes, as the lessons ask it: the best of a few rounds.

What disturbs a round (a neighbour, the collector, a cold cache) only ever makes it longer, so the
shortest one is closest to what the call costs by itself. That is enough to say which of two costs
is ten times the other. To judge a few percent take `meridian.foundation.profiling.bench.compare`,
which measures both sides in turn and knows what the data cannot tell.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import repeat

from meridian.checks import checked_int, checked_seconds

__all__ = ["best_awaited_s", "best_s"]


def best_s(
    call: Callable[..., object],
    *args: object,
    calls: int = 1,
    rounds: int = 3,
    budget_s: float = math.inf,
) -> float:
    """Seconds of one ``call(*args)``: the mean of the fastest round.

    Args:
        call: is called with `args`; what it returns is dropped, what it raises goes on.
        calls: of one round, as many as make it long beside a tick of the clock.
        rounds: at most so many.
        budget_s: no further round begins after these seconds; the first one always runs.

    Raises `TypeError` and `ValueError` for counts and times that are none. A coroutine function
    is called here and never run: `best_awaited_s` awaits it.
    """
    calls, best = checked_int("calls", calls, least=1), math.inf
    for began in _rounds(rounds, budget_s):
        for _ in repeat(None, calls):
            call(*args)
        best = min(best, time.perf_counter() - began)
    return best / calls


async def best_awaited_s(
    call: Callable[..., Awaitable[object]],
    *args: object,
    calls: int = 1,
    rounds: int = 3,
    budget_s: float = math.inf,
) -> float:
    """`best_s` of ``await call(*args)``, in the loop that awaits this."""
    calls, best = checked_int("calls", calls, least=1), math.inf
    for began in _rounds(rounds, budget_s):
        for _ in repeat(None, calls):
            await call(*args)
        best = min(best, time.perf_counter() - began)
    return best / calls


def _rounds(rounds: int, budget_s: float) -> Iterator[float]:
    """When each round begins."""
    rounds = checked_int("rounds", rounds, least=1)
    deadline = time.perf_counter() + checked_seconds("budget_s", budget_s)
    yield time.perf_counter()
    for _ in range(rounds - 1):
        if (now := time.perf_counter()) >= deadline:
            return
        yield now
