"""The gradebook: every attempt that was ever graded, in one SQLite file that only grows.

Triggers refuse to change or remove an attempt, so a mistake is corrected by another attempt, not
by rewriting history. A receipt is what a learner holds: it names the attempt and its content.
"""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType

import msgspec

from grader.report import Report
from meridian.errors import MeridianError

__all__ = ["Attempt", "Gradebook", "GradebookError"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS attempts (
    id INTEGER PRIMARY KEY,
    learner TEXT NOT NULL,
    capstone TEXT NOT NULL,
    attempt INTEGER NOT NULL CHECK (attempt > 0),
    graded_at TEXT NOT NULL,
    score REAL NOT NULL,
    max_score REAL NOT NULL,
    passed INTEGER NOT NULL CHECK (passed IN (0, 1)),
    submission_sha256 TEXT NOT NULL,
    receipt TEXT NOT NULL UNIQUE,
    report BLOB NOT NULL,
    UNIQUE (learner, capstone, attempt)
) STRICT;
CREATE TRIGGER IF NOT EXISTS attempts_never_change BEFORE UPDATE ON attempts
BEGIN SELECT RAISE(ABORT, 'attempts are append-only'); END;
CREATE TRIGGER IF NOT EXISTS attempts_never_leave BEFORE DELETE ON attempts
BEGIN SELECT RAISE(ABORT, 'attempts are append-only'); END;
CREATE TRIGGER IF NOT EXISTS attempts_are_not_replaced BEFORE INSERT ON attempts
WHEN EXISTS (SELECT 1 FROM attempts WHERE id = NEW.id OR receipt = NEW.receipt
    OR (learner, capstone, attempt) = (NEW.learner, NEW.capstone, NEW.attempt))
BEGIN SELECT RAISE(ABORT, 'attempts are append-only'); END;
"""
_COLUMNS = "learner, capstone, attempt, graded_at, score, max_score, passed, receipt"
_BUSY_S = 10.0


class GradebookError(MeridianError, ValueError):
    """An attempt cannot be entered, or a file is no gradebook."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}")


class Attempt(msgspec.Struct, frozen=True, array_like=True):
    """One row."""

    learner: str
    capstone: str
    attempt: int
    graded_at: str
    score: float
    max_score: float
    passed: bool
    receipt: str


class Gradebook:
    """Use with `with`. Several processes may read and append at once (WAL, one writer)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_SCHEMA)
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise GradebookError(path, f"not a gradebook ({error})") from None

    def record(self, report: Report, key: bytes) -> str:
        """Append one submission and return its receipt.

        Raises `GradebookError` when the signature is not `key`'s, when the report is of a mere
        check, or when this attempt was entered before with another content.
        """
        if not report.verify(key):
            raise GradebookError(self._path, "the report's signature does not fit its content")
        facts = report.environment
        learner, attempt = str(facts.get("learner")), int(facts.get("attempt", 0))
        if facts.get("mode") != "submit":
            raise GradebookError(self._path, f"a {facts.get('mode')} is no submission")
        receipt = _receipt(report, key)
        row = (
            learner,
            report.capstone,
            attempt,
            report.started_at,
            report.score,
            report.max_score,
            int(report.passed),
            report.submission_sha256,
            receipt,
            msgspec.json.encode(report),
        )
        with self._writing():
            known = self._db.execute(
                "SELECT receipt FROM attempts WHERE learner = ? AND capstone = ? AND attempt = ?",
                row[:3],
            ).fetchone()
            if known is None:
                self._db.execute(
                    "INSERT INTO attempts (learner, capstone, attempt, graded_at, score, "
                    "max_score, passed, submission_sha256, receipt, report) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    row,
                )
            elif known[0] != receipt:
                raise GradebookError(
                    self._path,
                    f"attempt {attempt} of {learner} at {report.capstone} is already entered",
                )
        return receipt

    def attempts(self, learner: str | None = None, capstone: str | None = None) -> list[Attempt]:
        """Every attempt, oldest first; of one learner, of one capstone, or of all."""
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM attempts WHERE (?1 IS NULL OR learner = ?1) "
            "AND (?2 IS NULL OR capstone = ?2) ORDER BY id",
            (learner, capstone),
        )
        return [msgspec.convert((*row[:6], bool(row[6]), row[7]), Attempt) for row in rows]

    def report(self, receipt: str) -> Report:
        """The report behind a receipt. Raises `GradebookError` for one that is not known."""
        row = self._db.execute(
            "SELECT report FROM attempts WHERE receipt = ?", (receipt,)
        ).fetchone()
        if row is None:
            raise GradebookError(self._path, f"no attempt has the receipt {receipt!r}")
        return msgspec.json.decode(row[0], type=Report)

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Gradebook:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

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


def _receipt(report: Report, key: bytes) -> str:
    """Short enough to type, long enough not to guess."""
    return hmac.new(key, b"receipt\0" + report.canonical(), hashlib.sha256).hexdigest()[:20]
