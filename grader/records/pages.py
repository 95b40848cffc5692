"""A learner's page from the gradebook: the same whether a cohort, a command or the board makes it.

The gradebook holds the reports, and beside it the plots of their races are kept: for a page, and
for the folder of an attempt that is handed out once more.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import msgspec

from grader.box.files import remove_tree
from grader.feedback import feedback_html
from grader.records.gradebook_reader import GradebookReader
from grader.report import Report
from meridian.academy.curriculum import Capstone

__all__ = ["keep_plots", "learner_page_of", "plots_of"]


def learner_page_of(book: GradebookReader, receipt: str, capstone: Capstone | None) -> str:
    """The page of the attempt with this receipt as it stands now, with what people gave by hand.

    Raises `GradebookError` for a receipt that is not an attempt's.
    """
    report, marks = book.report(receipt), book.manual_marks(receipt)
    attempts = book.attempts(str(report.environment.get("learner")), report.capstone)
    entry = next(attempt for attempt in attempts if attempt.receipt == receipt)
    plots = plots_of(book, report)
    report.score, report.passed, report.judged = entry.score, entry.passed, entry.judged
    title = capstone.title if capstone else report.capstone
    return feedback_html(report, title, plots, capstone=capstone, marks=marks, receipt=receipt)


def plots_of(book: GradebookReader, report: Report) -> Path:
    """The folder that the plots of `report` are kept in, by their names in the report.

    It goes by what was measured: a regrade that lets the races stand has their plots too.
    """
    facts = report.environment
    raced = [report.capstone, facts.get("learner"), facts.get("attempt"), report.benchmarks]
    name = hashlib.sha256(msgspec.json.encode(raced, order="deterministic")).hexdigest()
    return book.path.parent / "plots" / name


def keep_plots(book: GradebookReader, report: Report, folder: Path) -> None:
    """Keep what `report` names of the plots in `folder`, all or none of it."""
    place = plots_of(book, report)
    named = {race.plot for race in report.benchmarks if Path(race.plot).parts[:-1] == ("plots",)}
    names = {name for name in named if (folder / name).is_file()}
    if not names or place.is_dir():
        return
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".new-", dir=place.parent))
    try:
        for name in names:
            (made / name).parent.mkdir(exist_ok=True)
            (made / name).write_bytes((folder / name).read_bytes())
        if not place.is_dir():
            os.rename(made, place)
    finally:
        remove_tree(made)
