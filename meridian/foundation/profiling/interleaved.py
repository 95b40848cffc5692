"""Two functions measured side by side, so that whatever else the machine does hits both.

Measured one after the other, the same function "differs" from itself in every second or fourth
run, because neighbours and clock frequency drift. Interleaved pairs cancel the drift.
"""

from __future__ import annotations

import gc as collector
import random
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, SupportsFloat

from meridian.foundation.profiling.comparison import (
    WIDE,
    Comparison,
    adjust,
    check_levels,
    compare_pairs,
)
from meridian.foundation.profiling.fingerprint import load_average
from meridian.foundation.profiling.timing import (
    Call,
    Clock,
    Timer,
    calibrate,
    checked,
    gc_paused,
    nonzero,
    pick_timer,
    sample,
)

__all__ = ["compare", "compare_many"]

MIN_PAIRS = 8  # with fewer, not even a perfect order of all pairs would be worth much (p = 0.008)


def compare(
    a: Callable[[], object],
    b: Callable[[], object],
    *,
    rounds: int = 30,
    inner: int | None = None,
    alpha: float = 0.05,
    min_effect: float = 0.01,
    seed: int = 0,
    timer: Timer = time.perf_counter,
    clock: Clock | None = None,
    own_timer: bool = False,
    names: tuple[str, str] = ("a", "b"),
    warmup: int = 1,
    min_sample_us: float = 50,
    budget_s: float | None = None,
    max_spread: float | None = WIDE,
    gc: bool = False,
) -> Comparison:
    """Measure `rounds` pairs in the order A-B-B-A or B-A-A-B, drawn for each block of two pairs.

    Each side runs `warmup` times first, outside the count. One sample is `inner` calls; by default
    each side gets as many as last `min_sample_us`. With ``own_timer=True`` a and b return the
    seconds they took (work timed elsewhere, or with a part outside the clock), `inner` is 1 unless
    given and `timer` and `clock` are only names. ``clock="cpu"`` or ``"wall"`` picks a usual timer.

    `budget_s` ends the run early, once so many seconds were measured and 8 pairs taken. When the
    interval is wider than `max_spread` of the ratio, everything is measured once more, and only
    the second run counts (``retried``). The collector is off meanwhile unless ``gc=True``; its
    state is restored also when a or b raises, and the exception propagates.

    Raises `ValueError` for bad settings, `BadTiming` (a `ValueError`) for durations that are not
    positive and finite, `TypeError` when ``own_timer`` callables return something else.
    """
    check_levels(alpha, min_effect)
    if rounds < 2:
        raise ValueError(f"Expected rounds >= 2, got {rounds}")
    if warmup < 0 or (inner is not None and inner < 1):
        raise ValueError(f"Expected warmup >= 0 and inner >= 1, got {warmup} and {inner}")
    timer, clock_name = pick_timer(timer, clock)
    take = _told if own_timer else sample
    load_1m = load_average()
    rng = random.Random(seed)
    with gc_paused(not gc):
        for call in (a, b):
            for _ in range(warmup):
                take(call, 1, timer)
        if inner is None and not own_timer:
            inner_a, inner_b = (calibrate(call, timer, min_sample_us * 1e-6) for call in (a, b))
        else:
            inner_a = inner_b = inner or 1

        def run(retried: bool) -> Comparison:
            times_a, times_b = _take_pairs(
                partial(take, a, inner_a, timer),
                partial(take, b, inner_b, timer),
                rounds,
                budget_s,
                rng,
                collect=not gc,
            )
            return compare_pairs(
                [seconds / inner_a for seconds in times_a],
                [seconds / inner_b for seconds in times_b],
                names=names,
                inner=(inner_a, inner_b),
                alpha=alpha,
                min_effect=min_effect,
                seed=seed,
                clock=clock_name,
                retried=retried,
                load_1m=load_1m,
            )

        result = run(retried=False)
        if max_spread is not None and result.spread > max_spread:
            result = run(retried=True)
    return result


def compare_many(
    pairs: Mapping[str, tuple[Call, Call]] | Iterable[tuple[Call, Call]],
    *,
    alpha: float = 0.05,
    **settings: Any,
) -> list[Comparison]:
    """`compare` each pair and judge them as one family, in the order given.

    Five comparisons of a function with itself give a false alarm with 23 % chance at alpha 0.05;
    Holm's adjustment of the p-values keeps the chance for the whole family at `alpha`. A mapping
    names the comparisons: ``{"insert": (old, new)}``. `settings` go to `compare`.
    """
    if isinstance(pairs, Mapping):
        return adjust(
            [
                compare(a, b, alpha=alpha, **{"names": (f"{name} a", f"{name} b"), **settings})
                for name, (a, b) in pairs.items()
            ]
        )
    return adjust([compare(a, b, alpha=alpha, **settings) for a, b in pairs])


def _take_pairs(
    take_a: Callable[[], float],
    take_b: Callable[[], float],
    rounds: int,
    budget_s: float | None,
    rng: random.Random,
    *,
    collect: bool,
) -> tuple[list[float], list[float]]:
    """Seconds per sample of both sides, pair by pair."""
    times_a: list[float] = []
    times_b: list[float] = []
    spent = 0.0
    a_first = False
    for done in range(rounds):
        if done % 2 == 0:
            if budget_s is not None and done >= MIN_PAIRS and spent >= budget_s:
                break
            a_first = rng.random() < 0.5
            if collect:
                collector.collect(1)
        else:
            a_first = not a_first  # A-B is followed by B-A: a steady drift cancels in the block
        for side_a in (a_first, not a_first):
            seconds = nonzero(take_a() if side_a else take_b())
            (times_a if side_a else times_b).append(seconds)
            spent += seconds
    return times_a, times_b


def _told(call: Call, inner: int, _timer: Timer) -> float:
    """Seconds that `inner` calls say they took."""
    total = 0.0
    for _ in range(inner):
        seconds = call()
        if isinstance(seconds, bool) or not isinstance(seconds, SupportsFloat):
            raise TypeError(
                f"Expected the seconds it took (own_timer=True), got {type(seconds).__name__}"
            )
        total += checked(float(seconds))
    return total
