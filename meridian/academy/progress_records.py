"""What is remembered of a learner, and how two memories are merged.

These records are the file: `ProgressStore` writes them as JSON that a person can read and carry to
another machine. Times are UTC, ISO 8601.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

__all__ = [
    "SCHEMA_VERSION",
    "CapstoneRecord",
    "CheckRecord",
    "LessonRecord",
    "Record",
    "SubmissionRecord",
    "merge",
]

SCHEMA_VERSION = 1

_Count = Annotated[int, msgspec.Meta(ge=0)]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An unknown field is refused: writing the file back would lose it."""


class LessonRecord(_Table, frozen=True):
    """The quiz of one lesson: its best result on the latest edition, and whether it was passed."""

    correct: _Count
    total: _Count
    attempts: _Count
    digest: str
    tried_at: str
    passed_at: str | None = None


class CheckRecord(_Table, frozen=True):
    """The latest check of a capstone, with the outcome of each criterion by its id."""

    at: str
    score: float
    max_score: float
    outcomes: dict[str, str]


class SubmissionRecord(_Table, frozen=True):
    """One submission of a capstone: `score` includes `bonus`.

    `path` is the folder of its report, relative to the lab's root.
    """

    at: str
    score: float
    max_score: float
    bonus: float
    passed: bool
    submission_sha256: str
    path: str
    outcomes: dict[str, str]


class CapstoneRecord(_Table, frozen=True):
    checks: _Count = 0
    last_check: CheckRecord | None = None
    submissions: tuple[SubmissionRecord, ...] = ()
    opened_locked_at: tuple[str, ...] = ()
    resets: tuple[str, ...] = ()

    @property
    def best(self) -> SubmissionRecord | None:
        """The submission that counts: passed before failed, then the highest score."""
        return max(self.submissions, key=_worth, default=None)

    @property
    def passed(self) -> bool:
        return any(submission.passed for submission in self.submissions)


class Record(_Table, frozen=True):
    """Everything, by lesson key and capstone key. `sessions` are quizzes left half-way."""

    schema_version: int = SCHEMA_VERSION
    lessons: dict[str, LessonRecord] = {}
    capstones: dict[str, CapstoneRecord] = {}
    sessions: dict[str, dict[str, Any]] = {}


def _worth(submission: SubmissionRecord) -> tuple[bool, float]:
    return submission.passed, submission.score


def merge(mine: Record, other: Record) -> Record:
    """Both records in one, keeping the best of each. Merging twice changes nothing more.

    A half-finished quiz of `mine` wins over one of `other`.
    """
    lessons = {
        key: _merge_lessons(mine.lessons.get(key), other.lessons.get(key))
        for key in sorted({*mine.lessons, *other.lessons})
    }
    capstones = {
        key: _merge_capstones(mine.capstones.get(key), other.capstones.get(key))
        for key in sorted({*mine.capstones, *other.capstones})
    }
    return Record(
        lessons=lessons, capstones=capstones, sessions={**other.sessions, **mine.sessions}
    )


def _merge_lessons(a: LessonRecord | None, b: LessonRecord | None) -> LessonRecord:
    if a is None or b is None:
        one = a or b
        assert one is not None
        return one
    best = max(a, b, key=lambda r: (r.passed_at is not None, r.correct / (r.total or 1)))
    passes = [r.passed_at for r in (a, b) if r.passed_at is not None]
    return msgspec.structs.replace(
        best,
        attempts=max(a.attempts, b.attempts),
        tried_at=min(a.tried_at, b.tried_at),
        passed_at=min(passes, default=None),
    )


def _merge_capstones(a: CapstoneRecord | None, b: CapstoneRecord | None) -> CapstoneRecord:
    a, b = a or CapstoneRecord(), b or CapstoneRecord()
    checks = [check for check in (a.last_check, b.last_check) if check is not None]
    submissions = {(s.at, s.submission_sha256): s for s in (*b.submissions, *a.submissions)}
    return CapstoneRecord(
        checks=max(a.checks, b.checks),
        last_check=max(checks, key=lambda check: check.at, default=None),
        submissions=tuple(sorted(submissions.values(), key=lambda s: s.at)),
        opened_locked_at=tuple(sorted({*a.opened_locked_at, *b.opened_locked_at})),
        resets=tuple(sorted({*a.resets, *b.resets})),
    )
