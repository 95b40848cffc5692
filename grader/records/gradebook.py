"""The gradebook: every attempt that was ever graded, in one SQLite file that only grows.

Triggers refuse to change or remove a row. What changes a mark later, judging again or a person, is
a *revision*: a row of its own that names its attempt, its author and its reason, and holds the
marks as they stand from then on. The latest counts, and none before it is lost. A receipt is what
a learner holds: it names the attempt and its content.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec

from grader.records.gradebook_reader import Attempt, GradebookError, GradebookReader
from grader.records.marks import ManualMark, settled
from grader.report import Report
from meridian.academy.curriculum import Capstone

__all__ = ["Attempt", "Gradebook", "GradebookError", "receipt_of"]


class Gradebook(GradebookReader):
    """Use with `with`. Several processes may read and append at once (WAL, one writer)."""

    # -- entering --------------------------------------------------------------------------------

    def record(self, report: Report, key: bytes) -> str:
        """Append one submission and return its receipt.

        Raises `GradebookError` when the signature is not `key`'s, when the report is of a mere
        check, or when this attempt was entered before with another content.
        """
        learner, attempt = self._genuine(report, key)
        receipt = receipt_of(report, key)
        with self._writing():
            known = self._db.execute(
                "SELECT receipt FROM attempts WHERE learner = ? AND capstone = ? AND attempt = ?",
                (learner, report.capstone, attempt),
            ).fetchone()
            if known is None:
                row = {
                    "learner": learner,
                    "capstone": report.capstone,
                    "attempt": attempt,
                    "graded_at": report.started_at,
                    "score": report.score,
                    "max_score": report.max_score,
                    "passed": int(report.passed),
                    "submission_sha256": report.submission_sha256,
                    "receipt": receipt,
                    "report": msgspec.json.encode(report),
                    "judged": int(report.judged),
                }
                self._append("attempts", row)
            elif known[0] != receipt:
                raise GradebookError(
                    self.path,
                    f"attempt {attempt} of {learner} at {report.capstone} is already entered",
                )
        return receipt

    def regrade(
        self, report: Report, key: bytes, *, capstone: Capstone, author: str, why: str
    ) -> Attempt:
        """Append another verdict on an attempt that is entered, and return how it stands now.

        A person's marks stay what that person said. Raises `GradebookError` when the attempt is
        not entered, or was of another submission.
        """
        learner, attempt = self._genuine(report, key)
        with self._writing():
            row_id, entered = self._row(learner, report.capstone, attempt)
            if report.submission_sha256 != entered:
                raise GradebookError(self.path, "the report is of another submission")
            by_hand = self._manual_marks(row_id)
            marks = settled(report, by_hand, capstone)
            revision = {
                "attempt_id": row_id,
                "kind": "regrade",
                "receipt": receipt_of(report, key),
                "report": msgspec.json.encode(report),
                "judged": int(report.judged or bool(by_hand)),
            }
            self._revise(revision, marks.score, marks.max_score, marks.passed, author, why)
        return self.attempt(learner, report.capstone, attempt)

    def adjust(
        self,
        learner: str,
        key: str,
        attempt: int,
        criterion: str,
        points: float | None,
        *,
        capstone: Capstone,
        author: str,
        why: str,
    ) -> Attempt:
        """Enter what a person gives for one criterion of attempt `attempt` at capstone `key`.

        These points stand, whatever a later regrade says, until ``None`` withdraws them. As long
        as there is one, an attempt that the grader could not judge counts as judged. Raises
        `GradebookError` for an unknown attempt or criterion, points beyond those of the
        criterion, or without author and reason.
        """
        if not (author.strip() and why.strip()):
            raise GradebookError(self.path, "a mark by hand needs an author and a reason")
        with self._writing():
            row_id, _ = self._row(learner, key, attempt)
            report = self._latest_report(row_id)
            entry = next((c for c in report.criteria if c.id == criterion), None)
            if entry is None:
                known = ", ".join(c.id for c in report.criteria)
                raise GradebookError(self.path, f"{key} has no criterion {criterion!r}: {known}")
            if points is not None and not 0 <= points <= entry.points:
                most = f"criterion {criterion} gives 0 to {entry.points:g} points"
                raise GradebookError(self.path, f"{most}, not {points:g}")
            made = _now()
            mark = ManualMark(criterion, points, why, author, made)
            others = [m for m in self._manual_marks(row_id) if m.criterion != criterion]
            by_hand = others if points is None else [*others, mark]
            marks = settled(report, by_hand, capstone)
            revision = {
                "attempt_id": row_id,
                "kind": "adjustment",
                "criterion": criterion,
                "points": points,
                "judged": int(report.judged or bool(by_hand)),
            }
            self._revise(revision, marks.score, marks.max_score, marks.passed, author, why, at=made)
        return self.attempt(learner, key, attempt)

    # -- below -----------------------------------------------------------------------------------

    def _genuine(self, report: Report, key: bytes) -> tuple[str, int]:
        """Learner and attempt of a submission that is signed with `key`."""
        if not report.verify(key):
            raise GradebookError(self.path, "the report's signature does not fit its content")
        facts = report.environment
        if facts.get("mode") != "submit":
            raise GradebookError(self.path, f"a {facts.get('mode')} is no submission")
        return str(facts.get("learner")), int(facts.get("attempt", 0))

    def _revise(
        self,
        row: dict[str, Any],
        score: float,
        max_score: float,
        passed: bool,
        author: str,
        why: str,
        at: str = "",
    ) -> None:
        stands = {"score": score, "max_score": max_score, "passed": int(passed)}
        self._append(
            "revisions", {**row, **stands, "author": author, "why": why, "made_at": at or _now()}
        )

    def _append(self, table: str, row: dict[str, Any]) -> None:
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        self._db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(row.values()))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with closing(self._db.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
            cursor.execute("COMMIT")


def receipt_of(report: Report, key: bytes) -> str:
    """Short enough to type, long enough not to guess."""
    return hmac.new(key, b"receipt\0" + report.canonical(), hashlib.sha256).hexdigest()[:20]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
