"""Races: who runs, in which order, for how long, and which ratio meets its target."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from grader.judging.compare import CriterionFailed
from grader.races.race import Race, require_ratio


def test_a_race_takes_every_side_in_turn_and_back(tmp_path: Path) -> None:
    order: list[str] = []

    def side(name: str, seconds: float) -> Callable[[], float]:
        def run() -> float:
            order.append(name)
            return seconds

        return run

    race = Race("5eed")
    sides = {"mine": 1.0, "peer": 2.0, "model": 0.5, "model's peer": 3.0}
    mine, peer, model, models_peer = (side(*item) for item in sides.items())
    result = race.compare(
        "Fixed times", mine, peer, peer_name="p", unit="call", rounds=6, per=10,
        reference=model, reference_peer=models_peer,
    )  # fmt: skip
    assert (result.ratio, result.pairs) == (pytest.approx(2.0), 6)
    warm_up, rounds = order[:4], [order[i : i + 4] for i in range(4, len(order), 4)]
    assert warm_up == list(sides)
    assert len(rounds) == 6
    for there, back in zip(rounds[::2], rounds[1::2], strict=True):
        assert sorted(there) == sorted(sides)
        assert back == there[::-1]
    assert len({tuple(there) for there in rounds[::2]}) > 1
    with pytest.raises(ValueError, match="raced already"):
        race.compare("Fixed times", mine, peer, peer_name="p", unit="call")
    entries = race.finish(tmp_path)
    assert [(e.peer, e.ratio) for e in entries] == [
        ("p", pytest.approx(2.0)),
        ("model answer", pytest.approx(0.5)),
    ]
    rows = msgspec.json.decode((tmp_path / "plots" / "fixed-times.json").read_bytes())["results"]
    assert (rows[2]["subject"], rows[2]["ratio"]) == ("model answer", pytest.approx(6.0))
    assert rows[0]["subject_s"] == pytest.approx(0.1)


def noisy(seed: int, median_s: float, noise: float = 0.05) -> Callable[[], float]:
    """A side that takes about `median_s`; log-normal, as times on a real machine nearly are."""
    rng = random.Random(seed)
    return lambda: median_s * rng.lognormvariate(0, noise)


def race_of(ratio: float, seed: int = 1, *, rounds: int = 40, noise: float = 0.05) -> Any:
    return Race("5eed").compare(
        "Near", noisy(seed, 1.0, noise), noisy(~seed, ratio, noise), peer_name="p", unit="call",
        rounds=rounds, target=1.0,
    )  # fmt: skip


@pytest.mark.parametrize(("ratio", "met"), [(0.8, False), (1.0, True), (1.25, True)])
def test_the_interval_decides(ratio: float, met: bool) -> None:
    found = [race_of(ratio, seed) for seed in range(30)]
    wrong = [result for result in found if result.met is not met]
    assert len(wrong) <= 2, wrong
    for result in found:
        assert result.ci95[0] <= result.ratio <= result.ci95[1]


def test_a_plain_race_is_short_and_a_close_one_long() -> None:
    assert {race_of(ratio).pairs for ratio in (0.5, 2.0)} == {8}
    close = [race_of(0.975, seed).pairs for seed in range(10)]
    assert max(close) > 16
    assert race_of(0.975, rounds=10).pairs <= 20


def test_what_is_open_is_measured_again_and_that_run_alone_counts() -> None:
    """Somebody else uses the machine during the first rounds."""
    calls = []

    def mine() -> float:
        calls.append(1)
        disturbed = len(calls) <= 1 + 8
        return (0.4, 1.0)[len(calls) % 2] if disturbed else 0.5

    result = Race("5eed").compare(
        "Disturbed", mine, lambda: 1.0, peer_name="p", unit="call", rounds=8, target=1.5
    )
    assert (result.met, result.ratio, result.pairs) == (True, 2.0, 8)
    assert len(calls) == 1 + 8 + 8


def test_the_median_decides_what_stays_open() -> None:
    """Wide as the interval is, a median within 5 % of the target is as good as there."""
    for ratio, met in ((0.96, True), (0.94, False)):
        times = itertools.cycle([0.1 * ratio, ratio, 10 * ratio])

        def peer(times: Any = times) -> float:
            return next(times)

        result = Race("5eed").compare(
            "Open", lambda: 1.0, peer, peer_name="p", unit="call", rounds=9, target=1.0
        )
        assert result.pairs == 18
        assert result.ci95[0] < 0.95 < 1 < result.ci95[1]
        assert (result.ratio, result.met) == (pytest.approx(ratio), met)


def test_the_verdict_says_the_interval() -> None:
    result = race_of(0.8)
    with pytest.raises(CriterionFailed) as told:
        require_ratio(result, "insert")
    low, high = result.ci95
    assert told.value.message == (
        f"insert: {result.ratio:.2f} ({low:.2f} to {high:.2f}) times the speed of p, "
        "expected at least 1.00"
    )
    require_ratio(race_of(1.5), "insert")
    free = Race("5eed").compare("f", lambda: 1.0, lambda: 1.0, peer_name="p", unit="call")
    assert free.met is None
    with pytest.raises(ValueError, match="without a target"):
        require_ratio(free, "free")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rounds": 1}, "at least 2 rounds"),
        ({"per": 0}, "per >= 1"),
        ({"target": 0.0}, "positive target"),
        ({"target": -1.0}, "positive target"),
        ({"target": float("nan")}, "positive target"),
    ],
)
def test_a_race_that_cannot_be_run(settings: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Race("5eed").compare("x", lambda: 1.0, lambda: 1.0, peer_name="p", unit="u", **settings)


class FakeWorkshop:
    """Says when its processes stand still."""

    def __init__(self, log: list[str], name: str, broken: bool = False) -> None:
        self.log, self.name, self.broken = log, name, broken

    def park(self, on: bool, /) -> None:
        if self.broken:
            raise OSError("no such box")
        self.log.append(f"{self.name} {'parked' if on else 'free'}")


def test_every_box_is_parked_for_the_time_of_a_race() -> None:
    log: list[str] = []
    race = Race("5eed")
    race.workshops = [FakeWorkshop(log, "mine"), FakeWorkshop(log, "peer")]

    def side() -> float:
        log.append("run")
        return 1.0

    race.compare("x", side, side, peer_name="p", unit="u", rounds=2)
    assert log[:2] == ["mine parked", "peer parked"]
    assert set(log[2:-2]) == {"run"}
    assert sorted(log[-2:]) == ["mine free", "peer free"]

    log.clear()

    def broken() -> float:
        raise KeyError

    with pytest.raises(KeyError):
        race.compare("y", broken, side, peer_name="p", unit="u")
    assert sorted(log[-2:]) == ["mine free", "peer free"]

    log.clear()
    race.workshops = [FakeWorkshop(log, "mine"), FakeWorkshop(log, "peer", broken=True)]
    with pytest.raises(OSError, match="no such box"):
        race.compare("z", side, side, peer_name="p", unit="u")
    assert log == ["mine parked", "mine free"]
