"""Earlier races of the same learner, as small points beside the latest."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import msgspec

from grader.report import BadReport, Report, read_report

__all__ = ["Past", "past_of", "past_reports", "set_aside"]

_RACES = "races"  # folder of the reports of earlier races on their own
_KEPT = 30


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """One race of an earlier report. `when` is ISO 8601; `attempt` 0 was a race on its own."""

    name: str
    peer: str
    when: str
    attempt: int = 0
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    growth: float | None = None


def past_of(reports: Iterable[Report]) -> tuple[Past, ...]:
    """The races in `reports`, oldest first: what `JobSpec.history` takes."""
    found = []
    for report in sorted(reports, key=lambda report: report.started_at):
        submitted = report.environment.get("mode") == "submit"
        attempt = report.environment.get("attempt", 0) if submitted else 0
        found += [
            Past(
                name=race.name,
                peer=race.peer,
                when=report.started_at,
                attempt=attempt if type(attempt) is int else 0,
                ratio=race.ratio,
                low=race.low,
                high=race.high,
                growth=race.growth,
            )
            for race in report.benchmarks
        ]
    return tuple(found)


def past_reports(home: Path) -> tuple[Past, ...]:
    """The races in the reports of one capstone; a report that cannot be read is left out.

    Reports of older graders are among them: a plot can do without, a judgement never asks.
    """
    found = []
    for path in (*home.glob("*/report.json"), *home.glob(f"{_RACES}/*/report.json")):
        try:
            found.append(read_report(path))
        except (BadReport, OSError):
            continue
    return past_of(found)


def set_aside(home: Path, report: Path) -> None:
    """Keep `report`, whose folder is about to be cleared, for plots to come; the latest 30."""
    if not report.is_file():
        return
    kept = sorted(path for path in (home / _RACES).glob("[0-9]*") if path.name.isdigit())
    number = int(kept[-1].name) + 1 if kept else 1
    folder = home / _RACES / f"{number:06}"
    folder.mkdir(parents=True)
    os.replace(report, folder / "report.json")
    for old in kept[: max(0, len(kept) + 1 - _KEPT)]:
        shutil.rmtree(old)
