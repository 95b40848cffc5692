"""Entering reports that were made elsewhere: on Kubernetes, by a loop over ssh, on a colleague's
machine with this lab's key."""

from __future__ import annotations

from pathlib import Path

import msgspec

from grader.cohort.discover import learner_problem
from grader.records.gradebook import Gradebook, GradebookError
from grader.records.pages import keep_plots
from grader.report import BadReport, lab_key, read_report

__all__ = ["Entered", "enter_reports"]


class Entered(msgspec.Struct, frozen=True, kw_only=True):
    """One report: its receipt, or why the gradebook does not take it."""

    path: Path
    receipt: str = ""
    problem: str = ""


def enter_reports(folder: Path, lab: Path) -> list[Entered]:
    """Enter every ``report.json`` below `folder` into the gradebook of `lab`, by path.

    Entering one again changes nothing. Raises `NotADirectoryError`, and `GradebookError` when the
    gradebook itself cannot be used.
    """
    if not folder.is_dir():
        raise NotADirectoryError(20, "Not a folder of reports", str(folder))
    key = lab_key(lab / ".meridian")
    with Gradebook(lab / ".meridian" / "gradebook.sqlite") as book:
        return [_enter(path, book, key) for path in sorted(folder.rglob("report.json"))]


def _enter(path: Path, book: Gradebook, key: bytes) -> Entered:
    try:
        report = read_report(path)
        problem = learner_problem(str(report.environment.get("learner")))
        receipt = "" if problem else book.record(report, key)
        if receipt:
            keep_plots(book, report, path.parent)
    except (BadReport, GradebookError) as error:
        return Entered(path=path, problem=error.reason)
    return Entered(path=path, receipt=receipt, problem=problem)
