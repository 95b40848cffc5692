"""``python -m benchmarks database/01-storage``: run a module's benchmark and save what it found."""

from __future__ import annotations

import argparse
import sys
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmarks.bounds import Report
from meridian.foundation.profiling.bench import BenchmarkResult, Fingerprint, load_average

_HERE = Path(__file__).parent


def available() -> dict[str, str]:
    """Module key -> Python module, read from the file names (``database_01_storage.py``)."""
    found = {}
    for path in sorted(_HERE.glob("*_[0-9][0-9]_*.py")):
        track, number, name = path.stem.split("_", 2)
        found[f"{track}/{number}-{name.replace('_', '-')}"] = f"benchmarks.{path.stem}"
    return found


def main(argv: list[str] | None = None) -> int:
    """Exit code 0 when the benchmark ran, whatever it measured; 2 for wrong usage."""
    modules = available()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Race a module against its peers; write JSON, PNG and SVG.",
        epilog=f"Modules: {', '.join(modules)}",
    )
    parser.add_argument("module", help="key of the module")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run and agree?")
    parser.add_argument("--rows", nargs="+", default=[], metavar="ROW", help="only these rows")
    parser.add_argument("--out", type=Path, default=_HERE / "results", help="where results go")
    parser.add_argument("--dir", type=Path, help="where stores are created (default: temporary)")
    options = parser.parse_args(argv)
    if options.module not in modules:
        near = get_close_matches(options.module, modules, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(modules)}"
        parser.error(f"no benchmark {options.module!r}; {hint}")
    module = import_module(modules[options.module])
    for row in options.rows:
        if row not in module.ALL_ROWS:
            parser.error(f"no row {row!r}; there are: {', '.join(module.ALL_ROWS)}")
    console = Console(width=None if sys.stdout.isatty() else 120)
    busy = _busy()
    if busy:
        console.print(busy, style="yellow", highlight=False)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    ) as bar:
        task = bar.add_task("preparing", total=None)

        def show(done: int, total: int, what: str) -> None:
            bar.update(task, completed=done, total=total, description=what)

        report: Report = module.main(
            options.out, quick=options.quick, rows=options.rows, folder=options.dir, progress=show
        )
    console.print(_table(options.module, report.results))
    for line in (*map(str, report.bounds), *_notes(report.results)):
        console.print(line, highlight=False)
    console.print(f"Written to {options.out}", highlight=False, soft_wrap=True)
    return 0


def _busy() -> str:
    load, cores = load_average(), Fingerprint.current().cores
    if load is None or load <= cores:
        return ""
    return f"Load average {load:.1f} on {cores} cores: others are computing, ratios will be noisy"


def _notes(results: list[BenchmarkResult]) -> list[str]:
    """What each result carries as a note, without the load, which was said for all of them."""
    lines = []
    for result in results:
        parts = [part for part in result.note.split("; ") if not part.startswith("load average")]
        if any(parts):
            lines.append(f"{result.name} vs {result.peer}: {'; '.join(parts)}")
    return lines


def _table(key: str, results: list[BenchmarkResult]) -> Table:
    table = Table(
        title=f"{key}: times as fast as the peer, ns per operation",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    table.add_column("workload")
    table.add_column("peer")
    for column in ("ours", "peer", "ratio (95 %)", "other clock", "target"):
        table.add_column(column, justify="right")
    for r in results:
        verdict = {True: "met", False: "missed", None: ""}[r.met]
        target = f"{r.target:.2g} {verdict}".strip() if r.target is not None else ""
        if r.ratio is None or r.ci95 is None or r.subject_s is None or r.peer_s is None:
            table.add_row(r.name, r.peer, "", "", "gap", "", target)
            continue
        table.add_row(
            f"{r.name}, {r.clock}",
            r.peer,
            f"{r.subject_s * 1e9:,.0f}",
            f"{r.peer_s * 1e9:,.0f}",
            f"{r.ratio:.2f} ({r.ci95[0]:.2f}-{r.ci95[1]:.2f})",
            f"{r.other_ratio:.2f} {r.other_clock}" if r.other_ratio is not None else "",
            target,
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
