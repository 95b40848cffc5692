"""Atomic operations against a model, in kernels and from Python, and between threads."""

from __future__ import annotations

import copy
import pickle
import re
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit
from numba.core.errors import TypingError

import meridian
from meridian.foundation.sync import _kernels, atomics
from meridian.foundation.sync.atomics import (
    AtomicArray,
    IllegalOrder,
    Order,
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

MIN, MAX = -(2**63), 2**63 - 1
WORDS = st.integers(-3, 3) | st.sampled_from([MIN, MIN + 1, MAX, MAX - 1]) | st.integers(MIN, MAX)


def wrap(value: int) -> int:
    return (value + 2**63) % 2**64 - 2**63


UPDATES: dict[str, Any] = {
    "fetch_add": lambda old, v: wrap(old + v),
    "fetch_sub": lambda old, v: wrap(old - v),
    "fetch_and": lambda old, v: old & v,
    "fetch_or": lambda old, v: old | v,
    "fetch_xor": lambda old, v: old ^ v,
    "fetch_max": max,
    "fetch_min": min,
    "swap": lambda _old, v: v,
}
NAMES = list(UPDATES)


@njit
def run_in_kernel(cells: Any, which: Any, values: Any, olds: Any) -> None:
    """Update ``cells[1]`` by each operation in turn, in an order each may have."""
    for k in range(len(which)):
        w, v = which[k], values[k]
        if w == 0:
            olds[k] = fetch_add(cells, 1, v, Order.RELAXED)
        elif w == 1:
            olds[k] = fetch_sub(cells, 1, v, Order.ACQUIRE)
        elif w == 2:
            olds[k] = fetch_and(cells, 1, v, Order.RELEASE)
        elif w == 3:
            olds[k] = fetch_or(cells, 1, v, Order.ACQ_REL)
        elif w == 4:
            olds[k] = fetch_xor(cells, 1, v, Order.SEQ_CST)
        elif w == 5:
            olds[k] = fetch_max(cells, 1, v, Order.RELAXED)
        elif w == 6:
            olds[k] = fetch_min(cells, 1, v, Order.ACQ_REL)
        else:
            olds[k] = swap(cells, 1, v, Order.SEQ_CST)


@settings(max_examples=60)
@given(steps=st.lists(st.tuples(st.sampled_from(NAMES), WORDS), max_size=30), padded=st.booleans())
def test_updates_return_the_old_value_and_wrap(steps: list[tuple[str, int]], padded: bool) -> None:
    expected, now = [], 0
    for name, value in steps:
        expected.append(now)
        now = UPDATES[name](now, value)

    array = AtomicArray(3, padded=padded)
    assert [getattr(array, name)(1, value) for name, value in steps] == expected
    assert array.load(1) == now

    plain = np.zeros(3, np.int64)
    olds = [getattr(atomics, name)(plain, 1, value, Order.RELAXED) for name, value in steps]
    assert (olds, plain.tolist()) == (expected, [0, now, 0])

    other = AtomicArray(3, padded=padded)
    seen = np.zeros(len(steps), np.int64)
    which = np.array([NAMES.index(name) for name, _ in steps], np.int64)
    run_in_kernel(other.cells, which, np.array([v for _, v in steps], np.int64), seen)
    assert (seen.tolist(), other.cells.tolist()) == (expected, [0, now, 0])
    assert array.cells.tolist() == [0, now, 0]


@given(old=WORDS, expected=WORDS, new=WORDS)
def test_compare_exchange_changes_only_what_was_expected(old: int, expected: int, new: int) -> None:
    for want in (expected, old):
        array = AtomicArray(2)
        array.store(0, old)
        plain = np.array([old], np.int64)
        answer = (old, old == want)
        assert array.compare_exchange(0, want, new, Order.ACQ_REL, Order.ACQUIRE) == answer
        assert (
            compare_exchange(plain, 0, want, new, Order.RELAXED, Order.RELAXED),
            array.cells.tolist(),
            plain.tolist(),
        ) == (answer, [new if old == want else old, 0], [new if old == want else old])


@given(start=st.integers(-5, 5), limit=st.integers(-5, 5))
def test_increment_if_below(start: int, limit: int) -> None:
    plain, array = np.array([start], np.int64), AtomicArray(1)
    array.store(0, start)
    below = start < limit
    assert array.increment_if_below(0, limit) is below
    assert increment_if_below(plain, 0, limit) is below
    assert (array.load(0), plain[0]) == (start + below, start + below)


# -- between threads -----------------------------------------------------------------------------


@njit(nogil=True)
def add_many(cells: Any, rounds: int) -> None:
    for _ in range(rounds):
        fetch_add(cells, 1, 1, Order.RELAXED)


@njit(nogil=True)
def raise_many(cells: Any, rounds: int, limit: int) -> int:
    done = 0
    for _ in range(rounds):
        done += increment_if_below(cells, 0, limit)
    return done


def together(*calls: Any) -> list[Any]:
    """Every call in a thread of its own, all at once; what they returned."""
    ready, answers = threading.Barrier(len(calls)), [None] * len(calls)

    def run(k: int) -> None:
        ready.wait()
        answers[k] = calls[k]()

    threads = [threading.Thread(target=run, args=(k,)) for k in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_no_addition_is_lost_between_kernels_and_python() -> None:
    array = AtomicArray(3)
    add_many(array.cells, 0)

    def from_python() -> None:
        for _ in range(5_000):
            array.fetch_add(1, 2)

    kernel = lambda: add_many(array.cells, 300_000)  # noqa: E731
    together(kernel, kernel, from_python)
    assert array.cells.tolist() == [0, 610_000, 0]


def test_a_limit_is_reached_and_never_passed() -> None:
    array = AtomicArray(1)
    raise_many(array.cells, 0, 0)
    done = together(*[lambda: raise_many(array.cells, 200_000, 250_000)] * 3)
    assert sum(done) == 250_000 == array.load(0)


def test_a_swap_hands_each_value_to_one_thread() -> None:
    array = AtomicArray(1)

    def put(first: int) -> list[int]:
        return [array.swap(0, v) for v in range(first, first + 1_000)]

    taken = together(lambda: put(1), lambda: put(1_001), lambda: put(2_001))
    seen = [v for part in taken for v in part] + [array.load(0)]
    assert sorted(seen) == list(range(3_001))


# -- what is compiled ----------------------------------------------------------------------------

CELLS = np.zeros(4, np.int64)

INSTRUCTIONS = [
    (lambda a: load(a, 0, Order.RELAXED), "load atomic i64, ptr % monotonic"),
    (lambda a: load(a, 0, Order.ACQUIRE), "load atomic i64, ptr % acquire"),
    (lambda a: load(a, 0, Order.SEQ_CST), "load atomic i64, ptr % seq_cst"),
    (lambda a: store(a, 0, 1, Order.RELEASE), "store atomic i64 1, ptr % release"),
    (lambda a: fetch_add(a, 0, 1, Order.RELAXED), "atomicrmw add ptr %, i64 1 monotonic"),
    (lambda a: swap(a, 0, 1, Order.ACQ_REL), "atomicrmw xchg ptr %, i64 1 acq_rel"),
    (
        lambda a: compare_exchange(a, 0, 1, 2, Order.RELEASE, Order.RELAXED),
        "cmpxchg ptr %, i64 1, i64 2 release monotonic",
    ),
    (lambda _a: fence(Order.ACQ_REL), "fence acq_rel"),
]


@pytest.mark.parametrize(
    ("kernel", "expected"), INSTRUCTIONS, ids=[text for _, text in INSTRUCTIONS]
)
def test_a_kernel_has_the_instruction_with_its_order(kernel: Any, expected: str) -> None:
    compiled = njit(kernel)
    compiled(CELLS.copy())
    (text,) = compiled.inspect_llvm().values()
    assert expected in re.sub(r"%[\w.]+", "%", text)


def test_an_order_may_be_an_argument() -> None:
    @njit
    def publish(a: Any, order: Any) -> None:
        store(a, 0, 7, order)

    @njit
    def both(a: Any, order: Any) -> int:
        publish(a, order)
        return load(a, 0, Order.ACQUIRE)

    assert both(CELLS.copy(), Order.RELEASE) == 7
    assert both(CELLS.copy(), Order.SEQ_CST) == 7
    assert len(both.signatures) == 2  # compiled for each
    with pytest.raises(TypingError, match=r"A store cannot be ACQUIRE: .* use RELEASE"):
        both(CELLS.copy(), Order.ACQUIRE)


ILLEGAL: list[tuple[Any, Any, str]] = [
    (lambda a: load(a, 0, Order.RELEASE), IllegalOrder, "load cannot be RELEASE.* use ACQUIRE"),
    (lambda a: load(a, 0, Order.ACQ_REL), IllegalOrder, "load cannot be ACQ_REL.* use ACQUIRE"),
    (lambda a: store(a, 0, 1, Order.ACQUIRE), IllegalOrder, "store cannot be ACQUIRE.* RELEASE"),
    (lambda a: store(a, 0, 1, Order.ACQ_REL), IllegalOrder, "store cannot be ACQ_REL.* RELEASE"),
    (
        lambda a: compare_exchange(a, 0, 1, 2, Order.SEQ_CST, Order.RELEASE),
        IllegalOrder,
        "failed compare_exchange cannot be RELEASE.* use ACQUIRE",
    ),
    (
        lambda a: compare_exchange(a, 0, 1, 2, Order.SEQ_CST, Order.ACQ_REL),
        IllegalOrder,
        "failed compare_exchange cannot be ACQ_REL.* use ACQUIRE",
    ),
    (lambda _a: fence(Order.RELAXED), IllegalOrder, "fence cannot be RELAXED.* use ACQUIRE"),
    (lambda a: load(a, 0, 3), TypeError, "order.* such as Order.SEQ_CST, got"),
    (lambda a: fetch_add(a, 0, 1, "relaxed"), TypeError, "order.* such as Order.SEQ_CST, got"),
    (lambda a: store(a, 0, 1.0, Order.RELAXED), TypeError, "xpected an int"),
    (lambda a: fetch_add(a, 0, True, Order.RELAXED), TypeError, "xpected an int"),
    (lambda a: fetch_add(a, 0.0, 1, Order.RELAXED), TypeError, "xpected an int"),
]


@pytest.mark.parametrize(("call", "error", "message"), ILLEGAL)
def test_what_cannot_be_is_refused_where_it_is_written(call: Any, error: Any, message: str) -> None:
    with pytest.raises(TypingError, match=f"(?s){message}"):
        njit(call)(CELLS.copy())
    with pytest.raises(error, match=message):
        call(CELLS.copy())


ARRAYS = [
    (np.zeros(2, np.float64), "one-dimensional int64"),
    (np.zeros(2, np.uint64), "one-dimensional int64"),
    (np.zeros((2, 2), np.int64), "one-dimensional int64"),
    (np.broadcast_to(np.int64(0), 2), "writable"),
]


@pytest.mark.parametrize(("array", "message"), ARRAYS)
def test_wrong_arrays(array: Any, message: str) -> None:
    def add(a: Any) -> int:
        return fetch_add(a, 0, 1, Order.RELAXED)  # type: ignore[no-any-return]

    with pytest.raises(TypingError, match=message):
        njit(add)(array)
    with pytest.raises(TypeError, match=message):
        add(array)


def test_an_array_that_is_not_aligned() -> None:
    with pytest.raises(TypeError, match="aligned"):
        load(np.zeros(17, np.uint8)[1:].view(np.int64), 0, Order.RELAXED)


# -- the array -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("padded", "apart"), [(True, 64), (False, 8)])
def test_cells_start_lines(padded: bool, apart: int) -> None:
    for n in (0, 1, 7):
        array = AtomicArray(n, padded=padded)
        assert len(array) == len(array.cells) == n
        if n:
            assert array.cells.ctypes.data % 64 == 0
            assert array.cells.strides == (apart,)
    assert repr(AtomicArray(2, padded=padded)) == f"<AtomicArray of 2, {apart} bytes apart>"


METHODS: list[tuple[str, tuple[int, ...]]] = [
    ("load", ()),
    ("store", (1,)),
    *[(name, (1,)) for name in NAMES],
    ("compare_exchange", (1, 2)),
    ("increment_if_below", (1,)),
]


@pytest.mark.parametrize(("name", "values"), METHODS)
def test_methods_check_what_they_are_given(name: str, values: tuple[int, ...]) -> None:
    array = AtomicArray(3)
    call = getattr(array, name)
    for index in (-1, 3, 2**62):
        with pytest.raises(IndexError, match=f"Index {index} is outside an array of 3 cells"):
            call(index, *values)
    for wrong in (True, 0.0, "0", None):
        with pytest.raises(TypeError, match="Expected an int"):
            call(wrong, *values)
        if values:
            with pytest.raises(TypeError, match="Expected an int"):
                call(0, *[wrong] * len(values))
    if values:
        with pytest.raises(OverflowError, match="64 bits"):
            call(0, *[2**63] * len(values))
    call(np.int32(2), *[np.int64(v) for v in values])
    if name not in ("increment_if_below", "compare_exchange"):
        with pytest.raises(TypeError, match=r"order such as Order\.SEQ_CST"):
            call(0, *values, order="seq_cst")
    assert array.cells[:2].tolist() == [0, 0]


def test_methods_refuse_orders_that_cannot_be() -> None:
    array = AtomicArray(1)
    with pytest.raises(IllegalOrder, match="A load cannot be RELEASE"):
        array.load(0, Order.RELEASE)
    with pytest.raises(IllegalOrder, match="A store cannot be ACQUIRE"):
        array.store(0, 1, Order.ACQUIRE)
    with pytest.raises(IllegalOrder) as caught:
        array.compare_exchange(0, 0, 1, Order.RELAXED, Order.RELEASE)
    assert isinstance(caught.value, ValueError)
    for twin in (pickle.loads(pickle.dumps(caught.value)), copy.copy(caught.value)):
        assert (str(twin), vars(twin)) == (str(caught.value), vars(caught.value))
    assert array.load(0) == 0


@pytest.mark.parametrize(
    ("n", "error"),
    [(-1, ValueError), (True, TypeError), (1.0, TypeError), (None, TypeError), ("3", TypeError)],
)
def test_wrong_sizes(n: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="number of cells"):
        AtomicArray(n)


def test_warmup_compiled_the_one_signature_that_is_used() -> None:
    meridian.warmup("foundation")
    array = AtomicArray(3)
    for name, values in METHODS:
        getattr(array, name)(0, *values)
    for kernel in (*_kernels.UPDATES, _kernels.load_now, _kernels.compare_exchange_now):
        signatures = [s for s in kernel.signatures if s[0].layout == "C"]
        assert len(signatures) == 1
