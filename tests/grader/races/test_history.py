"""Earlier races: from reports to points in a plot, whatever lies between them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from grader.races.history import past_of, past_reports, set_aside
from grader.report import BenchmarkEntry, Report
from tests.grader.reports import make


def report(day: int, mode: str = "submit", attempt: Any = 1, **races: float) -> Report:
    return make(
        benchmarks=[
            BenchmarkEntry(name=name, ratio=ratio, spread=0.1, low=ratio * 0.9, high=ratio * 1.1,
                           peer="sqlite3", unit="call", growth=0.5)
            for name, ratio in races.items()
        ],
        facts={"mode": mode, "attempt": attempt},
        started_at=f"2026-11-{day:02}T10:00:00+00:00",
    )  # fmt: skip


def test_oldest_first_with_the_number_of_the_attempt() -> None:
    found = past_of([report(9, attempt=3, get=2.0), report(3, "bench", get=0.5, put=0.7)])
    assert [(p.name, p.ratio, p.attempt, p.when[:10]) for p in found] == [
        ("get", 0.5, 0, "2026-11-03"),
        ("put", 0.7, 0, "2026-11-03"),
        ("get", 2.0, 3, "2026-11-09"),
    ]
    assert (found[0].low, found[0].high, found[0].growth) == (0.45, 0.55, 0.5)
    assert past_of([report(1, attempt="many", get=1.0)])[0].attempt == 0
    assert past_of([]) == ()


def test_every_report_of_the_lab_that_can_be_read(tmp_path: Path) -> None:
    report(1, get=0.5).write(tmp_path / "submit-001" / "report.json")
    report(2, "check").write(tmp_path / "check" / "report.json")
    report(3, "bench", get=0.6).write(tmp_path / "bench" / "report.json")
    (tmp_path / "submit-002").mkdir()
    (tmp_path / "submit-002" / "report.json").write_bytes(b"{torn")
    (tmp_path / "submit-003").mkdir()
    (tmp_path / "submit-003" / "report.json").mkdir()
    assert [p.ratio for p in past_reports(tmp_path)] == [0.5, 0.6]
    assert past_reports(tmp_path / "none") == ()

    set_aside(tmp_path, tmp_path / "bench" / "report.json")
    assert not (tmp_path / "bench" / "report.json").exists()
    report(4, "bench", get=0.7).write(tmp_path / "bench" / "report.json")
    assert [p.ratio for p in past_reports(tmp_path)] == [0.5, 0.6, 0.7]


def test_the_latest_thirty_are_kept(tmp_path: Path) -> None:
    latest = tmp_path / "bench" / "report.json"
    set_aside(tmp_path, latest)  # nothing there yet
    assert list(tmp_path.iterdir()) == []
    for number in range(1, 36):
        report(1 + number % 28, "bench", get=float(number)).write(latest)
        set_aside(tmp_path, latest)
    assert sorted(p.ratio or 0 for p in past_reports(tmp_path)) == pytest.approx(range(6, 36))
