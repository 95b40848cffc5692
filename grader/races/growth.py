"""How the time of a submission grows with the size of its input: time ~ size ** p."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from grader.judging.compare import CriterionFailed
from grader.races.history import Past
from grader.races.rounds import MODEL_ANSWER, SUBMISSION, Measured, Times
from grader.report import BenchmarkEntry
from meridian.academy.races import exponent

if TYPE_CHECKING:
    from meridian.foundation.profiling.bench import Comparison, Interval, SweepResult

__all__ = ["MARGIN", "GrowthRace", "GrowthResult", "exponent_of", "require_growth"]

MARGIN = 0.25  # between n log n and n ** 1.5, at the sizes a race can afford


def exponent_of(times: float, over: float) -> float:
    """The p at which time grows `times` while the size grows `over`: 1.5 over 64 is 0.0975."""
    if not (times > 0 and over > 0 and over != 1):
        raise ValueError(f"Expected positive factors, and sizes that differ, got {times}, {over}")
    return math.log(times) / math.log(over)


class GrowthResult(msgspec.Struct, frozen=True, kw_only=True):
    """The exponent of the submission between its bounds, the limit, and what it was fitted on."""

    name: str
    sizes: tuple[int, ...]
    size_name: str
    exponent: float
    ci95: tuple[float, float]
    limit: float
    met: bool
    pairs: int


class GrowthRace:
    """One side for every size, the same again for the model answer: all sizes in every round."""

    def __init__(
        self,
        name: str,
        sizes: Sequence[int],
        *,
        expected: float,
        margin: float,
        size_name: str,
        unit: str,
        per: int,
        seed: int,
    ) -> None:
        from meridian.foundation.profiling.bench import Asked

        if len(set(sizes)) != len(sizes) or len(sizes) < 2 or min(sizes) < 1:
            raise ValueError(f"Expected at least two different positive sizes, got {list(sizes)}")
        if not margin > 0 or per < 1:
            raise ValueError(f"Expected a margin > 0 and per >= 1, got {margin} and {per}")
        self.name = name
        self.sizes = tuple(sorted(sizes))
        self.limit = expected + margin
        self._size_name = size_name
        self._unit = unit
        self._per = per
        self._seed = seed
        self._asked = Asked(-self.limit, -self.limit)  # a smaller exponent is the better one
        self._measured: Measured | None = None
        self._result: GrowthResult | None = None

    # -- while it runs ---------------------------------------------------------------------------

    def settle(self, times_s: Times) -> bool | None:
        """Whether the exponent is within the limit."""
        return self._asked.reached(self._fit(times_s))

    def again(self, _times_s: Times) -> bool:
        return True

    def _fit(self, times_s: Times) -> Interval:
        """The exponent times -1, so that more is better, as sure as one look has to be."""
        from meridian.foundation.profiling.bench import LOOK_LEVEL, Interval, fit_growth

        rounds = list(zip(*times_s[: len(self.sizes)], strict=True))
        fit = fit_growth(self.sizes, rounds, seed=self._seed, level=LOOK_LEVEL)
        return Interval(-fit.hi, -fit.est, -fit.lo)

    # -- afterwards ------------------------------------------------------------------------------

    def finish(self, measured: Measured) -> GrowthResult:
        settled = measured.rounds.settled
        if settled is None:
            settled = self._asked.reached_at_last(self._fit(measured.rounds.times_s))
        self._measured = measured
        sweep = self._sweeps()[SUBMISSION]
        assert sweep.slope_ci95 is not None
        self._result = GrowthResult(
            name=self.name,
            sizes=self.sizes,
            size_name=self._size_name,
            exponent=sweep.slope,
            ci95=sweep.slope_ci95,
            limit=self.limit,
            met=settled,
            pairs=len(measured.rounds.times_s[0]),
        )
        return self._result

    def _sweeps(self) -> dict[str, SweepResult]:
        """Seconds per operation by size, with the exponent, of each who ran."""
        from meridian.foundation.profiling.bench import SweepResult

        assert self._measured is not None
        count, times_s = len(self.sizes), self._measured.rounds.times_s
        who = [SUBMISSION, MODEL_ANSWER][: len(times_s) // count]
        return {
            name: SweepResult.of(
                {
                    size: [seconds / self._per for seconds in times_s[place * count + i]]
                    for i, size in enumerate(self.sizes)
                },
                seed=self._seed,
            )
            for place, name in enumerate(who)
        }

    def _pair(self, mine: Sequence[float], other: Sequence[float]) -> Comparison:
        from meridian.foundation.profiling.bench import compare_pairs

        assert self._measured is not None
        return compare_pairs(mine, other, seed=self._seed, retried=self._measured.rounds.retried)

    def entries(self, plot: str) -> list[BenchmarkEntry]:
        """The largest size against the smallest, with the exponent; and against the model answer.

        A ratio of 1 is flat: nothing is slower at the largest size.
        """
        assert self._measured is not None
        assert self._result is not None
        count, times_s = len(self.sizes), self._measured.rounds.times_s
        largest = times_s[count - 1]
        pairs = [(f"{self.sizes[0]:,} {self._size_name}", self._pair(largest, times_s[0]))]
        if len(times_s) > count:
            pairs.append((MODEL_ANSWER, self._pair(largest, times_s[-1])))
        low, high = self._result.ci95
        entries = []
        for place, (peer, pair) in enumerate(pairs):
            entry = BenchmarkEntry(
                name=self.name,
                ratio=pair.ratio,
                spread=pair.spread,
                peer=peer,
                unit=self._unit,
                low=pair.ci95[0],
                high=pair.ci95[1],
                memory=self._measured.memory_share(peer),
                note="; ".join(part for part in (self._measured.note, *pair.caveats) if part),
                plot=plot,
            )
            if place == 0:
                entry.growth, entry.growth_low, entry.growth_high = self._result.exponent, low, high
            entries.append(entry)
        return entries

    def draw(self, stem: Path, history: Sequence[Past]) -> None:
        """``STEM.png``, ``STEM.svg``, and ``STEM.json`` with every time that was measured."""
        from meridian.academy.plots import Attempt, growth_plot, note, save

        assert self._measured is not None
        past = [p for p in history if p.name == self.name and p.growth is not None]
        sweeps = self._sweeps()
        figure = growth_plot(
            self.sizes,
            {who: sweep.medians for who, sweep in sweeps.items()},
            xlabel=self._size_name,
            ylabel=f"time per {self._unit}",
            title=self.name,
            ci={who: _bounds(sweep) for who, sweep in sweeps.items()},
            slopes={who: sweep.slope for who, sweep in sweeps.items()},
            limit=self.limit,
            history=[Attempt(p.when, p.growth, p.attempt) for p in past if p.growth is not None],
        )
        note(figure, self._measured.said("bands: 95 % interval of the median"))
        data = {
            "result": self._result,
            "sweeps": sweeps,
            "times_s": self._measured.rounds.times_s,
            "peak_bytes": self._measured.peak_bytes,
            "history": past,
        }
        save(figure, stem, data)


def _bounds(sweep: SweepResult) -> tuple[list[float], list[float]]:
    return [low for low, _ in sweep.ci], [high for _, high in sweep.ci]


def require_growth(result: GrowthResult, what: str) -> None:
    """Raise `CriterionFailed`, with the interval, where time grows clearly faster than asked."""
    if not result.met:
        low, high = result.ci95
        first, last = result.sizes[0], result.sizes[-1]
        raise CriterionFailed(
            f"{what}: from {first:,} to {last:,} {result.size_name} its time grows as "
            f"{exponent(result.exponent)} ({low:.2f} to {high:.2f}), that is "
            f"{(last / first) ** result.exponent:.1f} times; at most {exponent(result.limit)}, "
            f"{(last / first) ** result.limit:.1f} times, is asked",
            f"95 % interval of {result.pairs} rounds, every size in turn",
        )
