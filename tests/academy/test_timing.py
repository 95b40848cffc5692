"""The best of a few rounds, on a clock that the calls themselves move."""

from __future__ import annotations

import math
from collections.abc import Callable

import anyio
import pytest

from meridian.academy import best_awaited_s, best_s
from meridian.academy import timing as module

Timed = Callable[..., tuple[float, int]]


class Clock:
    """Stands still but for what a call costs."""

    def __init__(self, costs: list[float]) -> None:
        self.now_s, self._costs, self.calls = 0.0, iter(costs), 0

    def perf_counter(self) -> float:
        return self.now_s

    def call(self, *_: object) -> None:
        self.calls += 1
        self.now_s += next(self._costs)

    async def awaited(self, *_: object) -> None:
        await anyio.lowlevel.checkpoint()
        self.call()


@pytest.fixture(params=["called", "awaited"])
def timed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Timed:
    """``timed(costs, **options) -> (seconds, calls)``, for both functions."""

    def run(costs: list[float], **options: object) -> tuple[float, int]:
        clock = Clock(costs)
        monkeypatch.setattr(module, "time", clock)
        try:
            if request.param == "called":
                return best_s(clock.call, **options), clock.calls

            async def main() -> float:
                return await best_awaited_s(clock.awaited, **options)

            return anyio.run(main), clock.calls
        finally:
            monkeypatch.undo()

    return run


def test_the_fastest_round_is_told_per_call(timed: Timed) -> None:
    assert timed([4, 4, 1, 2, 8, 1], calls=2, rounds=3) == (1.5, 6)


def test_one_call_and_three_rounds_unless_asked_otherwise(timed: Timed) -> None:
    assert timed([5, 3, 4]) == (3, 3)


def test_no_round_begins_after_the_budget(timed: Timed) -> None:
    assert timed([2, 2, 2, 2, 2], rounds=5, budget_s=4) == (2, 2)


def test_the_first_round_runs_whatever_the_budget(timed: Timed) -> None:
    assert timed([7, 1], budget_s=0) == (7, 1)


def test_arguments_reach_the_call() -> None:
    got: list[object] = []
    best_s(lambda *args: got.append(args), 1, "two", rounds=1)
    assert got == [(1, "two")]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"calls": 0}, ValueError),
        ({"rounds": 0}, ValueError),
        ({"calls": True}, TypeError),
        ({"rounds": 1.5}, TypeError),
        ({"budget_s": math.nan}, ValueError),
        ({"budget_s": "1"}, TypeError),
    ],
)
def test_what_is_no_count_or_time_is_refused_before_a_call(
    timed: Timed, options: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        timed([], **options)  # a call would raise StopIteration


def test_what_the_call_raises_goes_on(timed: Timed) -> None:
    with pytest.raises((StopIteration, RuntimeError)):
        timed([1], rounds=2)
