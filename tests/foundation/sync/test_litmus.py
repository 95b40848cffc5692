"""Litmus tests run for real: what an order forbids never comes, and nothing hangs."""

from __future__ import annotations

import copy
import os
import pickle
import threading
from typing import Any

import numpy as np
import pytest

from meridian.foundation.sync import _kernels, litmus
from meridian.foundation.sync.atomics import Order
from meridian.foundation.sync.litmus import LITMUS, NotEnoughCpus, run_litmus

CPUS = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
ROUNDS = 3_000
RELAXED = (Order.RELAXED, Order.RELAXED)
two_cpus = pytest.mark.skipif(len(CPUS) < 2, reason="needs two CPUs that may be pinned to")
four_cpus = pytest.mark.skipif(len(CPUS) < 4, reason="needs four CPUs that may be pinned to")


def is_forbidden(name: str, order: Order) -> bool:
    """By the model of C++20, whatever the machine. What is not forbidden may come or not."""
    return order is Order.SEQ_CST or (order is Order.ACQ_REL and name in ("MP", "LB"))


@two_cpus
@pytest.mark.parametrize("order", list(Order))
@pytest.mark.parametrize("name", ["SB", "MP", "LB"])
def test_two_threads(name: Any, order: Order) -> None:
    outcomes = run_litmus(name, order, ROUNDS)
    assert sum(outcomes.values()) == ROUNDS
    assert list(outcomes) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert all(type(count) is int and count >= 0 for count in outcomes.values())
    if is_forbidden(name, order):
        assert outcomes[LITMUS[name].weak] == 0


@two_cpus
def test_buffered_stores_never_pass_seq_cst() -> None:
    outcomes = run_litmus("SB", Order.SEQ_CST, 50_000, CPUS[:2])
    assert outcomes[0, 0] == 0
    assert sum(outcomes.values()) == 50_000


@two_cpus
def test_rounds_are_run_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litmus, "CHUNK_ROUNDS", 64)
    assert sum(run_litmus("MP", Order.ACQ_REL, 200).values()) == 200
    assert run_litmus("MP", Order.ACQ_REL, 0) == dict.fromkeys(
        run_litmus("MP", Order.SEQ_CST, 1), 0
    )


@four_cpus
@pytest.mark.parametrize("order", list(Order))
def test_four_threads(order: Order) -> None:
    outcomes = run_litmus("IRIW", order, ROUNDS)
    assert (len(outcomes), sum(outcomes.values())) == (16, ROUNDS)
    if is_forbidden("IRIW", order):
        assert outcomes[1, 0, 1, 0] == 0


# -- where cores are missing ---------------------------------------------------------------------


@pytest.mark.skipif(not CPUS, reason="needs threads that can be pinned")
@pytest.mark.parametrize(("name", "rounds"), [("SB", 100), ("MP", 100), ("LB", 100), ("IRIW", 40)])
def test_threads_that_share_one_core_take_turns_and_end(
    name: str, rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What happens when a core is taken away, all the time: nothing overlaps, nothing hangs."""
    monkeypatch.setattr(litmus, "_SPINS", 100)
    test = LITMUS[name]
    counts = litmus._run(test, Order.SEQ_CST, rounds, CPUS[:1] * test.threads)
    weak = int("".join(map(str, test.weak)), 2)
    assert (counts.sum(), counts[weak]) == (rounds, 0)


@pytest.mark.parametrize("name", list(LITMUS))
def test_a_kernel_gives_up_when_nobody_else_comes(name: str) -> None:
    words, seen = np.zeros(_kernels.LITMUS_WORDS, np.int64), np.zeros((2, 9), np.uint8)
    for who in range(LITMUS[name].threads):
        assert LITMUS[name].kernel(words, who, 3, 9, 50, 10, *seen, *RELAXED) == 3
    assert not seen.any()


@pytest.mark.parametrize("name", list(LITMUS))
def test_kernels_and_their_twins_alternate_alike(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All threads played by one, round by round: one outcome is possible, for both."""
    test = LITMUS[name]
    results = []
    for twin in (False, True):
        kernel: Any = test.kernel
        words = np.zeros(_kernels.LITMUS_WORDS, np.int64)
        seen = np.zeros((test.threads, 2, 6), np.uint8)
        if twin:
            kernel = kernel.py_func
            monkeypatch.setattr(_kernels, "_ticks", lambda: 0)
            monkeypatch.setattr(_kernels, "_meet", _kernels._meet.py_func)
        at = [1] * test.threads
        for _ in range(40):
            for who in reversed(range(test.threads)):
                at[who] = kernel(words, who, at[who], 6, 1, 1, *seen[who], *RELAXED)
        assert at == [6] * test.threads
        results.append(seen.tolist())
    assert results[0] == results[1]


def test_too_few_cpus() -> None:
    with pytest.raises(NotEnoughCpus, match="SB needs 2 CPUs, have 1") as caught:
        run_litmus("SB", Order.RELAXED, 10, CPUS[:1] or [0])
    assert isinstance(caught.value, RuntimeError)
    for twin in (pickle.loads(pickle.dumps(caught.value)), copy.copy(caught.value)):
        assert (str(twin), vars(twin)) == (str(caught.value), vars(caught.value))
    if len(CPUS) < 4:
        with pytest.raises(NotEnoughCpus, match=f"IRIW needs 4 CPUs, have {len(CPUS)}"):
            run_litmus("IRIW", Order.RELAXED, 10)


@two_cpus
def test_what_is_refused() -> None:
    for name in ("sb", "", None):
        with pytest.raises(ValueError, match="Expected one of SB, MP, LB, IRIW"):
            run_litmus(name, Order.RELAXED, 10)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Expected an order"):
        run_litmus("SB", "relaxed", 10)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="number of rounds"):
        run_litmus("SB", Order.RELAXED, -1)
    for rounds in (True, 1.0, None, "5"):
        with pytest.raises(TypeError, match="number of rounds"):
            run_litmus("SB", Order.RELAXED, rounds)  # type: ignore[arg-type]
    for cpus, message in (
        ([CPUS[0], CPUS[0]], "CPUs that differ"),
        ([CPUS[0], 4_096], "Expected CPUs of"),
        ([CPUS[0], True], "Expected CPUs of"),
    ):
        with pytest.raises(ValueError, match=message):
            run_litmus("SB", Order.RELAXED, 10, cpus)


@two_cpus
def test_a_thread_that_fails_ends_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    real, before = litmus.LITMUS["SB"], set(threading.enumerate())

    def kernel(words: Any, who: int, *rest: Any) -> int:
        if who == 1:
            raise OSError("this core has gone")
        return real.kernel(words, who, *rest)

    monkeypatch.setitem(litmus.LITMUS, "SB", real._replace(kernel=kernel))
    with pytest.raises(OSError, match="this core has gone"):
        run_litmus("SB", Order.RELAXED, 1_000)
    assert set(threading.enumerate()) <= before
    assert sorted(os.sched_getaffinity(0)) == CPUS  # only the test's own threads were pinned
