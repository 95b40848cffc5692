"""Storage against SQLite and LMDB: the rows of the module's performance table.

The targets are ratios to the peers, measured in one process and interleaved.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from operator import methodcaller
from pathlib import Path

import numpy as np
import numpy.typing as npt

import meridian
from benchmarks.bounds import Report
from benchmarks.harness import Progress, Race, Side, race
from benchmarks.storage_hits import HOT, hit_growth, hit_race
from benchmarks.storage_stores import (
    LmdbStore,
    MeridianStore,
    Records,
    SqliteJoinStore,
    SqliteStore,
    Store,
)
from benchmarks.table import busy
from meridian.academy import plots
from meridian.foundation.profiling.bench import BenchmarkResult
from meridian.foundation.profiling.timing import Clock
from meridian.orbital.catalog import synthetic_catalog

__all__ = ["ALL_ROWS", "FULL", "QUICK", "ROWS", "Sizes", "main", "run", "run_races"]

TITLE = "Meridian storage against embedded stores"


@dataclass(frozen=True)
class Sizes:
    """How much work: `QUICK` shows that everything runs and agrees, `FULL` measures."""

    records: int = 100_000
    rounds: int = 30
    frames: tuple[int, ...] = (64, 1_024, 8_192, 65_536)
    hit_repeats: int = 100  # turns over the hot pages in one sample
    retry: bool = True  # measure again when the interval is wide


FULL = Sizes()
QUICK = Sizes(records=1_000, rounds=8, frames=(64, 256, 1_024), hit_repeats=10, retry=False)


@dataclass(frozen=True)
class Row:
    """One line of the table: a method of `Store`, the clock that judges, targets by peer."""

    method: str
    unit: str
    clock: Clock
    fresh: bool  # every run starts with an empty store
    targets: Mapping[type[Store], float | None]


ROWS: dict[str, Row] = {
    "insert_many": Row("insert_many", "record", "wall", True, {SqliteStore: 8.0, LmdbStore: 1.2}),
    "get_many": Row(
        "get_many", "record", "cpu", False, {SqliteStore: 20, SqliteJoinStore: None, LmdbStore: 4}
    ),
    "scan": Row("scan", "record", "cpu", False, {SqliteStore: 25.0, LmdbStore: None}),
    "get": Row("get_each", "get", "cpu", False, {SqliteStore: 1.5, LmdbStore: 0.3}),
    "insert": Row("insert_each", "insert", "wall", True, {SqliteStore: 2.0, LmdbStore: None}),
}
HIT_ROW = "fetch hit"
ALL_ROWS = (*ROWS, HIT_ROW)


def run(
    rows: Sequence[str] = ALL_ROWS,
    sizes: Sizes = FULL,
    *,
    seed: int = 0,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> list[BenchmarkResult]:
    """The named rows of the table at the given sizes; `run_races` gives the samples as well."""
    found = run_races(rows, sizes, seed=seed, folder=folder, progress=progress)
    return [item.result if isinstance(item, Race) else item for item in found]


def run_races(
    rows: Sequence[str] = ALL_ROWS,
    sizes: Sizes = FULL,
    *,
    seed: int = 0,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> list[Race | BenchmarkResult]:
    """Run the named rows, one race per peer; a peer that is not installed leaves a gap.

    Stores are created in `folder` (default: the system's temporary folder) and removed again.
    Raises `ValueError` for an unknown row, `Disagreement` when two sides differ in their result.
    """
    unknown = [name for name in rows if name not in ALL_ROWS]
    if unknown:
        raise ValueError(f"Expected rows among {', '.join(ALL_ROWS)}; got {unknown[0]!r}")
    meridian.warmup("database")
    records = Records(synthetic_catalog(sizes.records, seed=seed))
    order = np.random.default_rng(seed).integers(0, sizes.records, sizes.records)
    steps = [(name, peer) for name in rows if name in ROWS for peer in ROWS[name].targets]
    total = len(steps) + (HIT_ROW in rows)
    found: list[Race | BenchmarkResult] = []
    with tempfile.TemporaryDirectory(dir=folder, prefix="meridian-bench-") as scratch:
        for name, peer in steps:
            if progress:
                progress(len(found), total, f"{name} vs {peer.name}")
            found.append(_race(name, peer, records, order, sizes, seed, Path(scratch)))
        if HIT_ROW in rows:
            if progress:
                progress(len(found), total, HIT_ROW)
            found.append(
                hit_race(
                    Path(scratch),
                    frames=sizes.frames[-1],
                    rounds=sizes.rounds,
                    retry=sizes.retry,
                    repeat=sizes.hit_repeats,
                    seed=seed,
                )
            )
    if progress:
        progress(total, total, "done")
    return found


def _race(
    name: str,
    peer: type[Store],
    records: Records,
    order: npt.NDArray[np.int64],
    sizes: Sizes,
    seed: int,
    scratch: Path,
) -> Race | BenchmarkResult:
    row = ROWS[name]
    if peer is LmdbStore and find_spec("lmdb") is None:
        return BenchmarkResult.gap(
            name,
            peer=peer.name,
            unit=row.unit,
            target=row.targets[peer],
            note="lmdb is not installed: uv sync --group bench",
        )
    work = methodcaller(row.method)

    def open_store(kind: type[Store]) -> Store:
        return kind(Path(tempfile.mkdtemp(dir=scratch)), records)

    with ExitStack() as stack:

        def side(kind: type[Store]) -> Side:
            if row.fresh:
                # What was inserted is read back, outside the clock.
                return Side(
                    kind.name,
                    work,
                    prepare=lambda: open_store(kind),
                    answer=lambda store, _: store.scan(),
                    finish=methodcaller("discard"),
                )
            store = open_store(kind)
            stack.callback(store.discard)
            store.insert_many()
            store.aim(order)
            return Side(kind.name, work, prepare=lambda: store)

        return race(
            name,
            side(MeridianStore),
            side(peer),
            unit=row.unit,
            per=records.rows.size,
            clock=row.clock,
            rounds=sizes.rounds,
            retry=sizes.retry,
            seed=seed,
            target=row.targets[peer],
        )


def statement(sizes: Sizes) -> str:
    """What is said under the plot: workload, bias, machine, versions."""
    versions = {"sqlite": sqlite3.sqlite_version}
    if find_spec("lmdb") is not None:
        versions["py-lmdb"] = metadata.version("lmdb")
    return plots.statement(
        workload=(
            f"{sizes.records:,} element sets of 82 bytes, all resident; gets in random order; "
            f"medians of {sizes.rounds} interleaved pairs. CPU time for rows that only read, wall "
            "time for rows that write (up to the page cache: no side syncs, none is crash-atomic "
            f"in this mode). Fetch hit: a full pool of {sizes.frames[-1]:,} frames against one of "
            "64, same 64 pages."
        ),
        bias=(
            "written by the authors of meridian. The peers find a key in a tree, meridian follows "
            "an address. Meridian alone computes and verifies checksums. Inputs are prepared "
            "outside the clock in the form each store likes best; a batch ends in the same array "
            "on every side, inside the clock."
        ),
        versions=versions,
    )


def main(
    out: Path,
    *,
    quick: bool = False,
    rows: Sequence[str] = (),
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Report:
    """Run the rows (all by default), write numbers and pictures into `out`; what they found."""
    sizes = QUICK if quick else FULL
    rows = rows or ALL_ROWS
    found = run_races(rows, sizes, folder=folder, progress=progress)
    results = [item.result if isinstance(item, Race) else item for item in found]
    title = f"{TITLE} (quick run, not a measurement)" if quick else TITLE
    said = "\n".join([statement(sizes), *busy(found)])
    fig = plots.race_plot(results, title=title)
    plots.note(fig, said)
    numbers = {
        "benchmark": "database/01-storage",
        "quick": quick,
        "statement": said,
        "sizes": sizes,
        "results": results,
        "samples": [item.judged for item in found if isinstance(item, Race)],
    }
    plots.save(fig, out / "database-01-storage", numbers)
    if HIT_ROW in rows:
        _save_growth(out, sizes, folder)
    return Report(results, [])


def _save_growth(out: Path, sizes: Sizes, folder: Path | None) -> None:
    said = plots.statement(
        workload=(
            f"fetch and unpin of {HOT} resident pages, one after the other, in pools whose every "
            "frame is loaded; CPU time, medians of 15 samples, pool sizes in turn."
        ),
        bias="no peer: the question is growth, not speed.",
    )
    with tempfile.TemporaryDirectory(dir=folder, prefix="meridian-bench-") as scratch:
        growth = hit_growth(Path(scratch), frames=sizes.frames)
    fig = plots.growth_plot(
        sizes.frames,
        {policy: np.array(swept.medians) / HOT for policy, swept in growth.items()},
        ci={
            policy: (np.array(swept.ci)[:, 0] / HOT, np.array(swept.ci)[:, 1] / HOT)
            for policy, swept in growth.items()
        },
        xlabel="frames in the pool, all loaded",
        ylabel="CPU time per hit",
        title="Cost of a hit against the size of the pool",
    )
    plots.note(fig, said)
    plots.save(fig, out / "database-01-storage-hits", {"statement": said, "growth": growth})
