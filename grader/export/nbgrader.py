"""Grades as nbgrader keeps them: its folders, its CSV, and a ``gradebook.db`` that it opens.

Each criterion is a grade cell of the notebook ``capstone``. The tables are those of nbgrader 0.9
(revision ``e43177bfe90b``, written by its 0.9.5); another version may want to upgrade a copy first
(``nbgrader db upgrade``). Points beyond the sum of the criteria, the bonus, are extra credit of a
cell of their own, so that nbgrader's total is ours.
"""

from __future__ import annotations

import csv
import datetime
import io
import os
import shutil
import sqlite3
import tempfile
import uuid
from pathlib import Path

from grader.export.counted import Graded, folder_name, folders_of, told
from grader.export.csv_table import defused
from grader.export.nbgrader_tables import COURSE, REVISION, TABLES
from grader.feedback import feedback_html
from grader.records.store import StoreError, SubmissionStore
from grader.report import write_file

__all__ = ["assignment_name", "write"]

NOTEBOOK = "capstone"
_COLUMNS = (
    *("assignment", "duedate", "timestamp", "student_id", "last_name", "first_name", "email"),
    *("raw_score", "late_submission_penalty", "score", "max_score"),
)
_NAMES = uuid.UUID("2f6c1f0e-5f6a-4a55-9a1b-0c9a1f7b2d11")


def write(graded: list[Graded], out: Path, store: SubmissionStore | None) -> list[Path]:
    """``gradebook.db``, ``grades.csv``, and the folders of every step, below `out`.

    ``submitted/`` and ``autograded/`` get the files that were handed in, where `store` has them;
    ``feedback/`` the page of each learner. An older ``gradebook.db`` there is replaced as a whole.
    """
    paths = [out / "gradebook.db", out / "grades.csv"]
    _database(graded, paths[0])
    write_file(paths[1], _grades(graded))
    folders = folders_of(graded)
    for entry in graded:
        at = entry.attempt
        place = Path(folders[at.learner], assignment_name(at.capstone))
        paths += _folders(entry, out, place, store)
    return paths


def assignment_name(capstone: str) -> str:
    """A capstone's key as nbgrader names an assignment: one folder, no ``+``."""
    return folder_name(capstone.replace("/", "_")).replace("+", "%2B")


def _folders(graded: Graded, out: Path, place: Path, store: SubmissionStore | None) -> list[Path]:
    at = graded.attempt
    page = feedback_html(
        graded.report,
        graded.title,
        out,
        capstone=graded.capstone,
        marks=graded.marks,
        receipt=at.receipt,
    )
    paths = [out / "feedback" / place / f"{NOTEBOOK}.html"]
    write_file(paths[0], page.encode())
    if store is None or at.submission_sha256 not in store:
        return paths
    for step in ("submitted", "autograded"):
        folder = out / step / place
        if folder.exists():
            shutil.rmtree(folder)
        try:
            store.take(at.submission_sha256, folder)
        except StoreError:
            return paths  # damaged files have a grade, and no folder
        write_file(folder / "timestamp.txt", f"{_timestamp(at.graded_at)} UTC".encode())
        paths.append(folder)
    return paths


def _grades(graded: list[Graded]) -> bytes:
    """What ``nbgrader export`` writes: its columns in its order."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for entry in graded:
        at = entry.attempt
        row = (
            *(assignment_name(at.capstone), "", _timestamp(at.graded_at), at.learner, "", "", ""),
            *(at.score, 0.0, at.score, at.max_score),
        )
        writer.writerow([defused(cell) for cell in row])
    return text.getvalue().encode("utf-8", "backslashreplace")


def _database(graded: list[Graded], path: Path) -> None:
    handle, name = tempfile.mkstemp(prefix=".gradebook-", dir=path.parent)
    os.close(handle)
    try:
        db = sqlite3.connect(name)
        try:
            with db:
                db.executescript(TABLES)
                db.execute("INSERT INTO alembic_version VALUES (?)", (REVISION,))
                db.execute("INSERT INTO course VALUES (?)", (COURSE,))
                for entry in graded:
                    _enter(db, entry)
        finally:
            db.close()
        os.chmod(name, 0o600)  # it holds names
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)


def _enter(db: sqlite3.Connection, graded: Graded) -> None:
    at = graded.attempt
    name = assignment_name(at.capstone)
    assignment, notebook = _id("assignment", name), _id("notebook", name)
    db.execute(
        "INSERT OR IGNORE INTO assignment VALUES (?, ?, NULL, ?)", (assignment, name, COURSE)
    )
    db.execute(
        "INSERT OR IGNORE INTO notebook VALUES (?, ?, ?, 'python3')",
        (notebook, NOTEBOOK, assignment),
    )
    db.execute("INSERT OR IGNORE INTO student VALUES (?, NULL, NULL, NULL, NULL)", (at.learner,))
    submission, submitted = _id("submission", name, at.learner), _id("sheet", name, at.learner)
    db.execute(
        "INSERT INTO submitted_assignment VALUES (?, ?, ?, ?, NULL)",
        (submission, assignment, at.learner, _timestamp(at.graded_at)),
    )
    db.execute(
        "INSERT INTO submitted_notebook VALUES (?, ?, ?, 0, NULL)",
        (submitted, submission, notebook),
    )
    total = 0.0
    for entry in graded.report.criteria:
        if entry.id in graded.bonus_ids:
            continue
        mark = graded.by_hand(entry.id)
        by_hand = mark.points if mark else None
        total += graded.points(entry)
        cell = _cell(db, name, notebook, f"criterion-{entry.id}", entry.points)
        _grade(db, submitted, cell, entry.score, by_hand, 0.0)
        said = told(graded, entry)
        if said:
            row = (_id("comment", submitted, cell), submitted, cell, said)
            db.execute("INSERT INTO comment VALUES (?, ?, ?, ?, NULL)", row)
    cell = _cell(db, name, notebook, "bonus", 0.0)
    _grade(db, submitted, cell, 0.0, None, round(at.score - total, 2))


def _cell(
    db: sqlite3.Connection, assignment: str, notebook: str, name: str, max_score: float
) -> str:
    cell = _id("cell", assignment, name)
    db.execute(
        "INSERT OR IGNORE INTO base_cell VALUES (?, ?, ?, 'GradeCell')", (cell, name, notebook)
    )
    db.execute("INSERT OR IGNORE INTO grade_cells VALUES (?, ?, 'code')", (cell, max_score))
    return cell


def _grade(
    db: sqlite3.Connection,
    submitted: str,
    cell: str,
    auto: float,
    manual: float | None,
    extra: float,
) -> None:
    row = (_id("grade", submitted, cell), submitted, cell, auto, manual, extra)
    db.execute("INSERT INTO grade VALUES (?, ?, ?, ?, ?, ?, 0)", row)


def _id(*names: str) -> str:
    """The same names, the same id: exporting twice gives the same rows."""
    return uuid.uuid5(_NAMES, "\0".join(names)).hex


def _timestamp(at: str) -> str:
    """UTC without its zone, as nbgrader writes it."""
    when = datetime.datetime.fromisoformat(at)
    if when.tzinfo is not None:
        when = when.astimezone(datetime.UTC).replace(tzinfo=None)
    return when.strftime("%Y-%m-%d %H:%M:%S.%f")
