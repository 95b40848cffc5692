"""Growth: the exponent, its interval, who passes and what is said and drawn."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.judging.compare import CriterionFailed
from grader.races.history import Past
from grader.races.race import Race, describe, exponent_of, require_growth

SIZES = (1_000, 2_000, 4_000)


def growing(power: float, seed: int, noise: float = 0.03) -> Callable[[int], Callable[[], float]]:
    rng = random.Random(seed)

    def side_at(size: int) -> Callable[[], float]:
        return lambda: 1e-6 * size**power * rng.lognormvariate(0, noise)

    return side_at


def growth_of(power: float, seed: int = 1, **settings: Any) -> Any:
    return Race("5eed").growth(
        "Sorting", growing(power, seed), SIZES, unit="item", **{"expected": 1.0, **settings}
    )


@pytest.mark.parametrize(
    ("power", "expected", "met"),
    [(1.0, 1.0, True), (1.1, 1.0, True), (2.0, 1.0, False), (1.5, 1.0, False), (2.0, 2.0, True)],
)
def test_clearly_above_what_is_asked_fails(power: float, expected: float, met: bool) -> None:
    for seed in range(10):
        result = growth_of(power, seed, expected=expected)
        assert result.met is met
        assert result.exponent == pytest.approx(power, abs=0.1)
        low, high = result.ci95
        assert low <= result.exponent <= high


def test_a_plain_case_is_short_and_a_close_one_long() -> None:
    assert growth_of(0.5).pairs == 8
    assert max(growth_of(1.25, seed, rounds=20).pairs for seed in range(10)) > 20


@given(st.floats(1.05, 100), st.floats(1.5, 1000))
def test_so_many_times_over_so_much(times: float, over: float) -> None:
    assert over ** exponent_of(times, over) == pytest.approx(times)


@pytest.mark.parametrize(("times", "over"), [(0, 2), (2, 1), (2, 0), (-1, 2)])
def test_no_exponent(times: float, over: float) -> None:
    with pytest.raises(ValueError, match="positive factors"):
        exponent_of(times, over)


def test_the_verdict_says_how_it_grows() -> None:
    result = growth_of(2.0)
    with pytest.raises(CriterionFailed) as told:
        require_growth(result, "sort")
    low, high = result.ci95
    times = 4**result.exponent
    assert told.value.message == (
        f"sort: from 1,000 to 4,000 items its time grows as n^{result.exponent:.2f} "
        f"({low:.2f} to {high:.2f}), that is {times:.1f} times; at most n^1.25, 5.7 times, is asked"
    )
    require_growth(growth_of(1.0), "sort")


def test_report_and_plot(tmp_path: Path) -> None:
    class Worker:
        def __init__(self, mib: int) -> None:
            self.mib = mib

        def own_memory(self) -> int:
            return self.mib * 2**20

    past = [
        Past(name="Hits", peer="1,000 frames", when="2026-11-03T10:00:00+00:00", attempt=1,
             growth=0.8, ratio=0.3),
        Past(name="Other", peer="1,000 frames", when="2026-11-03T10:00:00+00:00", growth=0.7),
    ]  # fmt: skip
    race = Race("5eed", history=past)
    race.growth(
        "Hits", growing(0.0, 1), SIZES, expected=0, margin=0.1, size_name="frames", unit="get",
        per=10, reference_at=growing(0.0, 2), memory=(Worker(30), Worker(20)),
    )  # fmt: skip
    with pytest.raises(ValueError, match="raced already"):
        race.growth("Hits", growing(0.0, 1), SIZES, unit="get")
    flat, model = race.finish(tmp_path)
    assert (flat.peer, model.peer) == ("1,000 frames", "model answer")
    assert flat.growth == pytest.approx(0, abs=0.05)
    assert flat.growth_low is not None
    assert flat.growth_high is not None
    assert flat.growth_low <= flat.growth <= flat.growth_high
    assert flat.ratio == pytest.approx(1, abs=0.05)
    assert (flat.memory, model.memory) == (None, pytest.approx(1.5))
    assert (model.growth, model.plot) == (None, flat.plot)
    assert "time grows as n^0.0" in describe(flat).replace("n^-0.0", "n^0.0")
    data = msgspec.json.decode((tmp_path / "plots" / "hits.json").read_bytes())
    assert data["result"]["sizes"] == list(SIZES)
    assert data["sweeps"]["submission"]["medians"][0] == pytest.approx(1e-7, rel=0.1)
    assert [entry["growth"] for entry in data["history"]] == [0.8]
    shown = (tmp_path / "plots" / "hits.svg").read_text()
    for text in ("allowed  (slope 0.10)", "model answer", "#1", "frames"):
        assert text in shown
    assert (tmp_path / "plots" / "hits.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sizes": (5,)}, "two different positive sizes"),
        ({"sizes": (5, 5)}, "two different positive sizes"),
        ({"sizes": (0, 5)}, "two different positive sizes"),
        ({"margin": 0}, "margin > 0"),
        ({"per": 0}, "per >= 1"),
        ({"rounds": 1}, "at least 2 rounds"),
    ],
)
def test_a_growth_that_cannot_be_measured(settings: Any, message: str) -> None:
    call = {"sizes": SIZES, "unit": "item", **settings}
    with pytest.raises(ValueError, match=message):
        Race("5eed").growth("x", growing(1.0, 1), **call)
