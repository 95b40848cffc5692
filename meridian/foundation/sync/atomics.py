"""Atomic integers: operations for kernels, and an array of them for everybody.

Python has no atomics, only statements between which another thread may run. They exist where
threads really run side by side, in kernels without the GIL, and there they are LLVM's (the memory
model of C++20). `Order`, `load`, `store`, `fetch_add` and so on are for kernels; `AtomicArray` owns
memory laid out for them and has the same operations as methods.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from meridian.checks import checked_int
from meridian.foundation.sync import _kernels
from meridian.foundation.sync.atomics_operations import (
    check_order,
    check_word,
    compare_exchange,
    fence,
    fetch_add,
    fetch_and,
    fetch_max,
    fetch_min,
    fetch_or,
    fetch_sub,
    fetch_xor,
    increment_if_below,
    load,
    store,
    swap,
)
from meridian.foundation.sync.atomics_orders import IllegalOrder, Order

__all__ = [
    "AtomicArray",
    "IllegalOrder",
    "Order",
    "aligned_cells",
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

LINE_BYTES = 64
WORDS_PER_LINE = LINE_BYTES // 8
_SEQ_CST = Order.SEQ_CST


def aligned_cells(n: int) -> npt.NDArray[np.int64]:
    """`n` zeros, i8[n], the first at the start of a cache line."""
    raw = np.zeros(n + WORDS_PER_LINE - 1, np.int64)
    skip = -raw.ctypes.data % LINE_BYTES // 8
    return raw[skip : skip + n]


class AtomicArray:
    """`n` integers of 64 bits that threads and kernels may change at the same time.

    Each has a cache line of its own when `padded`: two cores that write neighbours in one line
    take it from each other at every write. `cells`, i8[n], is what a kernel is given; padded, its
    elements lie 64 bytes apart.

    A method costs what entering a kernel costs, and checks its arguments: `IndexError`,
    `TypeError`, `OverflowError`, `IllegalOrder`. It runs as SEQ_CST, which promises all that the
    weaker orders do. Sums wrap at 64 bits; ``fetch_*`` return what was there before.
    """

    def __init__(self, n: int, *, padded: bool = True) -> None:
        n = checked_int("a number of cells", n)
        self._step = WORDS_PER_LINE if padded else 1
        self._words = aligned_cells(n * self._step)
        self._n = n
        self.cells: npt.NDArray[np.int64] = self._words[:: self._step]

    def __len__(self) -> int:
        return self._n

    def __repr__(self) -> str:
        return f"<AtomicArray of {self._n}, {8 * self._step} bytes apart>"

    def load(self, i: int, order: Order = _SEQ_CST) -> int:
        """The value of cell `i`. Not RELEASE, not ACQ_REL."""
        if order is not _SEQ_CST:
            check_order("load", order)
        value: int = _kernels.load_now(self._words, self._at(i))
        return value

    def store(self, i: int, v: int, order: Order = _SEQ_CST) -> None:
        """Make cell `i` be `v`. Not ACQUIRE, not ACQ_REL."""
        if order is not _SEQ_CST:
            check_order("store", order)
        _kernels.store_now(self._words, self._at(i), check_word(v))

    def fetch_add(self, i: int, v: int = 1, order: Order = _SEQ_CST) -> int:
        """Add `v` to cell `i`; what was there before."""
        if order is not _SEQ_CST:
            check_order("fetch_add", order)
        old: int = _kernels.fetch_add_now(self._words, self._at(i), check_word(v))
        return old

    def fetch_sub(self, i: int, v: int = 1, order: Order = _SEQ_CST) -> int:
        """Subtract `v` from cell `i`; what was there before."""
        if order is not _SEQ_CST:
            check_order("fetch_sub", order)
        old: int = _kernels.fetch_sub_now(self._words, self._at(i), check_word(v))
        return old

    def fetch_and(self, i: int, v: int, order: Order = _SEQ_CST) -> int:
        """Keep the bits of cell `i` that `v` has too; what was there before."""
        if order is not _SEQ_CST:
            check_order("fetch_and", order)
        old: int = _kernels.fetch_and_now(self._words, self._at(i), check_word(v))
        return old

    def fetch_or(self, i: int, v: int, order: Order = _SEQ_CST) -> int:
        """Set the bits of `v` in cell `i`; what was there before."""
        if order is not _SEQ_CST:
            check_order("fetch_or", order)
        old: int = _kernels.fetch_or_now(self._words, self._at(i), check_word(v))
        return old

    def fetch_xor(self, i: int, v: int, order: Order = _SEQ_CST) -> int:
        """Flip the bits of `v` in cell `i`; what was there before."""
        if order is not _SEQ_CST:
            check_order("fetch_xor", order)
        old: int = _kernels.fetch_xor_now(self._words, self._at(i), check_word(v))
        return old

    def fetch_max(self, i: int, v: int, order: Order = _SEQ_CST) -> int:
        """Make cell `i` at least `v`; what was there before."""
        if order is not _SEQ_CST:
            check_order("fetch_max", order)
        old: int = _kernels.fetch_max_now(self._words, self._at(i), check_word(v))
        return old

    def fetch_min(self, i: int, v: int, order: Order = _SEQ_CST) -> int:
        """Make cell `i` at most `v`; what was there before."""
        if order is not _SEQ_CST:
            check_order("fetch_min", order)
        old: int = _kernels.fetch_min_now(self._words, self._at(i), check_word(v))
        return old

    def swap(self, i: int, v: int, order: Order = _SEQ_CST) -> int:
        """Make cell `i` be `v`; what was there before."""
        if order is not _SEQ_CST:
            check_order("swap", order)
        old: int = _kernels.swap_now(self._words, self._at(i), check_word(v))
        return old

    def compare_exchange(
        self,
        i: int,
        expected: int,
        new: int,
        success: Order = _SEQ_CST,
        failure: Order = _SEQ_CST,
    ) -> tuple[int, bool]:
        """Make cell `i` be `new` if it is `expected`: (what was there, whether it was changed)."""
        check_order("compare_exchange", success)
        check_order("failed compare_exchange", failure)
        old, changed = _kernels.compare_exchange_now(
            self._words, self._at(i), check_word(expected), check_word(new)
        )
        return old, changed

    def increment_if_below(self, i: int, limit: int) -> bool:
        """Add 1 to cell `i` if that is below `limit`; whether it did."""
        raised: bool = _kernels.increment_if_below(self._words, self._at(i), check_word(limit))
        return raised

    def _at(self, i: int) -> int:
        at = i if type(i) is int else check_word(i)
        if 0 <= at < self._n:
            return at * self._step
        raise IndexError(f"Index {at} is outside an array of {self._n} cells")
