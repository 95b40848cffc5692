"""From the points of another grader to criteria of 100 in all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from grader.markers.model import BadAssignment, Question
from meridian.academy.curriculum import TOTAL_POINTS

__all__ = ["Row", "Table", "apportion", "tabulate"]


class Row(msgspec.Struct, frozen=True):
    """One criterion, what it was worth before, and what each of its tests is worth now."""

    id: str
    title: str
    points: int
    before: float
    tests: tuple[int, ...]


class Table(msgspec.Struct, frozen=True):
    """The criteria, in the order of the questions."""

    criteria: tuple[Row, ...]


def tabulate(path: Path, questions: Sequence[Question]) -> Table:
    """Whole points, 100 in all, each criterion at least 1, in proportion to what they were."""
    if len(questions) > TOTAL_POINTS:
        reason = f"{len(questions)} questions; {TOTAL_POINTS} points go no further"
        raise BadAssignment(path, "", 0, reason)
    shares = apportion([question.points for question in questions], TOTAL_POINTS, least=1)
    rows = []
    for number, (question, points) in enumerate(zip(questions, shares, strict=True), 1):
        weights = [check.points for check in question.checks] or [0.0]
        title = question.name.replace("_", " ").replace("-", " ").strip() or f"Question {number}"
        tests = tuple(apportion(weights, points))
        rows.append(Row(str(number), title, points, question.points, tests))
    return Table(tuple(rows))


def apportion(weights: Sequence[float], total: int, least: int = 0) -> list[int]:
    """Whole numbers that add up to `total`, in proportion to `weights` (largest remainders)."""
    free = total - least * len(weights)
    whole = sum(weights) or float(len(weights))
    even = not sum(weights)
    exact = [(1.0 if even else weight) / whole * free for weight in weights]
    shares = [int(share) for share in exact]
    order = sorted(range(len(exact)), key=lambda i: (shares[i] - exact[i], i))
    for i in order[: free - sum(shares)]:
        shares[i] += 1
    return [share + least for share in shares]
