"""Compiled: each atomic operation for a call from Python, and the litmus tests.

A kernel takes its cells as an argument and the memory order as a type (see `atomics_intrinsics`).
The single operations keep the GIL, for giving it up costs more than they do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

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

I64 = npt.NDArray[np.int64]
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


def warmup() -> None:
    """Compile every kernel for the types it is called with, or load it from the cache."""
    cells = np.zeros(8, np.int64)
    load_now(cells, 0)
    compare_exchange_now(cells, 0, 0, 0)
    increment_if_below(cells, 0, 0)
    fence_now()
    for update in UPDATES:
        update(cells, 0, 0)


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
