"""`compare`: what it calls a difference, on simulated time with drift, spikes and known shifts."""

from __future__ import annotations

import dataclasses
import gc
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meridian.foundation.profiling._wire import encode
from meridian.foundation.profiling.bench import (
    BadTiming,
    Comparison,
    Fingerprint,
    FingerprintMismatch,
    Measurement,
    compare,
    compare_many,
    compare_pairs,
    compare_samples,
)
from meridian.foundation.profiling.comparison import judge

HERE = Fingerprint("cpu", 2, "Linux", "3.11", "0.6", "2.4")


class NoisyMachine:
    """Simulated durations: a slow drift that both sides share, jitter, and rare long spikes."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.drift = 0.0

    def takes(self, seconds: float) -> Callable[[], float]:
        def run() -> float:
            self.drift = 0.98 * self.drift + self.rng.normal(0, 0.02)
            spike = self.rng.exponential(0.5) if self.rng.random() < 0.05 else 0.0
            return seconds * math.exp(self.drift + self.rng.normal(0, 0.01)) * (1 + spike)

        return run


def run(a: Callable[[], object], b: Callable[[], object], **settings: Any) -> Comparison:
    return compare(a, b, own_timer=True, max_spread=None, **settings)


def test_same_against_same_is_rarely_called_different() -> None:
    """A/A over 200 noisy trials: p < 0.05 in at most 8 %, and almost no verdict of a change."""
    alarms, verdicts = 0, 0
    for seed in range(200):
        machine = NoisyMachine(10_000 + seed)
        result = run(machine.takes(1e-4), machine.takes(1e-4), seed=seed)
        alarms += result.p_value < 0.05
        verdicts += result.verdict in ("faster", "slower")
    assert alarms <= 16
    assert verdicts <= 4


def test_a_small_shift_is_found() -> None:
    """A true 5 % shift with min_effect 1 %: found in at least 85 % of 60 trials of 30 pairs."""
    found = 0
    for seed in range(60):
        machine = NoisyMachine(1_000 + seed)
        result = run(machine.takes(1e-4), machine.takes(1.05e-4), seed=seed)
        assert result.verdict != "faster"
        found += result.verdict == "slower"
    assert found >= 51


def test_block_design_mistakes_drift_for_a_change() -> None:
    """Why `compare` interleaves: the same machine, measured in two blocks, raises false alarms."""
    alarms = 0
    for seed in range(60):
        takes = NoisyMachine(seed).takes(1e-4)
        old, new = (
            Measurement(np.array([takes() for _ in range(30)]), 1, env=HERE) for _ in range(2)
        )
        result = compare_samples(old, new)
        assert result.design == "block"
        alarms += result.p_value < 0.05
    assert alarms >= 15


def test_order_is_abba_with_the_start_drawn_per_block() -> None:
    order: list[str] = []

    def side(name: str) -> Callable[[], float]:
        def call() -> float:
            order.append(name)
            return 1.0

        return call

    run(side("a"), side("b"), rounds=40, warmup=0)
    blocks = ["".join(order[i : i + 4]) for i in range(0, len(order), 4)]
    assert set(blocks) == {"abba", "baab"}
    assert order.count("a") == order.count("b") == 40
    first = list(order)
    order.clear()
    run(side("a"), side("b"), rounds=40, warmup=0)
    assert order == first  # the same seed, the same order
    order.clear()
    run(side("a"), side("b"), rounds=40, warmup=0, seed=1)
    assert order != first


def test_pairs_of_an_odd_number_of_rounds() -> None:
    assert run(lambda: 1.0, lambda: 2.0, rounds=7).a.size == 7


def test_verdict_speaks_of_b(time_: Any) -> None:
    result = compare(time_.work(2e-6), time_.work(1e-6), timer=time_)
    assert result.ratio == pytest.approx(0.5)
    assert result.ci95 == pytest.approx((0.5, 0.5))
    assert result.verdict == "faster"
    assert result.p_value < 1e-5
    assert (result.median_a, result.median_b) == pytest.approx((2e-6, 1e-6))
    assert result.inner == (32, 64)  # powers of two that last 50 us
    assert compare(time_.work(1e-6), time_.work(2e-6), timer=time_).verdict == "slower"


def test_all_pairs_tied() -> None:
    result = run(lambda: 1e-3, lambda: 1e-3)
    assert (result.ratio, result.ci95, result.p_value) == (1.0, (1.0, 1.0), 1.0)
    assert result.verdict == "equivalent"
    assert not any(map(math.isnan, (result.ratio, *result.ci95, result.p_value, result.spread)))


def test_certain_but_too_small_to_matter() -> None:
    result = run(lambda: 1.0, lambda: 1.003)
    assert result.p_value < 0.001
    assert result.verdict == "equivalent"
    assert run(lambda: 1.0, lambda: 1.003, min_effect=0.0).verdict == "slower"


def test_too_few_pairs_prove_nothing() -> None:
    result = run(lambda: 1.0, lambda: 3.0, rounds=5)
    assert result.p_value == 0.0625
    assert result.verdict == "inconclusive"


@pytest.mark.parametrize(
    ("ci95", "p", "verdict"),
    [
        ((0.90, 0.98), 0.01, "faster"),
        ((0.90, 0.98), 0.05, "inconclusive"),
        ((0.90, 0.995), 0.01, "inconclusive"),
        ((1.02, 1.10), 0.01, "slower"),
        ((1.005, 1.10), 0.01, "inconclusive"),
        ((0.99, 1.01), 0.50, "equivalent"),
        ((0.995, 1.009), 0.001, "equivalent"),
        ((0.98, 1.005), 0.50, "inconclusive"),
    ],
)
def test_the_rule(ci95: tuple[float, float], p: float, verdict: str) -> None:
    assert judge(ci95, p, 0.05, 0.01) == verdict


def test_wide_interval_is_measured_once_more() -> None:
    rng = np.random.default_rng(3)
    calls = 0

    def noisy() -> float:
        nonlocal calls
        calls += 1
        return float(rng.lognormal(0, 2.0 if calls <= 30 else 0.01))

    result = compare(lambda: 1.0, noisy, own_timer=True, warmup=0)
    assert result.retried
    assert calls == 60
    assert result.a.size == result.b.size == 30
    assert result.spread < 0.2
    calls = 0
    once = compare(lambda: 1.0, noisy, own_timer=True, warmup=0, max_spread=None)
    assert (once.retried, calls) == (False, 30)
    assert any("% wide" in caveat for caveat in once.caveats)


def test_budget_ends_early_but_not_before_eight_pairs() -> None:
    assert run(lambda: 1.0, lambda: 1.0, budget_s=2.0).a.size == 8
    assert run(lambda: 0.1, lambda: 0.1, budget_s=2.0).a.size == 10
    assert run(lambda: 1e-3, lambda: 1e-3, budget_s=2.0).a.size == 30


def test_busy_machine_is_mentioned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (99.5, 1.0, 1.0))
    result = run(lambda: 1.0, lambda: 1.0)
    assert result.load_1m == 99.5
    assert f"load average 99.5 on {result.env.cores} cores" in str(result)
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0))
    assert run(lambda: 1.0, lambda: 1.0).caveats == ()
    monkeypatch.delattr("os.getloadavg")
    assert run(lambda: 1.0, lambda: 1.0).load_1m is None


def test_str_is_a_sentence() -> None:
    text = str(run(lambda: 2.0, lambda: 1.0, names=("old", "new"), clock="cpu"))
    assert text.startswith("new takes 0.5 times as long as old (95 % CI 0.5 to 0.5, p = ")
    assert "30 pairs, cpu time): faster" in text


def test_warm_up_is_not_counted() -> None:
    calls = iter([100.0, 100.0, *[1.0] * 30])
    result = run(lambda: next(calls), lambda: 1.0, warmup=2)
    assert result.a.max() == 1.0


@pytest.mark.parametrize("failing", ["a", "b"])
@pytest.mark.parametrize("at", [1, 2, 11])
def test_exception_propagates_and_restores(time_: Any, failing: str, at: int) -> None:
    def side(name: str) -> Callable[[], None]:
        calls = 0

        def call() -> None:
            nonlocal calls
            calls += 1
            time_.now += 1e-3
            if name == failing and calls == at:
                raise KeyError("from the function")

        return call

    assert gc.isenabled()
    with pytest.raises(KeyError, match="from the function"):
        compare(side("a"), side("b"), timer=time_)
    assert gc.isenabled()


def test_collector_is_off_inside() -> None:
    seen = set()

    def look() -> float:
        seen.add(gc.isenabled())
        return 1.0

    run(look, lambda: 1.0)
    assert seen == {False}
    run(look, lambda: 1.0, gc=True)
    assert seen == {False, True}


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (None, TypeError, "got NoneType"),
        ("1.0", TypeError, "got str"),
        (True, TypeError, "got bool"),
        (math.nan, BadTiming, "finite"),
        (-1.0, BadTiming, "backwards"),
        (0.0, BadTiming, "stood still"),
    ],
)
def test_own_timer_values(value: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        run(lambda: 1.0, lambda: value)


def test_own_timer_takes_numpy_numbers_and_sums_inner_calls() -> None:
    result = run(lambda: np.float32(0.5), lambda: 1, inner=4)
    assert (result.median_a, result.median_b, result.inner) == (0.5, 1.0, (4, 4))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rounds": 1}, "rounds >= 2"),
        ({"inner": 0}, "inner >= 1"),
        ({"warmup": -1}, "warmup >= 0"),
        ({"alpha": 0}, "0 < alpha < 1"),
        ({"min_effect": 1}, "min_effect < 1"),
        ({"clock": "moon"}, "'cpu' or 'wall'"),
    ],
)
def test_bad_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(lambda: 1.0, lambda: 1.0, **settings)


def test_cpu_clock_is_the_process_time() -> None:
    result = compare(lambda: sum(range(200)), lambda: sum(range(200)), clock="cpu", rounds=4)
    assert result.clock == "cpu"
    assert (result.a > 0).all()


def test_compare_pairs_checks_its_samples() -> None:
    with pytest.raises(ValueError, match="3 samples of a and 2 of b"):
        compare_pairs([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="got nan at index 1"):
        compare_pairs([1, math.nan], [1, 2])
    with pytest.raises(ValueError, match="positive finite"):
        compare_pairs([1, 0], [1, 2])
    with pytest.raises(ValueError, match="at least 2"):
        compare_pairs([1], [2])


def test_family_is_judged_together() -> None:
    """p = 0.03125 alone is a verdict; among five comparisons it is not."""
    rng = np.random.default_rng(0)
    sixfold = [(lambda: 1.0, lambda: 1.5)]
    alone = compare_many(sixfold, own_timer=True, rounds=6)
    assert (alone[0].verdict, alone[0].p_value) == ("slower", 0.03125)
    null = [(lambda: float(rng.lognormal(0, 0.1)),) * 2 for _ in range(4)]
    together = compare_many(sixfold + null, own_timer=True, rounds=6, max_spread=None)
    assert together[0].p_value == pytest.approx(5 * 0.03125)
    assert together[0].verdict == "inconclusive"
    assert [c.family for c in together] == [5] * 5
    assert compare_many([]) == []


def test_family_by_name() -> None:
    named = compare_many({"get": (lambda: 1.0, lambda: 2.0)}, own_timer=True)
    assert (named[0].name_a, named[0].name_b) == ("get a", "get b")


def test_json_round_trip_keeps_every_sample() -> None:
    machine = NoisyMachine(7)
    result = run(machine.takes(1e-4), machine.takes(2e-4), names=("x", "y"))
    back = Comparison.from_json(result.to_json())
    assert str(back) == str(result)
    assert back.a.tolist() == result.a.tolist()
    assert back.env == result.env
    again = compare_pairs(back.a, back.b, names=("x", "y"), seed=back.seed)
    assert (again.ratio, again.ci95, again.p_value) == (back.ratio, back.ci95, back.p_value)
    with pytest.raises(ValueError, match="verdict"):
        Comparison.from_json(result.to_json().replace('"slower"', '"superb"'))
    with pytest.raises(ValueError, match="truncated"):
        Comparison.from_json(result.to_json()[:40])
    with pytest.raises(ValueError, match="30 samples of a and 29 of b"):
        Comparison.from_json(encode({**_fields(result), "b": result.b[1:]}))
    with pytest.raises(ValueError, match="positive finite"):
        Comparison.from_json(encode({**_fields(result), "a": -result.a}))


def _fields(result: Comparison) -> dict[str, Any]:
    return {f.name: getattr(result, f.name) for f in dataclasses.fields(result)}


SAMPLES = st.lists(st.tuples(*[st.floats(1e-9, 1e3)] * 2), min_size=2, max_size=40)


@settings(max_examples=40)
@given(SAMPLES, st.floats(1e-3, 1e3))
def test_neither_the_unit_nor_the_side_changes_the_verdict(
    pairs: list[tuple[float, float]], unit: float
) -> None:
    a, b = (np.array(side) for side in zip(*pairs, strict=True))
    result = compare_pairs(a, b)
    assert result.ci95[0] <= result.ratio <= result.ci95[1]
    scaled = compare_pairs(a * unit, b * unit)
    assert scaled.ratio == pytest.approx(result.ratio)
    assert scaled.ci95 == pytest.approx(result.ci95)
    mirrored = compare_pairs(b, a)
    assert mirrored.ratio == pytest.approx(1 / result.ratio)
    assert mirrored.ci95 == pytest.approx((1 / result.ci95[1], 1 / result.ci95[0]))
    assert mirrored.p_value == pytest.approx(result.p_value)


def test_stored_runs() -> None:
    old = Measurement(np.linspace(1.0, 1.1, 40), 1, "v1", env=HERE)
    new = Measurement(np.linspace(2.0, 2.2, 50), 1, "v2", env=HERE)
    result = compare_samples(old, new)
    assert result.ratio == pytest.approx(2.0)
    assert (result.verdict, result.design) == ("slower", "block")
    assert any("one after the other" in caveat for caveat in result.caveats)
    same = compare_samples(old, old)
    assert (same.ratio, same.p_value) == (1.0, 1.0)


def test_stored_constant_runs() -> None:
    flat = Measurement(np.full(20, 3e-7), 1, env=HERE)
    result = compare_samples(flat, flat)
    assert (result.ratio, result.ci95, result.p_value) == (1.0, (1.0, 1.0), 1.0)
    assert result.verdict == "equivalent"


def test_stored_runs_from_elsewhere_are_refused() -> None:
    old = Measurement(np.ones(10), 1, env=HERE)
    for name, value in [("cpu", "other"), ("python", "3.12"), ("numba", "1"), ("hz_governor", "x")]:
        env = dataclasses.replace(HERE, **{name: value})
        with pytest.raises(FingerprintMismatch, match=f"not comparable: {name} ") as caught:
            compare_samples(old, Measurement(np.ones(10), 1, env=env))
        assert caught.value.differing == (name,)
    with pytest.raises(ValueError, match="wall time and cpu time"):
        compare_samples(old, Measurement(np.ones(10), 1, clock="cpu", env=HERE))
