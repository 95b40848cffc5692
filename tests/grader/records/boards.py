"""A gradebook filled by outcomes, and the board of it."""

from __future__ import annotations

import datetime
from typing import Any

from grader.records.board import Board, board
from grader.records.gradebook import Gradebook
from grader.records.gradebook_reader import GradebookReader
from grader.report import CriterionReport
from meridian.academy.curriculum import Capstone, Criterion
from tests.grader.reports import KEY, make

NOW = datetime.datetime(2026, 1, 3, tzinfo=datetime.UTC)
STUB = "Adds. Not written yet (a.py:2): toy/01 #1: add()"
TOY = Capstone(
    title="Toy",
    package="toy",
    criteria=tuple(Criterion(id=str(i), title=f"Criterion {i}", points=25) for i in range(1, 5)),
)


def entry(key: str, outcome: str, message: str = "") -> CriterionReport:
    return CriterionReport(
        id=key,
        title=f"Criterion {key}",
        points=25,
        score=25 * (outcome == "passed"),
        outcome=outcome,  # type: ignore[arg-type]
        message=message,
    )


def enter(book: Gradebook, learner: str, attempt: int, *outcomes: str, **more: Any) -> str:
    """An attempt whose criteria end like this: an outcome, or a message of one that failed."""
    known = ("passed", "failed", "not_run", "timeout")
    criteria = [
        entry(str(i), word, "" if word in ("passed", "not_run") else "Asks. Got 1")
        if word in known
        else entry(str(i), "failed", word)
        for i, word in enumerate(outcomes, 1)
    ]
    passed = all(c.outcome == "passed" for c in criteria)
    facts = {"learner": learner, "attempt": attempt}
    settings = {"criteria": criteria, "passed": passed, "score": sum(c.score for c in criteria)}
    return book.record(make(facts=facts, **{**settings, **more}), KEY)


def made(book: GradebookReader, **more: Any) -> Board:
    return board(book, lambda key: TOY if key == "toy/01" else None, now=lambda: NOW, **more)
