"""Compiled: each atomic operation for a call from Python, and the litmus tests.

A kernel takes its cells as an argument and the memory order as a type (see `atomics_intrinsics`).
The single operations keep the GIL, for giving it up costs more than they do.
"""

from __future__ import annotations

import platform
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit
from numba.core import cgutils as _cgutils
from numba.core import types as _types
from numba.extending import intrinsic

from meridian.foundation.sync.atomics_operations import (
    compare_exchange,
    fence,
    fetch_add,
    fetch_and,
    fetch_max,
    fetch_min,
    fetch_or,
    fetch_sub,
    fetch_xor,
    load,
    store,
    swap,
)
from meridian.foundation.sync.atomics_orders import Order

__all__ = ["increment_if_below", "warmup"]

cgutils: Any = _cgutils  # numba carries no annotations for these
types: Any = _types

I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
Int = Any  # int in Python, int64 when compiled


@njit(cache=True)
def load_now(a: I64, i: Int) -> Int:
    return load(a, i, Order.SEQ_CST)


@njit(cache=True)
def store_now(a: I64, i: Int, v: Int) -> None:
    store(a, i, v, Order.SEQ_CST)


@njit(cache=True)
def fetch_add_now(a: I64, i: Int, v: Int) -> Int:
    return fetch_add(a, i, v, Order.SEQ_CST)


@njit(cache=True)
def fetch_sub_now(a: I64, i: Int, v: Int) -> Int:
    return fetch_sub(a, i, v, Order.SEQ_CST)


@njit(cache=True)
def fetch_and_now(a: I64, i: Int, v: Int) -> Int:
    return fetch_and(a, i, v, Order.SEQ_CST)


@njit(cache=True)
def fetch_or_now(a: I64, i: Int, v: Int) -> Int:
    return fetch_or(a, i, v, Order.SEQ_CST)


@njit(cache=True)
def fetch_xor_now(a: I64, i: Int, v: Int) -> Int:
    return fetch_xor(a, i, v, Order.SEQ_CST)


@njit(cache=True)
def fetch_max_now(a: I64, i: Int, v: Int) -> Int:
    return fetch_max(a, i, v, Order.SEQ_CST)


@njit(cache=True)
def fetch_min_now(a: I64, i: Int, v: Int) -> Int:
    return fetch_min(a, i, v, Order.SEQ_CST)


@njit(cache=True)
def swap_now(a: I64, i: Int, v: Int) -> Int:
    return swap(a, i, v, Order.SEQ_CST)


@njit(cache=True)
def compare_exchange_now(a: I64, i: Int, expected: Int, new: Int) -> tuple[Int, bool]:
    return compare_exchange(a, i, expected, new, Order.SEQ_CST, Order.SEQ_CST)


@njit(cache=True)
def fence_now() -> None:
    fence(Order.SEQ_CST)


@njit(cache=True)
def increment_if_below(a: I64, i: Int, limit: Int) -> bool:
    seen = load(a, i, Order.RELAXED)
    while seen < limit:
        seen, done = compare_exchange(a, i, seen, seen + 1, Order.RELAXED, Order.RELAXED)
        if done:
            return True
    return False


# -- litmus tests --------------------------------------------------------------------------------
#
# Each thread of a test runs one kernel, with its number `who`. Round r begins for all at one moment
# and writes r, so that the cells need no clearing: what is read is r or older. `a[r]` and `b[r]`
# take whether the first and the second load read r.

# Positions in `words`, two cache lines apart, for processors fetch lines in pairs.
X, Y, GO, GO_AT, ARRIVED, APART = 0, 16, 32, 33, 48, 16
LITMUS_WORDS = 112


def _type_ticks(_context: Any) -> Any:
    def emit(_context: Any, builder: Any, _signature: Any, _values: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(64), [])
        if platform.machine() in ("aarch64", "arm64"):  # where LLVM's own counter is a privilege
            return builder.asm(kind, "mrs $0, cntvct_el0", "=r", [], side_effect=True)
        name = "llvm.readcyclecounter"
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [])

    return types.int64(), emit


_ticks: Any = intrinsic(_type_ticks)  # of a clock that all processors share


@njit(cache=True, nogil=True)
def read_ticks() -> Int:
    return _ticks()


@njit(cache=True, nogil=True)
def _meet(words: I64, who: Int, threads: Int, r: Int, spins: Int, lead: Int) -> bool:
    """Wait for all to come to round `r`, and then for the same tick of the clock.

    Thread 0 sees all arrive and names the tick, `lead` from then. False after `spins` looks: let
    the caller yield and come again. Without the clock, whoever comes last is always too early.
    """
    store(words, ARRIVED + APART * who, r, Order.RELEASE)
    left = spins
    if who == 0:
        for k in range(1, threads):
            while load(words, ARRIVED + APART * k, Order.ACQUIRE) < r:
                left -= 1
                if left <= 0:
                    return False
        store(words, GO_AT, _ticks() + lead, Order.RELAXED)
        store(words, GO, r, Order.RELEASE)
    else:
        while load(words, GO, Order.ACQUIRE) < r:
            left -= 1
            if left <= 0:
                return False
    at = load(words, GO_AT, Order.RELAXED)
    for _ in range(lead):
        if _ticks() >= at:
            break
    return True


@njit(cache=True, nogil=True)
def store_buffering(
    words: I64, who: Int, first: Int, last: Int, spins: Int, lead: Int,
    a: U8, _b: U8, get: Any, put: Any,
) -> Int:  # fmt: skip
    """Each stores one cell and loads the other. Returns the round it did not get to."""
    mine, other = (X, Y) if who == 0 else (Y, X)
    for r in range(first, last):
        if not _meet(words, who, 2, r, spins, lead):
            return r
        store(words, mine, r, put)
        a[r] = load(words, other, get) == r
    return last


@njit(cache=True, nogil=True)
def message_passing(
    words: I64, who: Int, first: Int, last: Int, spins: Int, lead: Int,
    a: U8, b: U8, get: Any, put: Any,
) -> Int:  # fmt: skip
    """One stores data, then a flag; the other loads the flag, then the data."""
    for r in range(first, last):
        if not _meet(words, who, 2, r, spins, lead):
            return r
        if who == 0:
            store(words, X, r, put)
            store(words, Y, r, put)
        else:
            a[r] = load(words, Y, get) == r
            b[r] = load(words, X, get) == r
    return last


@njit(cache=True, nogil=True)
def load_buffering(
    words: I64, who: Int, first: Int, last: Int, spins: Int, lead: Int,
    a: U8, _b: U8, get: Any, put: Any,
) -> Int:  # fmt: skip
    """Each loads one cell and then stores the other."""
    mine, other = (X, Y) if who == 0 else (Y, X)
    for r in range(first, last):
        if not _meet(words, who, 2, r, spins, lead):
            return r
        a[r] = load(words, mine, get) == r
        store(words, other, r, put)
    return last


@njit(cache=True, nogil=True)
def independent_reads(
    words: I64, who: Int, first: Int, last: Int, spins: Int, lead: Int,
    a: U8, b: U8, get: Any, put: Any,
) -> Int:  # fmt: skip
    """Two store a cell each; two others load both, in opposite orders."""
    for r in range(first, last):
        if not _meet(words, who, 4, r, spins, lead):
            return r
        if who == 0:
            store(words, X, r, put)
        elif who == 1:
            store(words, Y, r, put)
        else:
            one, two = (X, Y) if who == 2 else (Y, X)
            a[r] = load(words, one, get) == r
            b[r] = load(words, two, get) == r
    return last


def warmup() -> None:
    """Compile every kernel for the types it is called with, or load it from the cache.

    The litmus tests for the three pairs of orders that differ; two weaker ones are left to first
    use.
    """
    cells, seen = np.zeros(LITMUS_WORDS, np.int64), np.zeros(1, np.uint8)
    read_ticks()
    load_now(cells, 0)
    compare_exchange_now(cells, 0, 0, 0)
    increment_if_below(cells, 0, 0)
    fence_now()
    for update in UPDATES:
        update(cells, 0, 0)
    for test in (store_buffering, message_passing, load_buffering, independent_reads):
        for get, put in (
            (Order.RELAXED, Order.RELAXED),
            (Order.ACQUIRE, Order.RELEASE),
            (Order.SEQ_CST, Order.SEQ_CST),
        ):
            test(cells, 0, 1, 1, 1, 1, seen, seen, get, put)


UPDATES = (
    store_now,
    fetch_add_now,
    fetch_sub_now,
    fetch_and_now,
    fetch_or_now,
    fetch_xor_now,
    fetch_max_now,
    fetch_min_now,
    swap_now,
)
