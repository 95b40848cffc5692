"""Benchmarks of a submission: the parent's clock, interleaved with a peer, ratios only."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from grader.report import BenchmarkEntry

if TYPE_CHECKING:
    from meridian.foundation.profiling.bench import BenchmarkResult

__all__ = ["Race", "timed"]

DEFAULT_ROUNDS = 15


def timed(call: Callable[[], object]) -> float:
    """Seconds that `call` takes by the judge's clock: what `Race.compare` asks of its sides."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


class Race:
    """Collects the races of one job. Both sides answer over the same kind of pipe."""

    def __init__(self, seed: str, on_message: Callable[[str], None] | None = None) -> None:
        self._seed = int.from_bytes(seed.encode()[:4].ljust(4, b"\0"), "little")
        self._on_message = on_message
        self.results: list[BenchmarkResult] = []

    def compare(
        self,
        name: str,
        mine: Callable[[], float],
        peer: Callable[[], float],
        *,
        peer_name: str,
        unit: str,
        rounds: int = DEFAULT_ROUNDS,
        per: int = 1,
        target: float | None = None,
    ) -> BenchmarkResult:
        """Race `mine` against `peer`, A-B-B-A; each returns the seconds of `per` operations.

        `ratio` of the result is time(peer) / time(mine): above 1 the submission is faster. It and
        a plot go into the report. An interval wider than a fifth of the ratio means one more run.
        """
        from meridian.foundation.profiling.bench import BenchmarkResult, compare

        if self._on_message is not None:
            self._on_message(name)
        comparison = compare(
            mine,
            peer,
            rounds=rounds,
            own_timer=True,
            seed=self._seed,
            names=("submission", peer_name),
        )
        result = BenchmarkResult.of(name, comparison, unit=unit, per=per, target=target)
        self.results.append(result)
        return result

    def finish(self, out: Path) -> list[BenchmarkEntry]:
        """Draw every race into ``out/plots`` and return the report's entries."""
        entries = []
        for result in self.results:
            stem = Path("plots", re.sub(r"[^a-z0-9]+", "-", result.name.lower()).strip("-"))
            self._draw(result, out / stem)
            entries.append(
                BenchmarkEntry(
                    name=result.name,
                    ratio=result.ratio,
                    spread=result.spread,
                    peer=result.peer,
                    unit=result.unit,
                    plot=f"{stem.as_posix()}.svg",
                )
            )
        return entries

    @staticmethod
    def _draw(result: BenchmarkResult, stem: Path) -> None:
        from meridian.academy.plots import note, race_plot, save
        from meridian.foundation.profiling.bench import Fingerprint

        figure = race_plot([result], title=result.name)
        said = [str(Fingerprint.current()), f"{result.pairs} interleaved pairs, wall time"]
        note(figure, ". ".join([*said, result.note] if result.note else said))
        save(figure, stem, result)
