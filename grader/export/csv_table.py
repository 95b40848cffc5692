"""Grades as two tables for a spreadsheet: one line for each learner and capstone, and one for each
criterion. No cell can become a formula.

Spreadsheets compute a cell that begins with ``=``, ``+``, ``-``, ``@``, a tab or a line end (OWASP,
"CSV Injection"), and a learner may choose the own name; such text gets an apostrophe before it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from grader.export.counted import Graded
from grader.report import write_file

__all__ = ["defused", "write"]

_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_GRADES = (
    *("capstone", "learner", "score", "max_score", "passed", "attempt", "attempts_used"),
    *("graded_at", "revisions", "receipt"),
)
_CRITERIA = (
    *("capstone", "learner", "attempt", "criterion", "title", "points", "max_points", "outcome"),
    *("marked_by_hand_by", "why"),
)


def write(graded: list[Graded], out: Path) -> list[Path]:
    """``grades.csv`` and ``criteria.csv`` in `out`: UTF-8, with a header, RFC 4180."""
    grades, criteria = [], []
    for entry in graded:
        at = entry.attempt
        score = at.score if at.judged else ""
        passed = ("yes" if at.passed else "no") if at.judged else "not judged"
        grades.append(
            (
                *(at.capstone, at.learner, score, at.max_score, passed, at.attempt, entry.used),
                *(at.graded_at, at.revisions, at.receipt),
            )
        )
        for criterion in entry.report.criteria:
            mark = entry.by_hand(criterion.id)
            criteria.append(
                (
                    *(at.capstone, at.learner, at.attempt, criterion.id, criterion.title),
                    *(entry.points(criterion), criterion.points, criterion.outcome),
                    *((mark.author, mark.why) if mark else ("", "")),
                )
            )
    paths = [out / "grades.csv", out / "criteria.csv"]
    write_file(paths[0], _table(_GRADES, grades))
    write_file(paths[1], _table(_CRITERIA, criteria))
    return paths


def defused(cell: object) -> object:
    """Text that a spreadsheet would compute gets an apostrophe; numbers stay numbers."""
    if isinstance(cell, str) and cell.lstrip(" \u00a0\ufeff").startswith(_STARTS):
        return f"'{cell}"
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in _STARTS else cell


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(head)
    for row in rows:
        writer.writerow([defused(cell) for cell in row])
    return text.getvalue().encode("utf-8", "backslashreplace")
