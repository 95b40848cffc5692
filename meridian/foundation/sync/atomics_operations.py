"""Atomic operations on int64 arrays, for kernels first: there each is one LLVM instruction.

    @njit(nogil=True)
    def count(cells, rounds):
        for _ in range(rounds):
            fetch_add(cells, 0, 1, Order.RELAXED)

In a kernel neither the index is checked, as ``cells[i]`` is not, nor the array's alignment. Called
from Python, each is compiled, atomic among all threads and kernels, and checked: `IndexError`,
`TypeError`, `IllegalOrder`. There it runs as SEQ_CST whatever was asked, because the call costs a
hundred times the difference.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
from numba.extending import overload

from meridian.foundation.sync.atomics_intrinsics import register
from meridian.foundation.sync.atomics_orders import IllegalOrder, Order, objection

__all__ = [
    "check_order",
    "check_word",
    "compare_exchange",
    "fence",
    "fetch_add",
    "fetch_and",
    "fetch_max",
    "fetch_min",
    "fetch_or",
    "fetch_sub",
    "fetch_xor",
    "increment_if_below",
    "load",
    "store",
    "swap",
]

Cells = npt.NDArray[np.int64]
Int = Any  # int in Python, int64 when compiled
MIN, MAX = -(2**63), 2**63 - 1


def load(a: Cells, i: Int, order: Order) -> Int:
    """The value of ``a[i]``. Not RELEASE, not ACQ_REL."""
    check_order("load", order)
    return _kernels().load_now(a, _index(a, i))


def store(a: Cells, i: Int, v: Int, order: Order) -> None:
    """Make ``a[i]`` be `v`. Not ACQUIRE, not ACQ_REL."""
    check_order("store", order)
    _kernels().store_now(a, _index(a, i), check_word(v))


def fetch_add(a: Cells, i: Int, v: Int, order: Order) -> Int:
    """Add `v` to ``a[i]``, modulo 2^64; what was there before."""
    return _update("fetch_add", a, i, v, order)


def fetch_sub(a: Cells, i: Int, v: Int, order: Order) -> Int:
    """Subtract `v` from ``a[i]``, modulo 2^64; what was there before."""
    return _update("fetch_sub", a, i, v, order)


def fetch_and(a: Cells, i: Int, v: Int, order: Order) -> Int:
    """Keep the bits of ``a[i]`` that `v` has too; what was there before."""
    return _update("fetch_and", a, i, v, order)


def fetch_or(a: Cells, i: Int, v: Int, order: Order) -> Int:
    """Set the bits of `v` in ``a[i]``; what was there before."""
    return _update("fetch_or", a, i, v, order)


def fetch_xor(a: Cells, i: Int, v: Int, order: Order) -> Int:
    """Flip the bits of `v` in ``a[i]``; what was there before."""
    return _update("fetch_xor", a, i, v, order)


def fetch_max(a: Cells, i: Int, v: Int, order: Order) -> Int:
    """Make ``a[i]`` at least `v`; what was there before."""
    return _update("fetch_max", a, i, v, order)


def fetch_min(a: Cells, i: Int, v: Int, order: Order) -> Int:
    """Make ``a[i]`` at most `v`; what was there before."""
    return _update("fetch_min", a, i, v, order)


def swap(a: Cells, i: Int, v: Int, order: Order) -> Int:
    """Make ``a[i]`` be `v`; what was there before."""
    return _update("swap", a, i, v, order)


def compare_exchange(
    a: Cells, i: Int, expected: Int, new: Int, success: Order, failure: Order
) -> tuple[Int, bool]:
    """Make ``a[i]`` be `new` if it is `expected`: (what was there, whether it was changed).

    Never fails where the value is the expected one. `failure` is the order of the load that a
    failed exchange is: not RELEASE, not ACQ_REL.
    """
    check_order("compare_exchange", success)
    check_order("failed compare_exchange", failure)
    at = _index(a, i)
    old, ok = _kernels().compare_exchange_now(a, at, check_word(expected), check_word(new))
    return old, ok


def fence(order: Order) -> None:
    """Order all that this thread did before against all it does after. Not RELAXED."""
    check_order("fence", order)
    _kernels().fence_now()


def increment_if_below(a: Cells, i: Int, limit: Int) -> bool:
    """Add 1 to ``a[i]`` if that is below `limit`; whether it did. Lock-free: load, then exchange.

    Orders nothing but the cell. From "Rust Atomics and Locks" (Bos), chapter 2.
    """
    raised: bool = _kernels().increment_if_below(a, _index(a, i), check_word(limit))
    return raised


@overload(increment_if_below, strict=False)
def _increment_in_kernel(a: Any, i: Any, limit: Any) -> Any:  # noqa: ARG001  matched by name
    kernel = _kernels().increment_if_below
    return lambda a, i, limit: kernel(a, i, limit)


# -- for calls from Python -----------------------------------------------------------------------


@cache
def _kernels() -> Any:
    return import_module("meridian.foundation.sync._kernels")  # which imports this module


def _update(name: str, a: Cells, i: Int, v: Int, order: Order) -> Int:
    check_order(name, order)
    return getattr(_kernels(), f"{name}_now")(a, _index(a, i), check_word(v))


def check_order(operation: str, order: Order) -> None:
    """Raise `TypeError` for what is no `Order`, `IllegalOrder` for one that cannot be."""
    if not isinstance(order, Order):
        raise TypeError(f"Expected an order such as Order.SEQ_CST, got {order!r}")
    if objection(operation, order):
        raise IllegalOrder(operation, order)


def check_word(value: Int) -> int:
    """`value` as a plain int. Raises `TypeError`, or `OverflowError` beyond 64 bits, signed."""
    word: int = value
    if type(word) is not int:
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise TypeError(f"Expected an int, got {value!r}")
        word = int(value)
    if not MIN <= word <= MAX:
        raise OverflowError(f"Expected an int of 64 bits with sign, got {word}")
    return word


def _index(a: Cells, i: Int) -> int:
    if not (isinstance(a, np.ndarray) and a.dtype == np.int64 and a.ndim == 1):
        raise TypeError(f"Expected a one-dimensional int64 array, got {a!r}")
    if not (a.flags.aligned and a.flags.writeable):
        raise TypeError("Expected an aligned, writable array: copy it")
    at = check_word(i)
    if not 0 <= at < len(a):
        raise IndexError(f"Index {at} is outside an array of {len(a)} cells")
    return at


_UPDATES = (fetch_add, fetch_sub, fetch_and, fetch_or, fetch_xor, fetch_max, fetch_min, swap)
register((load, store, compare_exchange, fence, *_UPDATES))
