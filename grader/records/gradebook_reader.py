"""Reading the gradebook: how every attempt stands now, and what was said about it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from grader.records.gradebook_schema import ATTEMPTS, SCHEMA_VERSION, prepare
from grader.records.marks import ManualMark
from grader.report import Report
from meridian.errors import MeridianError

__all__ = ["Attempt", "GradebookError", "GradebookReader"]

_BUSY_S = 10.0


class GradebookError(MeridianError, ValueError):
    """An attempt cannot be entered, or a file is no gradebook."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}")


class Attempt(msgspec.Struct, frozen=True):
    """One attempt as it stands now: `score` and `passed` are those of its latest revision.

    What was not `judged` is kept and does not count. `revisions` is how often the marks changed.
    """

    learner: str
    capstone: str
    attempt: int
    graded_at: str
    score: float
    max_score: float
    passed: bool
    receipt: str
    judged: bool = True
    revisions: int = 0
    submission_sha256: str = ""


class GradebookReader:
    """The half of `Gradebook` that changes nothing, so that a page or an export can be given it.

    With `read_only` nothing can be written even by mistake, and the file must exist.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        if read_only and not path.is_file():
            raise GradebookError(path, "no such gradebook. A first `--record` makes one")
        if not read_only:
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = _opened_to_read(path) if read_only else _opened(path)
        except sqlite3.DatabaseError as error:
            raise GradebookError(path, f"not a gradebook ({error})") from None
        except ValueError as error:
            raise GradebookError(path, str(error)) from None

    def attempts(self, learner: str | None = None, capstone: str | None = None) -> list[Attempt]:
        """Every attempt, oldest first; of one learner, of one capstone, or of all."""
        rows = self._db.execute(
            f"{ATTEMPTS} WHERE (?1 IS NULL OR a.learner = ?1) "
            "AND (?2 IS NULL OR a.capstone = ?2) ORDER BY a.id",
            (learner, capstone),
        )
        return [_attempt(row) for row in rows]

    def attempt(self, learner: str, capstone: str, attempt: int) -> Attempt:
        """One attempt. Raises `GradebookError` when it was never entered."""
        row = self._db.execute(
            f"{ATTEMPTS} WHERE a.learner = ? AND a.capstone = ? AND a.attempt = ?",
            (learner, capstone, attempt),
        ).fetchone()
        if row is None:
            raise self._unknown(learner, capstone, attempt)
        return _attempt(row)

    def next_attempt(self, learner: str, capstone: str) -> int:
        """The number of the attempt that comes next; one that was not judged has its own too."""
        row = self._db.execute(
            "SELECT COALESCE(MAX(attempt), 0) + 1 FROM attempts WHERE learner = ? AND capstone = ?",
            (learner, capstone),
        ).fetchone()
        return int(row[0])

    def refuse_entered(self, learner: str, capstone: str, attempt: int) -> None:
        """Raise `GradebookError` where this attempt is entered, before it is judged in vain."""
        if any(entry.attempt == attempt for entry in self.attempts(learner, capstone)):
            said = f"attempt {attempt} of {learner} at {capstone} is already entered"
            raise GradebookError(
                self.path, f"{said}. Name another: {self.next_attempt(learner, capstone)} is next"
            )

    def attempts_used(self, learner: str, capstone: str) -> int:
        """How many attempts count against a limit: those that were judged."""
        return sum(entry.judged for entry in self.attempts(learner, capstone))

    def report(self, receipt: str) -> Report:
        """The latest report on the attempt with this receipt, or that of a regrade's receipt.

        Raises `GradebookError` for one that is not known.
        """
        row = self._db.execute("SELECT id FROM attempts WHERE receipt = ?", (receipt,)).fetchone()
        if row is not None:
            return self._latest_report(row[0])
        row = self._db.execute(
            "SELECT report FROM revisions WHERE receipt = ?", (receipt,)
        ).fetchone()
        if row is None:
            raise GradebookError(self.path, f"no attempt has the receipt {receipt!r}")
        return msgspec.json.decode(row[0], type=Report)

    def manual_marks(self, receipt: str) -> list[ManualMark]:
        """What people gave for criteria of the attempt with this receipt, the latest of each."""
        row = self._db.execute("SELECT id FROM attempts WHERE receipt = ?", (receipt,)).fetchone()
        if row is None:
            raise GradebookError(self.path, f"no attempt has the receipt {receipt!r}")
        return self._manual_marks(row[0])

    def latest_reports(self) -> Iterator[tuple[Attempt, bytes]]:
        """Every attempt with the JSON of its latest report, oldest first."""
        latest = (
            "COALESCE((SELECT r.report FROM revisions r WHERE r.attempt_id = a.id "
            "AND r.report IS NOT NULL ORDER BY r.id DESC LIMIT 1), a.report)"
        )
        query = ATTEMPTS.replace(" FROM attempts a", f", {latest} FROM attempts a", 1)
        for row in self._db.execute(f"{query} ORDER BY a.id"):
            yield _attempt(row[:-1]), row[-1]

    def version(self) -> int:
        """A number that is another one after every entry: for whoever keeps what was read."""
        row = self._db.execute(
            "SELECT (SELECT COALESCE(MAX(id), 0) FROM attempts) * 1000000000 + "
            "(SELECT COALESCE(MAX(id), 0) FROM revisions)"
        ).fetchone()
        return int(row[0])

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- below -----------------------------------------------------------------------------------

    def _row(self, learner: str, capstone: str, attempt: int) -> tuple[int, str]:
        row = self._db.execute(
            "SELECT id, submission_sha256 FROM attempts "
            "WHERE learner = ? AND capstone = ? AND attempt = ?",
            (learner, capstone, attempt),
        ).fetchone()
        if row is None:
            raise self._unknown(learner, capstone, attempt)
        return row[0], row[1]

    def _unknown(self, learner: str, capstone: str, attempt: int) -> GradebookError:
        return GradebookError(self.path, f"{learner} has no attempt {attempt} at {capstone}")

    def _latest_report(self, row_id: int) -> Report:
        (content,) = self._db.execute(
            "SELECT report FROM (SELECT report, id FROM revisions WHERE attempt_id = ?1 "
            "AND report IS NOT NULL UNION ALL SELECT report, 0 FROM attempts WHERE id = ?1) "
            "ORDER BY id DESC LIMIT 1",
            (row_id,),
        ).fetchone()
        return msgspec.json.decode(content, type=Report)

    def _manual_marks(self, row_id: int) -> list[ManualMark]:
        rows = self._db.execute(
            "SELECT criterion, points, why, author, made_at FROM revisions "
            "WHERE attempt_id = ? AND kind = 'adjustment' ORDER BY id",
            (row_id,),
        )
        latest = {row[0]: ManualMark(*row) for row in rows}
        return [mark for mark in latest.values() if mark.points is not None]


def _attempt(row: tuple[Any, ...]) -> Attempt:
    flags = {6: bool(row[6]), 8: bool(row[8])}
    values = [flags.get(i, value) for i, value in enumerate(row)]
    return Attempt(**dict(zip(Attempt.__struct_fields__, values, strict=True)))


def _opened(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
    try:
        prepare(db)
    except BaseException:
        db.close()
        raise
    return db


def _opened_to_read(path: Path) -> sqlite3.Connection:
    """A connection that cannot write; to an older file, a copy in memory brought up to date."""
    address = f"{path.absolute().as_uri()}?mode=ro"
    db = sqlite3.connect(address, uri=True, timeout=_BUSY_S, isolation_level=None)
    try:
        if db.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION:
            return db
        copy = sqlite3.connect(":memory:", isolation_level=None)
        db.backup(copy)
    except BaseException:
        db.close()
        raise
    db.close()
    try:
        prepare(copy)
    except BaseException:
        copy.close()
        raise
    copy.execute("PRAGMA query_only = ON")
    return copy
