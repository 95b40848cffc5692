"""What judging again showed: whose marks change, at which criterion, and what may be the cause."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from grader.records.gradebook_reader import Attempt
from grader.report import Report
from meridian.academy.curriculum import Capstone

__all__ = ["Change", "Regraded", "changes"]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One criterion that no longer gives what it gave; `says` is what its learner reads now."""

    criterion: str
    title: str
    points: float
    before: float
    after: float
    outcome_before: str
    outcome_after: str
    benchmark: bool
    says: str = ""


class Regraded(msgspec.Struct, kw_only=True):
    """One attempt, before and after. `report` is what would be entered; ``None`` if nothing is.

    `because` names what changed since the attempt was judged: without a reason a change is a
    flake. `problem` says why it could not be judged again.
    """

    attempt: Attempt
    score: float
    passed: bool
    changes: list[Change] = []
    because: tuple[str, ...] = ()
    cached: bool = False
    problem: str = ""
    report: Report | None = None

    @property
    def changed(self) -> bool:
        before = self.attempt
        return bool(self.changes) or (before.score, before.passed) != (self.score, self.passed)


def changes(old: Report, new: Report, capstone: Capstone) -> Iterator[Change]:
    """Every criterion whose points or outcome differ, and the notebook if its outcome does."""
    races = {c.id for c in (*capstone.criteria, *capstone.bonus) if c.benchmark}
    before = {entry.id: entry for entry in old.criteria}
    for entry in new.criteria:
        was = before.pop(entry.id, None)
        had, how = (was.score, was.outcome) if was else (0.0, "not there")
        if (had, how) != (entry.score, entry.outcome):
            yield Change(
                criterion=entry.id,
                title=entry.title,
                points=entry.points,
                before=had,
                after=entry.score,
                outcome_before=how,
                outcome_after=entry.outcome,
                benchmark=entry.id in races,
                says=entry.message,
            )
    for was in before.values():
        yield Change(
            criterion=was.id,
            title=was.title,
            points=was.points,
            before=was.score,
            after=0,
            outcome_before=was.outcome,
            outcome_after="no longer there",
            benchmark=was.id in races,
        )
    notebooks = old.notebook.outcome, new.notebook.outcome
    if notebooks[0] != notebooks[1]:
        yield Change(
            criterion="notebook",
            title="Capstone notebook",
            points=0,
            before=0,
            after=0,
            outcome_before=notebooks[0],
            outcome_after=notebooks[1],
            benchmark=False,
        )
