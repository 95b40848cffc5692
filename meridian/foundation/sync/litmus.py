"""Litmus tests: two or four threads, a few loads and stores, and how often each outcome came.

Each test asks whether the machine may do what no interleaving of the threads' statements explains.
Processors may: a store waits in a buffer while the loads behind it go ahead. The names and shapes
are those of Alglave, Maranget and Tautschnig, "Herding Cats" (2014); the method, many rounds with a
rendezvous before each, is their tool litmus7's.

    SB    x = 1; read y           ||  y = 1; read x            (0, 0) if stores are buffered
    MP    x = 1; y = 1            ||  read y; read x           (1, 0) if either pair is reordered
    LB    read x; y = 1           ||  read y; x = 1            (1, 1) if loads are delayed
    IRIW  x = 1  ||  y = 1  ||  read x; read y  ||  read y; read x
                                                       (1, 0, 1, 0) if stores have no one order
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Literal, NamedTuple

import numpy as np

from meridian.checks import checked_int
from meridian.errors import MeridianError
from meridian.foundation.sync import _kernels
from meridian.foundation.sync.atomics import Order, aligned_cells

__all__ = ["LITMUS", "LitmusTest", "NotEnoughCpus", "run_litmus"]

Name = Literal["SB", "MP", "LB", "IRIW"]
CHUNK_ROUNDS = 1 << 18
_SPINS = 200_000  # a fraction of a millisecond: then the other has no core, and may have this one
_LEAD_S = 0.4e-6  # from the last arrival to the start: long enough for the news to reach all


class LitmusTest(NamedTuple):
    """One test: its threads, the loads an outcome is made of (thread, first or second), and the
    outcome that no interleaving explains."""

    threads: int
    kernel: Callable[..., int]
    loads: tuple[tuple[int, int], ...]
    weak: tuple[int, ...]


LITMUS: dict[str, LitmusTest] = {
    "SB": LitmusTest(2, _kernels.store_buffering, ((0, 0), (1, 0)), (0, 0)),
    "MP": LitmusTest(2, _kernels.message_passing, ((1, 0), (1, 1)), (1, 0)),
    "LB": LitmusTest(2, _kernels.load_buffering, ((0, 0), (1, 0)), (1, 1)),
    "IRIW": LitmusTest(
        4, _kernels.independent_reads, ((2, 0), (2, 1), (3, 0), (3, 1)), (1, 0, 1, 0)
    ),
}


class NotEnoughCpus(MeridianError, RuntimeError):
    """A litmus test needs a processor for each thread: taking turns, nothing is reordered."""

    def __init__(self, name: str, need: int, have: int) -> None:
        self.name = name
        self.need = need
        self.have = have
        super().__init__(f"Litmus test {name} needs {need} CPUs, have {have}")


def run_litmus(
    name: Name, order: Order, rounds: int, cpus: Iterable[int] | None = None
) -> dict[tuple[int, ...], int]:
    """How often each outcome came in `rounds` rounds: every possible outcome, also those at 0.

    An outcome has a 1 for each load, in the order of the table above, that saw the round's store.
    Stores are as strong as `order` lets a store be, and loads likewise: ACQ_REL means release
    stores and acquire loads, ACQUIRE acquire loads and relaxed stores.

    Each thread is pinned to one of `cpus`, or of those that this process may use. Where another
    process takes a core away the test goes on more slowly: whoever waits gives its core up too.

    Raises `NotEnoughCpus`, `ValueError` for an unknown test, a number of rounds below 0, or CPUs
    that are given twice or are not this process's, `TypeError` for what is no `Order` or no int.
    """
    if name not in LITMUS:
        raise ValueError(f"Expected one of {', '.join(LITMUS)}, got {name!r}")
    if not isinstance(order, Order):
        raise TypeError(f"Expected an order such as Order.SEQ_CST, got {order!r}")
    rounds = checked_int("a number of rounds", rounds)
    test = LITMUS[name]
    places = _places(name, test.threads, cpus)
    counts = np.zeros(1 << len(test.loads), np.int64)
    for start in range(0, rounds, CHUNK_ROUNDS):
        counts += _run(test, order, min(CHUNK_ROUNDS, rounds - start), places)
    outcomes = itertools.product((0, 1), repeat=len(test.loads))
    return dict(zip(outcomes, counts.tolist(), strict=True))


def _places(name: str, threads: int, cpus: Iterable[int] | None) -> list[int]:
    ours = _available_cpus()
    chosen = sorted(ours) if cpus is None else list(cpus)
    if any(type(cpu) is not int or cpu not in ours for cpu in chosen):
        raise ValueError(f"Expected CPUs of {sorted(ours)}, got {chosen}")
    if len(set(chosen)) != len(chosen):
        raise ValueError(f"Expected CPUs that differ, got {chosen}")
    if len(chosen) < threads:
        raise NotEnoughCpus(name, threads, len(chosen))
    return chosen[:threads]


def _available_cpus() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _run(test: LitmusTest, order: Order, rounds: int, places: list[int]) -> np.ndarray[Any, Any]:
    """One chunk of rounds: the number of each outcome, as a number in base 2."""
    words = aligned_cells(_kernels.LITMUS_WORDS)
    seen = np.zeros((test.threads, 2, rounds + 1), np.uint8)
    get, put = _strongest(order)
    lead = max(1, round(_LEAD_S * _ticks_per_s()))
    stop = threading.Event()
    failures: list[BaseException] = []

    def work(who: int) -> None:
        try:
            if hasattr(os, "sched_setaffinity"):
                os.sched_setaffinity(0, {places[who]})  # this thread's alone
            r = 1
            while r <= rounds and not stop.is_set():
                r = test.kernel(words, who, r, rounds + 1, _SPINS, lead, *seen[who], get, put)
                time.sleep(0)
        except BaseException as error:  # raised below, in the caller's thread
            failures.append(error)
            stop.set()

    threads = [threading.Thread(target=work, args=(k,), daemon=True) for k in range(test.threads)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        stop.set()  # an interrupt: whoever waits for another thread ends
    if failures:
        raise failures[0]
    codes = np.zeros(rounds, np.int64)
    for thread_number, load_number in test.loads:
        codes = codes * 2 + seen[thread_number, load_number, 1:]
    return np.bincount(codes, minlength=1 << len(test.loads))


@cache
def _ticks_per_s() -> float:
    """Measured once, for a millisecond."""
    ticks, start = _kernels.read_ticks(), time.perf_counter()
    while (seconds := time.perf_counter() - start) < 0.001:
        pass
    return float((_kernels.read_ticks() - ticks) / seconds)


def _strongest(order: Order) -> tuple[Order, Order]:
    """The strongest orders of a load and of a store that `order` holds."""
    if order is Order.SEQ_CST:
        return order, order
    get = Order.ACQUIRE if order in (Order.ACQUIRE, Order.ACQ_REL) else Order.RELAXED
    put = Order.RELEASE if order in (Order.RELEASE, Order.ACQ_REL) else Order.RELAXED
    return get, put
