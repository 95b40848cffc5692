"""What a learner has done so far, and what to do next.

One readable file, ``.meridian/progress.json`` in the lab, holds lessons, quizzes, checks and
submissions alike. Unlocking is advice: `unlocked` says whether the lessons of a capstone are
passed, and opening it before is possible, and recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import msgspec

from meridian.academy import curriculum as index
from meridian.academy.curriculum import Curriculum
from meridian.academy.progress_file import (
    ProgressBusy,
    ProgressCorrupt,
    ProgressFile,
    ProgressTooNew,
    parse,
    write_atomically,
)
from meridian.academy.progress_next import NextStep, next_step
from meridian.academy.progress_records import (
    CapstoneRecord,
    CheckRecord,
    LessonRecord,
    Record,
    SubmissionRecord,
    merge,
)
from meridian.academy.quiz_session import PASS_PERCENT
from meridian.clock import Clock, SystemClock
from meridian.fs import FileSystem

__all__ = [
    "NextStep",
    "ProgressBusy",
    "ProgressCorrupt",
    "ProgressStore",
    "ProgressTooNew",
    "Record",
    "State",
]

State = Literal["new", "tried", "passed"]


class ProgressStore:
    """The learner's record: each call reads the file, each change replaces it durably.

    Several processes may use one file at once (a notebook, a terminal); no change is lost.
    Every method may raise `ProgressCorrupt`, `ProgressTooNew`, `ProgressBusy` or `OSError`; those
    that take a key raise `UnknownKey`.
    """

    def __init__(
        self,
        path: str | PathLike[str] | None = None,
        *,
        curriculum: Curriculum | None = None,
        clock: Clock | None = None,
        fs: FileSystem | None = None,
    ) -> None:
        if path is None:
            root = curriculum.root if curriculum is not None else index.lab_root()
            path = root / ".meridian" / "progress.json"
        self.path = Path(path)
        self._curriculum = curriculum
        self._clock = clock or SystemClock()
        self._file = ProgressFile(self.path, fs=fs)

    @property
    def curriculum(self) -> Curriculum:
        if self._curriculum is None:
            self._curriculum = index.load()
        return self._curriculum

    # -- reading -------------------------------------------------------------------------------

    def record(self) -> Record:
        """Everything that is known."""
        return self._file.read()

    def lesson_state(self, key: str) -> State:
        """``new`` until its quiz was tried, ``passed`` at 70 % or more."""
        self.curriculum.lesson(key)
        return lesson_state(self.record(), key)

    def capstone_state(self, key: str) -> State:
        """``new`` until checked or submitted, ``passed`` once a submission passed."""
        self.curriculum.module(key)
        return capstone_state(self.record(), key)

    def unlocked(self, module_key: str) -> bool:
        """Whether every lesson of the module is passed, which is when its capstone is advised."""
        lessons = self.curriculum.module(module_key).lessons
        record = self.record()
        return all(lesson_state(record, lesson.key) == "passed" for lesson in lessons)

    def next_step(self, curriculum: Curriculum | None = None) -> NextStep:
        """The one thing to do now."""
        return next_step(self.record(), curriculum or self.curriculum)

    def session(self, lesson_key: str) -> dict[str, Any] | None:
        """The half-finished quiz of a lesson, as `save_session` got it."""
        return self.record().sessions.get(self.curriculum.lesson(lesson_key).key)

    # -- recording -----------------------------------------------------------------------------

    def record_quiz(self, lesson_key: str, correct: int, total: int, digest: str) -> None:
        """Add a finished round of a quiz: `correct` of `total` questions right.

        The best result on one edition (`digest`) of the quiz is kept; a new edition starts afresh,
        but a lesson once passed stays passed.
        """
        self.curriculum.lesson(lesson_key)
        if not 0 <= correct <= total or total == 0:
            raise ValueError(f"Expected 0 <= correct <= total > 0, got {correct} of {total}")
        now = self._now()

        def change(record: Record) -> None:
            old = record.lessons.get(lesson_key)
            passed = 100 * correct >= PASS_PERCENT * total
            record.lessons[lesson_key] = LessonRecord(
                correct=max(correct, old.correct) if old and old.digest == digest else correct,
                total=total,
                attempts=old.attempts + 1 if old else 1,
                digest=digest,
                tried_at=old.tried_at if old else now,
                passed_at=(old and old.passed_at) or (now if passed else None),
            )
            record.sessions.pop(lesson_key, None)

        self._change(change)

    def save_session(self, lesson_key: str, state: Mapping[str, Any]) -> None:
        """Keep a half-finished quiz (`QuizSession.state()`), until `record_quiz` ends it."""
        self.curriculum.lesson(lesson_key)
        plain = msgspec.convert(msgspec.to_builtins(dict(state)), dict[str, Any])
        self._change(lambda record: record.sessions.update({lesson_key: plain}))

    def record_check(self, capstone_key: str, report: Mapping[str, Any]) -> None:
        """Add a check of a capstone. `report` is the grader's, as a dict."""
        self.curriculum.module(capstone_key)
        check = msgspec.convert({**_verdict(report), "at": self._now()}, CheckRecord)

        def change(old: CapstoneRecord) -> CapstoneRecord:
            return msgspec.structs.replace(old, checks=old.checks + 1, last_check=check)

        self._change_capstone(capstone_key, change)

    def record_submission(
        self, capstone_key: str, report: Mapping[str, Any], path: str | PathLike[str]
    ) -> None:
        """Add a graded submission. `path` is its report's folder, in the lab."""
        self.curriculum.module(capstone_key)
        names = ("bonus", "passed", "submission_sha256")
        submission = msgspec.convert(
            {
                **_verdict(report),
                **{name: report[name] for name in names if name in report},
                "at": self._now(),
                "path": str(path),
            },
            SubmissionRecord,
        )

        def change(old: CapstoneRecord) -> CapstoneRecord:
            return msgspec.structs.replace(old, submissions=(*old.submissions, submission))

        self._change_capstone(capstone_key, change)

    def record_opened_locked(self, capstone_key: str) -> None:
        """Note that a capstone was opened before its lessons were passed."""
        now = self._now()
        self._change_capstone(
            capstone_key,
            lambda old: msgspec.structs.replace(old, opened_locked_at=(*old.opened_locked_at, now)),
        )

    def record_reset(self, capstone_key: str) -> None:
        """Note that the exercise was put back to its start. Results so far stay."""
        now = self._now()
        self._change_capstone(
            capstone_key, lambda old: msgspec.structs.replace(old, resets=(*old.resets, now))
        )

    # -- carrying ------------------------------------------------------------------------------

    def export(self, path: str | PathLike[str]) -> Path:
        """Write the record to `path`, for another machine or for safe keeping."""
        data = msgspec.json.format(msgspec.json.encode(self.record()), indent=2)
        write_atomically(Path(path), data + b"\n")
        return Path(path)

    def import_(self, path: str | PathLike[str]) -> Record:
        """Merge the record at `path` into this one, keeping the best of both; return the result.

        Raises `ProgressCorrupt` without touching either file, `UnknownKey` for a record of
        another course.
        """
        other = parse(Path(path).read_bytes(), Path(path))
        for key in (*other.lessons, *other.sessions):
            self.curriculum.lesson(key)
        for key in other.capstones:
            self.curriculum.module(key)
        with self._file.update() as mine:
            merged = merge(mine, other)
            self._file.write(merged)
        return merged

    # -- inside --------------------------------------------------------------------------------

    def _now(self) -> str:
        moment = datetime.fromtimestamp(self._clock.now_ns() / 1e9, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _change(self, change: Callable[[Record], None]) -> None:
        with self._file.update() as record:
            change(record)
            self._file.write(record)

    def _change_capstone(
        self, key: str, change: Callable[[CapstoneRecord], CapstoneRecord]
    ) -> None:
        self.curriculum.module(key)
        self._change(
            lambda record: record.capstones.update(
                {key: change(record.capstones.get(key, CapstoneRecord()))}
            )
        )


def lesson_state(record: Record, key: str) -> State:
    lesson = record.lessons.get(key)
    if lesson is None:
        return "new"
    return "passed" if lesson.passed_at is not None else "tried"


def capstone_state(record: Record, key: str) -> State:
    capstone = record.capstones.get(key)
    if capstone is None or not (capstone.checks or capstone.submissions):
        return "new"
    return "passed" if capstone.passed else "tried"


def _verdict(report: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a grader's report that is remembered."""
    return {
        "score": report["score"],
        "max_score": report["max_score"],
        "outcomes": {c["id"]: c["outcome"] for c in report["criteria"]},
    }
