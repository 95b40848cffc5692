"""A race of two or more sides at the same work: how many times as fast, and how surely."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from grader.judging.compare import CriterionFailed
from grader.races.history import Past
from grader.races.rounds import MODEL_ANSWER, SUBMISSION, Measured, Times
from grader.report import BenchmarkEntry
from meridian.academy.races import spanned

if TYPE_CHECKING:
    from meridian.foundation.profiling.bench import Asked, BenchmarkResult, Comparison, Interval

__all__ = ["RatioRace", "require_ratio"]

ENOUGH = 0.95  # of a target: what lies between counts as reached
MODEL_SHARE = 0.9  # of the model answer's speed in the same rounds: nobody is asked for more
NARROW, WIDE = 0.10, 0.20  # widths of an interval, relative to its ratio, where nothing is asked


class RatioRace:
    """Submission, peer and, where there is one, model answer: times in, results out.

    A target is reached against the peer, or by nearly the speed of the model answer: on a machine
    that is so busy, or so built, that the model answer itself does not reach it, honest work must
    not lose its points.
    """

    def __init__(
        self,
        name: str,
        *,
        peer_name: str,
        unit: str,
        per: int,
        target: float | None,
        seed: int,
    ) -> None:
        from meridian.foundation.profiling.bench import Asked

        if per < 1:
            raise ValueError(f"Expected per >= 1, got {per}")
        if target is not None and not target > 0:
            raise ValueError(f"Expected a positive target, got {target}")
        self.name = name
        self._peer_name = peer_name
        self._unit = unit
        self._per = per
        self._target = target
        asked = () if target is None else (target, MODEL_SHARE)
        self._asked = tuple(Asked(value, ENOUGH * value) for value in asked)
        self._seed = seed
        self._results: list[BenchmarkResult] = []
        self._measured: Measured | None = None

    # -- while it runs ---------------------------------------------------------------------------

    def settle(self, times_s: Times) -> bool | None:
        """Whether the target is reached; without one, whether the interval is narrow."""
        if self._asked:
            return _either(asked.reached(pair) for asked, pair in self._answers(times_s))
        return True if _width(_interval(times_s, 0.95, self._seed)) <= NARROW else None

    def again(self, times_s: Times) -> bool:
        """Whether what is still open calls for another run."""
        return bool(self._asked) or _width(_interval(times_s, 0.95, self._seed)) > WIDE

    def _answers(self, times_s: Times) -> list[tuple[Asked, Interval]]:
        """What is asked against the peer and, if it runs, the model answer; what was measured."""
        from meridian.foundation.profiling.bench import LOOK_LEVEL

        mine, *others = times_s
        return [
            (asked, _interval([mine, other], LOOK_LEVEL, self._seed))
            for asked, other in zip(self._asked, others, strict=False)
        ]

    # -- afterwards ------------------------------------------------------------------------------

    def finish(self, measured: Measured) -> BenchmarkResult:
        """The submission against the peer; other pairs go into the report and the plot."""
        from meridian.foundation.profiling.bench import BenchmarkResult

        settled = measured.rounds.settled
        if self._asked and settled is None:
            last = self._answers(measured.rounds.times_s)
            settled = any(asked.reached_at_last(pair) for asked, pair in last)
        self._measured = measured
        self._results = [
            BenchmarkResult.of(
                self.name,
                pair,
                unit=self._unit,
                per=self._per,
                note=measured.note,
                target=self._target if place == 0 else None,
            )
            for place, pair in enumerate(self._pairs(measured))
        ]
        for place, result in enumerate(self._results):
            share = measured.memory_share(result.peer) if result.subject == SUBMISSION else None
            self._results[place] = msgspec.structs.replace(
                result, memory=share, decided=settled if place == 0 and self._asked else None
            )
        return self._results[0]

    def _pairs(self, measured: Measured) -> list[Comparison]:
        """Mine against the peer; with a model answer, mine against it, and it against its peer."""
        from meridian.foundation.profiling.bench import compare_pairs

        mine, peer, *more = measured.rounds.times_s
        chosen = [(mine, peer, (SUBMISSION, self._peer_name))]
        if more:
            chosen.append((mine, more[0], (SUBMISSION, MODEL_ANSWER)))
            chosen.append((more[0], more[1] if more[1:] else peer, (MODEL_ANSWER, self._peer_name)))
        retried = measured.rounds.retried
        return [
            compare_pairs(a, b, names=names, seed=self._seed, retried=retried)
            for a, b, names in chosen
        ]

    def entries(self, plot: str) -> list[BenchmarkEntry]:
        """The report's entries: the submission's. The model answer's own is in the plot."""
        entries = []
        for result in self._results:
            if result.subject == SUBMISSION:
                low, high = result.ci95 or (None, None)
                entry = BenchmarkEntry(
                    name=result.name,
                    ratio=result.ratio,
                    spread=result.spread,
                    peer=result.peer,
                    unit=result.unit,
                    low=low,
                    high=high,
                    memory=result.memory,
                    note=result.note,
                    plot=plot,
                )
                entries.append(entry)
        return entries

    def draw(self, stem: Path, history: Sequence[Past]) -> None:
        """``STEM.png``, ``STEM.svg``, and ``STEM.json`` with every time that was measured."""
        from meridian.academy.plots import Attempt, note, race_plot, save

        assert self._measured is not None
        past = [p for p in history if (p.name, p.peer) == (self.name, self._peer_name)]
        attempts = [
            Attempt(p.when, p.ratio, p.attempt, p.low, p.high) for p in past if p.ratio is not None
        ]
        figure = race_plot(self._results, title=self.name, history=attempts)
        note(figure, self._measured.said())
        sides = [SUBMISSION, self._peer_name, MODEL_ANSWER, f"{MODEL_ANSWER}: {self._peer_name}"]
        times_s = dict(zip(sides, self._measured.rounds.times_s, strict=False))
        data = {
            "results": self._results,
            "times_s": times_s,
            "peak_bytes": self._measured.peak_bytes,
            "history": past,
        }
        save(figure, stem, data)


def _interval(times_s: Times, level: float, seed: int) -> Interval:
    """The ratio time(second side) / time(first side), round by round."""
    from meridian.foundation.profiling.bench import Interval, bootstrap_median

    logs = [math.log(other / mine) for mine, other in zip(*times_s[:2], strict=True)]
    return Interval(*map(math.exp, bootstrap_median(logs, seed=seed, level=level)))


def _either(answers: Iterable[bool | None]) -> bool | None:
    """True when one says so, False when all do, else open."""
    found = set(answers)
    return True if True in found else (None if None in found else False)


def _width(interval: Interval) -> float:
    return (interval.hi - interval.lo) / interval.est


def require_ratio(result: BenchmarkResult, what: str) -> None:
    """Raise `CriterionFailed`, with the interval, unless `result` reached its target."""
    if result.target is None:
        raise ValueError(f"{result.name!r} was raced without a target: give compare() one")
    if not result.met:
        assert result.ratio is not None
        assert result.ci95 is not None
        raise CriterionFailed(
            f"{what}: {spanned(result.ratio, *result.ci95)} times the speed of {result.peer}, "
            f"expected at least {result.target:.2f}",
            f"95 % interval of {result.pairs} rounds, every side in turn",
        )
