"""Benchmarks of a submission: the judge's clock, every side in turn, ratios only."""

from __future__ import annotations

import contextlib
import gc
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from grader.report import BenchmarkEntry

if TYPE_CHECKING:
    from meridian.foundation.profiling.bench import BenchmarkResult, Comparison

__all__ = ["MODEL_ANSWER", "SUBMISSION", "Race", "timed"]

DEFAULT_ROUNDS = 15
SUBMISSION, MODEL_ANSWER = "submission", "model answer"
WIDE = 0.20  # an interval wider than this share of the ratio is measured once more
NEAR = 0.85  # and so is a ratio below its target that reaches this share of it

Side = Callable[[], float]


def timed(call: Callable[[], object]) -> float:
    """Seconds that `call` takes by the judge's clock: what `Race.compare` asks of its sides."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


class Race:
    """Collects the races of one job. All sides answer over the same kind of pipe."""

    def __init__(self, seed: str, on_message: Callable[[str], None] | None = None) -> None:
        self._seed = int.from_bytes(seed.encode()[:4].ljust(4, b"\0"), "little")
        self._on_message = on_message
        self._races: dict[str, list[BenchmarkResult]] = {}

    def compare(
        self,
        name: str,
        mine: Side,
        peer: Side,
        *,
        peer_name: str,
        unit: str,
        rounds: int = DEFAULT_ROUNDS,
        per: int = 1,
        target: float | None = None,
        reference: Side | None = None,
        reference_peer: Side | None = None,
    ) -> BenchmarkResult:
        """Race `mine` against `peer`; each side returns the seconds of `per` operations.

        `ratio` of the result is time(peer) / time(mine): above 1 the submission is faster.
        `reference` is the model answer at the same work in the same rounds; `reference_peer` is
        what it races where the peer is the submission's own. All ratios go into the report, and
        into one plot. An interval wider than a fifth of its ratio, or a `target` missed by less
        than 15 %, means one more run of all with twice the rounds, and that run alone counts.
        """
        from meridian.foundation.profiling.bench import BenchmarkResult, load_average

        if name in self._races:
            raise ValueError(f"{name!r} was raced already: its plot would be overwritten")
        if self._on_message is not None:
            self._on_message(name)
        load_1m = load_average()
        sides = [side for side in (mine, peer, reference, reference_peer) if side is not None]
        rng = Random(self._seed)
        with _without_collector():
            for side in sides:
                side()  # warm up
            pairs = self._pairs(_take_turns(sides, rounds, rng), peer_name, load_1m)
            missed = target is not None and NEAR * target <= pairs[0].ratio < target
            if pairs[0].spread > WIDE or missed:
                again = _take_turns(sides, 2 * rounds, rng)
                pairs = self._pairs(again, peer_name, load_1m, retried=True)
        results = [BenchmarkResult.of(name, pair, unit=unit, per=per) for pair in pairs]
        results[0] = BenchmarkResult.of(name, pairs[0], unit=unit, per=per, target=target)
        self._races[name] = results
        return results[0]

    def _pairs(
        self,
        times_s: Sequence[Sequence[float]],
        peer_name: str,
        load_1m: float | None,
        *,
        retried: bool = False,
    ) -> list[Comparison]:
        """Mine against the peer; with a model answer, mine against it, and it against its peer."""
        from meridian.foundation.profiling.bench import compare_pairs

        mine, peer, *more = times_s
        chosen = [(mine, peer, (SUBMISSION, peer_name))]
        if more:
            chosen.append((mine, more[0], (SUBMISSION, MODEL_ANSWER)))
            chosen.append((more[0], more[1] if more[1:] else peer, (MODEL_ANSWER, peer_name)))
        return [
            compare_pairs(a, b, names=names, seed=self._seed, load_1m=load_1m, retried=retried)
            for a, b, names in chosen
        ]

    def finish(self, out: Path) -> list[BenchmarkEntry]:
        """Draw every race into ``out/plots`` and return the report's entries.

        The entries are the submission's; how the model answer did against the peer is in the plot
        and in the numbers beside it.
        """
        entries = []
        for name, results in self._races.items():
            stem = Path("plots", re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-"))
            _draw(name, results, out / stem)
            entries += [
                BenchmarkEntry(
                    name=name,
                    ratio=result.ratio,
                    spread=result.spread,
                    peer=result.peer,
                    unit=result.unit,
                    plot=f"{stem.as_posix()}.svg",
                )
                for result in results
                if result.subject == SUBMISSION
            ]
        return entries


def _take_turns(sides: Sequence[Side], rounds: int, rng: Random) -> list[list[float]]:
    """Seconds of each side, round by round: A-B-C, then C-B-A, in a new order every two rounds.

    Going back the same way cancels a steady drift between any two sides.
    """
    times_s: list[list[float]] = [[] for _ in sides]
    order = list(range(len(sides)))
    for done in range(rounds):
        if done % 2:
            order.reverse()
        else:
            rng.shuffle(order)
            gc.collect(1)
        for i in order:
            times_s[i].append(sides[i]())
    return times_s


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """No garbage collection of the judge inside somebody's time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _draw(name: str, results: Sequence[BenchmarkResult], stem: Path) -> None:
    from meridian.academy.plots import note, race_plot, save
    from meridian.foundation.profiling.bench import Fingerprint

    figure = race_plot(results, title=name)
    rounds = f"{results[0].pairs} rounds, every side in turn, wall time"
    said = [str(Fingerprint.current()), rounds]
    note(figure, ". ".join([*said, results[0].note] if results[0].note else said))
    save(figure, stem, list(results))
