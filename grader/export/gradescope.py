"""Grades as Gradescope's ``results.json``, one for each submission.

Source: Gradescope's autograder specification, "Output format". A field that it does not name is
not written. Its tests have points each, and a `score` at the top overrides their sum: ours does,
because bonuses are capped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from grader.export.counted import Graded, told, write_results
from meridian.academy.races import describe
from meridian.academy.story import printable

__all__ = ["results", "write"]


def write(graded: list[Graded], out: Path) -> list[Path]:
    """``<capstone>/<learner>/results.json`` below `out`."""
    return write_results(graded, out, results)


def results(graded: Graded) -> dict[str, Any]:
    """What Gradescope reads of one submission."""
    report, at = graded.report, graded.attempt
    verdict = "Passed" if at.passed else "Not passed"
    if not at.judged:
        verdict = "Not judged: this attempt does not count"
    races = [describe(msgspec.to_builtins(race)) for race in report.benchmarks]
    lines = [f"{verdict}: {at.score:g} of {at.max_score:g} points", *races]
    if report.notebook.outcome not in ("passed", "not_run"):
        lines.append(f"The notebook does not run from top to bottom: {report.notebook.outcome}")
    return {
        "score": at.score,
        "execution_time": report.duration_s,
        "output": printable("\n".join(lines)),
        "output_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": [
            {
                "score": graded.points(entry),
                "max_score": 0 if entry.id in graded.bonus_ids else entry.points,
                "status": "passed" if graded.points(entry) >= entry.points else "failed",
                "name": printable(entry.title),
                "name_format": "text",
                "number": entry.id,
                "output": told(graded, entry),
                "output_format": "text",
                "tags": ["bonus"] if entry.id in graded.bonus_ids else [],
                "visibility": "visible",
            }
            for entry in report.criteria
        ],
        "leaderboard": [
            {"name": printable(f"{race.name}, against {race.peer}"), "value": round(race.ratio, 3)}
            for race in report.benchmarks
            if race.ratio is not None
        ],
        "extra_data": {
            "capstone": at.capstone,
            "attempt": at.attempt,
            "receipt": at.receipt,
            "box": report.box,
            "submission_sha256": report.submission_sha256,
            "grader_sha256": report.environment.get("grader_sha256", ""),
        },
    }
