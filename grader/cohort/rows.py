"""The rows of the queue: how they are kept, and how they are read."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

__all__ = ["COLUMNS", "SCHEMA", "VERSION", "Entry", "Job", "Lane", "State"]

Lane: TypeAlias = Literal["judge", "races"]
State: TypeAlias = Literal["waiting", "running", "judged", "done", "person"]

VERSION = 1
SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id INTEGER PRIMARY KEY,
    run TEXT NOT NULL,
    capstone TEXT NOT NULL,
    mode TEXT NOT NULL,
    learner TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    lane TEXT NOT NULL CHECK (lane IN ('judge', 'races')),
    cache_key TEXT NOT NULL,
    task BLOB NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'judged', 'done', 'person')),
    owner TEXT NOT NULL DEFAULT '',
    lease_until_s REAL NOT NULL DEFAULT 0,
    tries INTEGER NOT NULL DEFAULT 0,
    cached INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '',
    receipt TEXT NOT NULL DEFAULT '',
    verdict BLOB NOT NULL DEFAULT x'',
    UNIQUE (capstone, mode, learner, attempt, lane)
) STRICT;
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (run, state, lane, id);
"""
COLUMNS = (
    "id, learner, attempt, lane, cache_key, task, state, owner, tries, cached, "
    "reason, receipt, verdict"
)


class Job(msgspec.Struct, frozen=True, array_like=True):
    """One row as it was read."""

    id: int
    learner: str
    attempt: int
    lane: Lane
    cache_key: str
    task: bytes
    state: State
    owner: str
    tries: int
    cached: bool
    reason: str
    receipt: str
    verdict: bytes


class Entry(msgspec.Struct, frozen=True):
    """What a run wants done; `cached` when its result is there already."""

    learner: str
    attempt: int
    lane: Lane
    cache_key: str
    task: bytes
    cached: bool
