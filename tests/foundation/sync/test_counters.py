"""Counters: exact when quiet, monotone while threads run, and done with threads that ended."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meridian.foundation.sync.counters import PipelineMetrics, ShardedCounter


@pytest.fixture
def many_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def run_threads(*calls: Any) -> None:
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@given(parts=st.lists(st.lists(st.integers(0, 2**70), max_size=5), max_size=4))
def test_the_sum_of_what_each_thread_added(parts: list[list[int]]) -> None:
    counter = ShardedCounter()

    def add(part: list[int]) -> None:
        for n in part:
            counter.add(n)

    run_threads(*[lambda part=part: add(part) for part in parts])
    add([3])
    assert counter.value == 3 + sum(map(sum, parts))


@pytest.mark.usefixtures("many_switches")
def test_nothing_is_lost_and_no_reading_falls_while_threads_add_and_end() -> None:
    counter, readings = ShardedCounter(), [0]
    stop = threading.Event()

    def work() -> None:
        for _ in range(2_000):
            counter.add()

    def generations() -> None:
        for _ in range(5):
            run_threads(work, work)

    def read() -> None:
        while not stop.is_set():
            readings.append(counter.value)

    reader = threading.Thread(target=read)
    reader.start()
    run_threads(generations, generations)
    stop.set()
    reader.join()
    assert counter.value == 40_000
    assert readings == sorted(readings)
    assert readings[-1] <= 40_000


def test_threads_that_ended_leave_their_sum_and_nothing_else() -> None:
    counter = ShardedCounter()
    counter.add(5)
    for _ in range(50):
        run_threads(lambda: counter.add(2))
        assert len(counter._ledger) <= 3  # this thread, and those that nobody has folded in yet
    assert counter.value == 105
    assert len(counter._ledger) == 1
    assert repr(counter) == "<ShardedCounter 105 from 1 threads>"


def test_counters_are_independent_and_are_freed() -> None:
    one, other = ShardedCounter(), ShardedCounter()
    one.add(4)
    assert (one.value, other.value) == (4, 0)
    gc.disable()
    try:
        gone = weakref.ref(one._ledger)
        del one
        assert gone() is None  # by its count of references: no cycle waits for the collector
    finally:
        gc.enable()


def test_counting_within_a_reading_does_not_lock() -> None:
    """A finalizer, or a handler of a signal, may run anywhere."""
    counter = ShardedCounter()
    with counter._ledger._lock:
        counter.add(2)
    assert counter.value == 2


@pytest.mark.parametrize("n", [True, 1.0, "1", None])
def test_only_ints_are_counted(n: Any) -> None:
    counter, metrics = ShardedCounter(), PipelineMetrics()
    for call in (counter.add, metrics.record_frame, PipelineMetrics):
        with pytest.raises(TypeError, match="Expected an int"):
            call(n)
    assert (counter.value, metrics.snapshot()) == (0, (0, 0, 0))


def test_nothing_is_counted_backwards() -> None:
    counter, metrics = ShardedCounter(), PipelineMetrics()
    for call in (counter.add, metrics.record_frame, PipelineMetrics):
        with pytest.raises(ValueError, match="at least 0, got -1"):
            call(-1)
    counter.add(0)
    assert (counter.value, metrics.snapshot()) == (0, (0, 0, 0))


def test_the_run_of_the_lesson() -> None:
    metrics, done = PipelineMetrics(), threading.Barrier(5)

    def work(uplink: int) -> None:
        for _ in range(100):
            if metrics.should_stop():
                break
            metrics.record_frame(1_024)
            if uplink == 0:
                metrics.record_drop()
        done.wait()

    def monitor() -> None:
        done.wait()
        metrics.signal_shutdown()

    run_threads(*[lambda uplink=k: work(uplink) for k in range(4)], monitor)
    assert metrics.snapshot() == (400, 100, 409_600)
    assert metrics.frames_received == 400
    assert metrics.frames_dropped == 100
    assert metrics.bytes_processed == 409_600


def test_metrics_count_on_from_what_they_are_given() -> None:
    metrics = PipelineMetrics(10, 1, 9_000)
    metrics.record_frame(1_000)
    metrics.record_drop()
    assert metrics.snapshot() == (11, 2, 10_000)


def test_shutdown_is_seen_and_stays() -> None:
    metrics = PipelineMetrics()
    assert not metrics.should_stop()
    run_threads(metrics.signal_shutdown, metrics.signal_shutdown)
    assert metrics.should_stop()
