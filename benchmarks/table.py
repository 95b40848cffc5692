"""A benchmark that is a table: a row for each race, run in turn, drawn and saved together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from benchmarks.bounds import Bound, Report
from benchmarks.harness import Progress, Race, Side, race
from meridian.academy import plots
from meridian.foundation.profiling.bench import (
    BenchmarkResult,
    Fingerprint,
    compare_pairs,
    load_average,
)
from meridian.foundation.profiling.timing import Clock

__all__ = ["Row", "Table", "busy"]


@dataclass(frozen=True)
class Row:
    """One race: `make` gives our side and the peer's for a number of operations.

    `items` are the operations of one run, `quick_items` those of a run that only shows that both
    sides work and agree. `target` is the ratio that was set before anything was measured; `needs`
    is the peer's distribution, where that is not always installed.
    """

    name: str
    unit: str
    make: Callable[[int], tuple[Side, Side]]
    items: int
    quick_items: int
    target: float | None = None
    clock: Clock = "cpu"
    rounds: int = 20
    note: str = ""
    needs: str = ""
    peer: str = ""
    sampled: bool = False
    """The work itself answers what one operation took: seconds, by wall clock."""
    most_ns: float | None = None
    """What one operation of ours may take, whatever the peer takes."""


@dataclass(frozen=True)
class Table:
    """The benchmark of one module. `workload` and `bias` stand under the plot."""

    key: str
    title: str
    rows: Sequence[Row]
    workload: str
    bias: str
    peers: Sequence[str] = ()
    """Distributions whose versions are told."""
    alone: Mapping[str, Callable[[Path, bool], Sequence[Bound]]] = field(default_factory=dict)
    """What has no peer, by name: called with the folder for results, and ``quick``."""

    @property
    def names(self) -> tuple[str, ...]:
        return (*dict.fromkeys(row.name for row in self.rows), *self.alone)

    def run(
        self, rows: Sequence[str] = (), *, quick: bool = False, progress: Progress | None = None
    ) -> list[Race | BenchmarkResult]:
        """Race the named rows, all by default; a peer that is not installed leaves a gap.

        Raises `ValueError` for an unknown row, `Disagreement` when two sides differ.
        """
        unknown = [name for name in rows if name not in self.names]
        if unknown:
            raise ValueError(f"Expected rows among {', '.join(self.names)}; got {unknown[0]!r}")
        chosen = self._chosen(rows)
        found: list[Race | BenchmarkResult] = []
        for number, row in enumerate(chosen):
            if progress:
                progress(number, len(chosen), row.name)
            found.append(self._race(row, quick))
        if progress:
            progress(len(chosen), len(chosen), "done")
        return found

    def _race(self, row: Row, quick: bool) -> Race | BenchmarkResult:
        if row.needs and find_spec(row.needs) is None:
            note = f"{row.needs} is not installed: uv sync --group bench"
            return BenchmarkResult.gap(
                row.name, peer=row.peer or row.needs, unit=row.unit, target=row.target, note=note
            )
        items = row.quick_items if quick else row.items
        mine, peer = row.make(items)
        if row.sampled:
            return _sampled(row, mine, peer, rounds=2 if quick else row.rounds)
        return race(
            row.name,
            mine,
            peer,
            unit=row.unit,
            per=items,
            clock=row.clock,
            rounds=4 if quick else row.rounds,
            retry=not quick,
            target=row.target,
            note=row.note,
        )

    def main(
        self,
        out: Path,
        *,
        quick: bool = False,
        rows: Sequence[str] = (),
        folder: Path | None = None,
        progress: Progress | None = None,
    ) -> Report:
        """Run the rows, write numbers and pictures into `out`, return what they found."""
        del folder  # nothing is stored
        found = self.run(rows, quick=quick, progress=progress)
        results = [item.result if isinstance(item, Race) else item for item in found]
        bounds = [
            Bound(row.name, row.unit, result.subject_s * 1e9, row.most_ns)
            for row, result in zip(self._chosen(rows), results, strict=True)
            if row.most_ns is not None and result.subject_s is not None
        ]
        for name, measure in self.alone.items():
            if not rows or name in rows:
                bounds += measure(out, quick)
        if not results:
            return Report(results, bounds)
        title = f"{self.title} (quick run, not a measurement)" if quick else self.title
        said = "\n".join([self._statement(), *map(str, bounds), *busy(found)])
        fig = plots.race_plot(results, title=title)
        plots.note(fig, said)
        numbers = {
            "benchmark": self.key,
            "quick": quick,
            "statement": said,
            "results": results,
            "bounds": [bound._asdict() for bound in bounds],
            "samples": [item.judged for item in found if isinstance(item, Race)],
        }
        plots.save(fig, out / self.key.replace("/", "-"), numbers)
        return Report(results, bounds)

    def _chosen(self, rows: Sequence[str]) -> list[Row]:
        return [row for row in self.rows if not rows or row.name in rows]

    def _statement(self) -> str:
        versions = {}
        for name in self.peers:
            try:
                versions[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                continue
        return plots.statement(workload=self.workload, bias=self.bias, versions=versions)


def _sampled(row: Row, mine: Side, peer: Side, *, rounds: int) -> Race:
    """Pairs of what two sides say of themselves, A-B-B-A: for work that may not do all of it."""
    samples: dict[Side, list[float]] = {mine: [], peer: []}
    for number in range(rounds):
        for side in (mine, peer) if number % 2 else (peer, mine):
            subject = side.prepare()
            try:
                samples[side].append(float(side.work(subject)))
            finally:
                side.finish(subject)
    judged = compare_pairs(
        samples[mine], samples[peer], names=(mine.name, peer.name), load_1m=load_average()
    )
    result = BenchmarkResult.of(row.name, judged, unit=row.unit, target=row.target, note=row.note)
    return Race(result, judged, judged)


def busy(found: Sequence[Race | BenchmarkResult]) -> list[str]:
    """What to say when others were computing; this benchmark itself keeps one core busy."""
    loads = [item.judged.load_1m or 0.0 for item in found if isinstance(item, Race)]
    cores = Fingerprint.current().cores
    if not loads or max(loads) <= cores:
        return []
    return [f"The machine was busy: load average up to {max(loads):.1f} on {cores} cores."]
