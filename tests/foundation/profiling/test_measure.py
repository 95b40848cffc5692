"""`measure`: how samples are taken, and what a `Measurement` says about them."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from meridian.foundation.profiling.bench import BadTiming, Fingerprint, Measurement, measure
from meridian.foundation.profiling.timing import MAX_INNER, calibrate, pick_timer

HERE = Fingerprint("cpu", 2, "Linux", "3.11", "0.6", "2.4")
QUICK: dict[str, Any] = {"warmup_s": 0.001, "measure_s": 0.05}


def test_constant_work_is_measured_exactly(time_: Any) -> None:
    m = measure(time_.work(1e-6), timer=time_, **QUICK)
    assert m.per_iter.size == 100
    assert m.median == pytest.approx(1e-6)
    assert m.mean == pytest.approx(1e-6)
    assert m.mad == pytest.approx(0, abs=1e-12)
    assert m.spread == pytest.approx(0, abs=1e-6)
    assert m.inner * 1e-6 >= 50e-6  # one sample lasts at least min_sample_us
    assert m.inner * 100 * 1e-6 == pytest.approx(0.05, rel=0.3)  # and together they fill measure_s
    assert m.env == Fingerprint.current()


def test_first_call_is_kept_apart(time_: Any) -> None:
    costs = iter([0.25])
    m = measure(time_.work(lambda: next(costs, 1e-5)), timer=time_, **QUICK)
    assert m.first_call_s == pytest.approx(0.25)
    assert m.per_iter.max() == pytest.approx(1e-5)


def test_setup_is_outside_the_clock_and_fresh_for_every_call(time_: Any) -> None:
    prepared, used = [], []

    def setup() -> tuple[int]:
        time_.now += 0.5  # slow, and must not be seen
        prepared.append(len(prepared))
        return (prepared[-1],)

    def use(prefix: str, ticket: int) -> None:
        assert prefix == "job"
        used.append(ticket)
        time_.now += 1e-4

    m = measure(use, "job", timer=time_, setup=setup, **QUICK)
    assert m.per_iter.max() == pytest.approx(1e-4)
    assert used == prepared
    assert len(set(used)) == len(used)


def test_setup_with_a_fast_function_stays_bounded(time_: Any) -> None:
    m = measure(
        lambda _: setattr(time_, "now", time_.now + 1e-9), timer=time_, setup=lambda: (1,), **QUICK
    )
    assert m.inner == 4_096
    assert m.median == pytest.approx(1e-9, rel=1e-3)


def test_setup_must_return_a_tuple(time_: Any) -> None:
    with pytest.raises(TypeError, match="return a tuple, got list"):
        measure(time_.work(1e-5), timer=time_, setup=lambda: [1])  # type: ignore[arg-type, return-value]


def test_name_and_arguments(time_: Any) -> None:
    def double(x: int) -> int:
        time_.now += 1e-5
        return 2 * x

    assert measure(double, 21, timer=time_, **QUICK).name == "double"
    assert measure(double, 21, timer=time_, name="twice", **QUICK).name == "twice"


@pytest.mark.parametrize("enabled", [True, False])
def test_collector_is_off_inside_and_restored(time_: Any, enabled: bool) -> None:
    seen = set()

    def look() -> None:
        seen.add(gc.isenabled())
        time_.now += 1e-5

    before = gc.isenabled()
    gc.enable() if enabled else gc.disable()
    try:
        measure(look, timer=time_, **QUICK)
        assert (seen, gc.isenabled()) == ({False}, enabled)
        seen.clear()
        measure(look, timer=time_, gc=True, **QUICK)
        assert (seen, gc.isenabled()) == ({enabled}, enabled)
    finally:
        gc.enable() if before else gc.disable()


@pytest.mark.parametrize("fail_at", [1, 2, 500])
def test_exception_propagates_and_restores(time_: Any, fail_at: int) -> None:
    calls = 0

    def sometimes() -> None:
        nonlocal calls
        calls += 1
        time_.now += 1e-5
        if calls == fail_at:
            raise ZeroDivisionError("of the function")

    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError, match="of the function"):
        measure(sometimes, timer=time_, **QUICK)
    assert gc.isenabled()
    assert calls == fail_at
    assert measure(time_.work(1e-5), timer=time_, **QUICK).median == pytest.approx(1e-5)


def test_slow_function_gets_fewer_samples_and_says_so(time_: Any) -> None:
    with pytest.warns(RuntimeWarning, match=r"One sample lasts 2 s: taking 10 samples instead of"):
        m = measure(time_.work(2.0), timer=time_)
    assert (m.per_iter.size, m.inner) == (10, 1)
    assert m.ci95 == pytest.approx((2.0, 2.0, 2.0))


@pytest.mark.parametrize("tick_s", [1e-6, 1e-4, 15.6e-4])
def test_function_faster_than_the_clock(time_: Any, tick_s: float) -> None:
    """A clock that moves in steps: never a zero, and the answer within a few percent."""

    def coarse() -> float:
        return math.floor(time_.now / tick_s) * tick_s

    m = measure(time_.work(3e-7), timer=coarse, warmup_s=0.0, measure_s=800 * tick_s, samples=20)
    assert (m.per_iter > 0).all()
    assert m.median == pytest.approx(3e-7, rel=0.11)


def test_clock_that_stands_still() -> None:
    with pytest.raises(BadTiming, match="stood still during 1,024 calls"):
        calibrate(lambda: None, lambda: 5.0, 50e-6, limit=1_024)
    assert MAX_INNER > 1_000_000


@pytest.mark.parametrize(
    ("readings", "message"), [([5.0, 4.0], "ran backwards"), ([1.0, math.nan], "finite seconds")]
)
def test_broken_clock(readings: list[float], message: str) -> None:
    values = iter(readings)
    with pytest.raises(BadTiming, match=message):
        measure(lambda: None, timer=lambda: next(values))
    assert gc.isenabled()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"samples": 9}, "at least 10 samples, got 9"),
        ({"measure_s": 0}, "measure_s > 0"),
        ({"min_sample_us": -1}, "min_sample_us > 0"),
        ({"clock": "sundial"}, "'cpu' or 'wall'"),
        ({"clock": "cpu", "timer": lambda: 0.0}, "either clock or timer"),
    ],
)
def test_bad_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measure(lambda: None, **settings)


def test_clock_names() -> None:
    import time

    assert pick_timer(time.perf_counter, "cpu") == (time.process_time, "cpu")
    assert pick_timer(time.perf_counter, None) == (time.perf_counter, "wall")
    assert pick_timer(time.process_time, None)[1] == "cpu"
    assert pick_timer(time.thread_time, None)[1] == "thread_time"


def test_real_clock_end_to_end() -> None:
    m = measure(sorted, range(50), warmup_s=0.001, measure_s=0.02, samples=10, clock="cpu")
    assert m.clock == "cpu"
    assert 0 < m.ci95.lo <= m.median <= m.ci95.hi


def test_outliers_and_spread() -> None:
    m = Measurement(np.array([1.0] * 50 + [1.02, 1.04] * 20 + [9.0]), 1, env=HERE)
    assert m.outliers == (0, 1)
    assert 0 < m.spread < 0.05
    assert m.ci95 is m.ci95  # computed once


def test_json_round_trip() -> None:
    m = Measurement(np.array([1e-6, 2e-6, 4e-6]), 7, "insert", "cpu", 0.5, HERE)
    back = Measurement.from_json(m.to_json())
    assert back.per_iter.tolist() == m.per_iter.tolist()
    assert (back.inner, back.name, back.clock, back.first_call_s, back.env) == (
        7,
        "insert",
        "cpu",
        0.5,
        HERE,
    )


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[:-20], "truncated"),
        (lambda text: text.replace('"inner": 7', '"inner": "7"'), "inner"),
        (lambda text: text.replace('"inner": 7', '"inner": 0'), "inner >= 1"),
        (lambda text: text.replace("1e-6", "null"), "finite samples|list of numbers"),
        (lambda text: text.replace("1e-6", "-1"), "durations"),
        (lambda text: text.replace('"per_iter": [', '"per_iter": 3, "x": ['), "list of numbers"),
        (lambda text: text.replace('"cores": 2', '"cores": 2.5'), "cores"),
        (lambda _: "", "truncated"),
        (lambda _: "[]", "Expected `object`"),
    ],
)
def test_damaged_json(damage: Callable[[str], str], message: str) -> None:
    text = Measurement(np.array([1e-6, 2e-6]), 7, "insert", env=HERE).to_json()
    damaged = damage(text)
    assert damaged != text
    with pytest.raises(ValueError, match=message):
        Measurement.from_json(damaged)


def test_samples_cannot_be_changed_afterwards() -> None:
    source = np.array([1.0, 2.0])
    m = Measurement(source, 1, env=HERE)
    source[0] = 99.0
    assert m.per_iter.tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="read-only"):
        m.per_iter[0] = 0.0


@pytest.mark.parametrize("samples", [[], [1.0, math.nan], [[1.0]]])
def test_bad_samples(samples: list[float]) -> None:
    with pytest.raises(ValueError, match="Expected"):
        Measurement(np.array(samples), 1)
