"""What an attempt is worth once a person has had a say: points, and whether it passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from grader.points import total
from grader.report import Report
from meridian.academy.curriculum import Capstone

__all__ = ["ManualMark", "Settled", "counted", "settled"]


class ManualMark(msgspec.Struct, frozen=True):
    """What a person gave for one criterion, and why; ``None`` takes an earlier mark back."""

    criterion: str
    points: float | None
    why: str
    author: str
    made_at: str


class Settled(msgspec.Struct, frozen=True):
    """The marks of a report under the rules of its capstone."""

    score: float
    max_score: float
    bonus: float
    passed: bool


def settled(report: Report, marks: Sequence[ManualMark], capstone: Capstone) -> Settled:
    """`report` with the latest of `marks` in place of what the grader gave.

    A required criterion also counts as passed when a person gave all its points. Without a mark
    the report's own numbers stand, whatever the rules are now.
    """
    given = {mark.criterion: mark.points for mark in marks}
    if all(by_hand is None for by_hand in given.values()):
        return Settled(report.score, report.max_score, report.bonus, report.passed)
    return counted(report, given, capstone)


def counted(report: Report, given: Mapping[str, float | None], capstone: Capstone) -> Settled:
    """The marks of `report` by the rule of `grader.points`, `given` points before its own.

    To pass it also needs its notebook, where one was judged.
    """
    points, held = {}, {}
    for entry in report.criteria:
        by_hand = given.get(entry.id)
        points[entry.id] = entry.score if by_hand is None else by_hand
        held[entry.id] = entry.outcome == "passed" if by_hand is None else by_hand >= entry.points
    found = total(capstone, capstone.criteria, report.max_score, points, held)
    notebook = report.notebook.outcome in ("passed", "not_run")
    return Settled(found.points, report.max_score, found.bonus, found.passed and notebook)
