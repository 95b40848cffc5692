"""Grades as PrairieLearn's external grading result, one ``results.json`` for each submission.

Source: PrairieLearn's documentation, "External grading", "Grading results". Its `score` is a share
from 0 to 1; what could not be judged is not `gradable` and costs its learner no attempt.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from grader.export.counted import Graded, told, write_results
from meridian.academy.story import printable

__all__ = ["results", "write"]


def write(graded: list[Graded], out: Path) -> list[Path]:
    """``<capstone>/<learner>/results.json`` below `out`."""
    return write_results(graded, out, results)


def results(graded: Graded) -> dict[str, Any]:
    """What PrairieLearn reads of one submission."""
    report, at = graded.report, graded.attempt
    if not at.judged:
        told_of = [told(graded, entry) for entry in report.criteria if entry.message]
        return {"gradable": False, "score": 0.0, "format_errors": told_of[:1] or ["Not judged"]}
    verdict = "Passed" if at.passed else "Not passed"
    return {
        "gradable": True,
        "score": round(at.score / at.max_score, 4) if at.max_score else 0.0,
        "message": f"{verdict}: {at.score:g} of {at.max_score:g} points",
        "tests": [
            {
                "name": printable(f"{entry.id}. {entry.title}"),
                "description": "",
                "points": graded.points(entry),
                "max_points": entry.points,
                "message": "",
                "output": told(graded, entry),
            }
            for entry in report.criteria
        ],
    }
