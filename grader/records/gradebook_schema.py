"""The tables of the gradebook, and how an older file becomes one of today."""

from __future__ import annotations

import sqlite3

__all__ = ["ATTEMPTS", "SCHEMA_VERSION", "prepare"]

SCHEMA_VERSION = 2

_TABLES = """
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
    judged INTEGER NOT NULL DEFAULT 1 CHECK (judged IN (0, 1)),
    UNIQUE (learner, capstone, attempt)
) STRICT;
CREATE TABLE IF NOT EXISTS revisions (
    id INTEGER PRIMARY KEY,
    attempt_id INTEGER NOT NULL REFERENCES attempts (id),
    kind TEXT NOT NULL CHECK (kind IN ('regrade', 'adjustment')),
    made_at TEXT NOT NULL,
    author TEXT NOT NULL,
    why TEXT NOT NULL,
    score REAL NOT NULL,
    max_score REAL NOT NULL,
    passed INTEGER NOT NULL CHECK (passed IN (0, 1)),
    judged INTEGER NOT NULL CHECK (judged IN (0, 1)),
    receipt TEXT,
    report BLOB,
    criterion TEXT,
    points REAL,
    CHECK ((kind = 'regrade') = (report IS NOT NULL)),
    CHECK ((kind = 'adjustment') = (criterion IS NOT NULL))
) STRICT;
CREATE INDEX IF NOT EXISTS revisions_by_attempt ON revisions (attempt_id, id);
"""
_TRIGGERS = "".join(
    f"""
CREATE TRIGGER IF NOT EXISTS {table}_never_change BEFORE UPDATE ON {table}
BEGIN SELECT RAISE(ABORT, '{table} are append-only'); END;
CREATE TRIGGER IF NOT EXISTS {table}_never_leave BEFORE DELETE ON {table}
BEGIN SELECT RAISE(ABORT, '{table} are append-only'); END;
CREATE TRIGGER IF NOT EXISTS {table}_are_not_replaced BEFORE INSERT ON {table}
WHEN EXISTS (SELECT 1 FROM {table} WHERE {same})
BEGIN SELECT RAISE(ABORT, '{table} are append-only'); END;
"""
    for table, same in (
        (
            "attempts",
            """id = NEW.id OR receipt = NEW.receipt
    OR (learner, capstone, attempt) = (NEW.learner, NEW.capstone, NEW.attempt)""",
        ),
        ("revisions", "id = NEW.id"),
    )
)
#: Every attempt as its latest revision left it. Add WHERE and ORDER BY; the table is called ``a``.
ATTEMPTS = """
SELECT a.learner, a.capstone, a.attempt, a.graded_at, COALESCE(r.score, a.score),
    COALESCE(r.max_score, a.max_score), COALESCE(r.passed, a.passed), a.receipt,
    COALESCE(r.judged, a.judged),
    (SELECT COUNT(*) FROM revisions WHERE attempt_id = a.id), a.submission_sha256 FROM attempts a
LEFT JOIN revisions r
    ON r.id = (SELECT MAX(id) FROM revisions WHERE attempt_id = a.id)"""


def prepare(db: sqlite3.Connection) -> None:
    """Make `db` a gradebook of today, in one step; one of the first version keeps its rows.

    Raises `ValueError` for a file of a later version, `sqlite3.DatabaseError` for none at all.
    """
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA foreign_keys = ON")
    found = db.execute("PRAGMA user_version").fetchone()[0]
    if found > SCHEMA_VERSION:
        raise ValueError(
            f"a gradebook of version {found}, this grader knows {SCHEMA_VERSION}; use a newer one"
        )
    if found == SCHEMA_VERSION:
        return
    db.execute("BEGIN IMMEDIATE")  # two processes may come here at once
    try:
        columns = [row[1] for row in db.execute("PRAGMA table_info(attempts)")]
        if columns and "judged" not in columns:
            db.execute(
                "ALTER TABLE attempts ADD COLUMN judged INTEGER NOT NULL DEFAULT 1 "
                "CHECK (judged IN (0, 1))"
            )
        for statement in _statements(_TABLES + _TRIGGERS):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _statements(script: str) -> list[str]:
    """One by one: `executescript` would end the transaction that holds them together."""
    found, pending = [], ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            found.append(pending.strip())
            pending = ""
    return found
