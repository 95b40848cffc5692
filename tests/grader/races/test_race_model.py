"""Nobody is asked for more than the model answer does in the same rounds."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from grader.races.race import Race
from meridian.foundation.profiling.bench import BenchmarkResult


def noisy(seed: str, median_s: float, noise: float) -> Callable[[], float]:
    rng = random.Random(seed)
    return lambda: median_s * rng.lognormvariate(0, noise)


def raced(
    seed: int, mine: float, peer: float, model: float | None, noise: float = 0.05
) -> BenchmarkResult:
    """A race for a target of 1.0 against the peer, the sides of these median times."""
    return Race("5eed").compare(
        "Busy",
        noisy(f"{seed} mine", mine, noise),
        noisy(f"{seed} peer", peer, noise),
        reference=None if model is None else noisy(f"{seed} model", model, noise),
        peer_name="p",
        unit="call",
        rounds=20,
        target=1.0,
    )


@pytest.mark.parametrize("noise", [0.05, 0.2])
def test_honest_work_keeps_its_points_where_the_model_answer_misses_too(noise: float) -> None:
    found = [raced(seed, 1.0, 0.8, 1.0, noise) for seed in range(20)]
    assert sum(result.met is False for result in found) <= 1
    assert all(result.ratio is not None and result.ratio < 0.95 for result in found)


def test_without_a_model_answer_the_peer_alone_decides() -> None:
    assert [raced(seed, 1.0, 0.8, None).met for seed in range(10)] == [False] * 10


def test_slower_than_both_is_missed() -> None:
    found = [raced(seed, 1.3, 1.0, 1.0) for seed in range(20)]
    assert sum(result.met is True for result in found) <= 1


def test_faster_than_the_peer_is_enough_however_fast_the_model_answer_is() -> None:
    assert [raced(seed, 1.0, 1.5, 0.3).met for seed in range(10)] == [True] * 10


def test_a_plain_answer_is_short() -> None:
    for mine, peer, model in ((1.0, 0.8, 1.0), (1.0, 3.0, 1.0), (3.0, 1.0, 1.0)):
        assert raced(1, mine, peer, model).pairs <= 12
