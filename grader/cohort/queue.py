"""The queue: one SQLite file with a row for every job, so that a run survives anything.

    waiting -> running -> judged -> done
       ^          |          |
       +----------+----------+          given back, lost, or its result was damaged
                  +-> person            three failures: somebody has to look

Workers claim, renew, finish and give back; each statement holds only while the lease is theirs.
The coordinator alone enters jobs, takes leases away, and settles what was judged. Readers and
one writer at a time (WAL) need SQLite's locks, so the file must lie on a local disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import msgspec

from grader.cohort.disk import refuse_network_disk
from grader.cohort.errors import QueueError
from grader.cohort.rows import COLUMNS, SCHEMA, VERSION, Entry, Job, Lane, State
from meridian.clock import Clock, SystemClock

__all__ = ["LEASE_S", "TRIES", "Entry", "Job", "Lane", "Queue", "State"]

TRIES = 3
LEASE_S = 30.0
_BUSY_S = 30.0
_OTHER_PLACE = "Make room there and allow writing, or name another file with --queue."


class Queue:
    """The jobs of one `run`: a name for what is graded, the same when a run goes on.

    Use with `with`; a connection belongs to the thread that opened it. Raises `QueueError` for a
    file that is none, or lies on a network disk.
    """

    def __init__(
        self, path: Path, run: str, *, capstone: str, mode: str, clock: Clock | None = None
    ) -> None:
        self.path = path
        self.run = run
        self._of = (capstone, mode)
        self._clock = clock or SystemClock()
        path.parent.mkdir(parents=True, exist_ok=True)
        refuse_network_disk(path)
        try:
            self._db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
        except sqlite3.OperationalError as error:
            raise QueueError(path, f"cannot be opened ({error})", _OTHER_PLACE) from None
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if version not in (0, VERSION):
                raise QueueError(path, f"written by version {version}", "Move it away.")
            self._db.executescript(SCHEMA)
            self._db.execute(f"PRAGMA user_version = {VERSION}")
        except sqlite3.OperationalError as error:
            self._db.close()
            raise QueueError(path, f"cannot be used ({error})", _OTHER_PLACE) from None
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise QueueError(path, f"not a queue ({error})", "Move it away.") from None
        except QueueError:
            self._db.close()
            raise

    # -- the coordinator -------------------------------------------------------------------------

    def enter(self, entries: Iterable[Entry], *, only_changed: bool = False) -> None:
        """Make `entries` the jobs of this run, and take every lease of an earlier one back.

        A job that is done and unchanged stays done with `only_changed`, else it is settled once
        more from its result. What changed, or failed before, starts anew.
        """
        with self._writing():
            self._db.execute("UPDATE jobs SET run = '' WHERE run = ?", (self.run,))
            for entry in entries:
                self._enter(entry, only_changed)

    def _enter(self, entry: Entry, only_changed: bool) -> None:
        of = (*self._of, entry.learner, entry.attempt)
        same = "(capstone, mode, learner, attempt) = (?, ?, ?, ?)"
        if entry.lane == "judge":
            known = self._db.execute(f"SELECT lane, cache_key, state FROM jobs WHERE {same}", of)
            rows = known.fetchall()
            done = all(state == "done" for _, _, state in rows)
            if only_changed and done and ("judge", entry.cache_key, "done") in rows:
                self._db.execute(
                    f"UPDATE jobs SET run = ?, cached = 1 WHERE {same}", (self.run, *of)
                )
                return
            self._db.execute(f"DELETE FROM jobs WHERE {same} AND lane = 'races'", of)
        self._db.execute(
            "INSERT INTO jobs (run, capstone, mode, learner, attempt, lane, cache_key, task, "
            "state, cached) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (capstone, mode, learner, attempt, lane) DO UPDATE SET "
            "run = excluded.run, cache_key = excluded.cache_key, task = excluded.task, "
            "state = excluded.state, cached = excluded.cached, "
            "owner = '', tries = 0, reason = '', receipt = '', verdict = x''",
            (
                self.run,
                *self._of,
                entry.learner,
                entry.attempt,
                entry.lane,
                entry.cache_key,
                entry.task,
                "judged" if entry.cached else "waiting",
                int(entry.cached),
            ),
        )

    def judged(self) -> list[Job]:
        """The jobs whose result waits to be settled."""
        return self._select("state = 'judged'")

    def troubled(self) -> list[Job]:
        """The jobs that failed at least once in this run."""
        return self._select("tries > 0")

    def settle(
        self,
        job: Job,
        *,
        verdict: bytes = b"",
        receipt: str = "",
        note: str = "",
        then: Entry | None = None,
    ) -> None:
        """Mark `job` done; `then` is the job that follows from it, entered in the same step."""
        with self._writing():
            self._db.execute(
                "UPDATE jobs SET state = 'done', verdict = ?, receipt = ?, reason = ? WHERE id = ?",
                (verdict, receipt, note, job.id),
            )
            if then is not None:
                self._enter(then, False)

    def again(self, job: Job, reason: str) -> None:
        """Let `job` be judged anew: its result is gone or damaged."""
        with self._writing():
            self._missed(job.id, job.tries, reason)

    def lost(self, owner: str, reason: str) -> list[Job]:
        """Take the jobs of a worker that is gone away from it. Returns them as they were."""
        with self._writing():
            held = self._select("state = 'running' AND owner = ?", owner)
            for job in held:
                self._missed(job.id, job.tries, reason)
        return held

    def release(self) -> None:
        """Take every lease of this run back without blame: its workers were told to stop."""
        with self._writing():
            self._db.execute(
                "UPDATE jobs SET state = 'waiting', owner = '' WHERE run = ? AND state = 'running'",
                (self.run,),
            )

    def lapsed(self) -> list[str]:
        """Owners whose lease has run out: they live no more, or stand still."""
        rows = self._db.execute(
            "SELECT DISTINCT owner FROM jobs WHERE run = ? AND state = 'running' "
            "AND lease_until_s < ?",
            (self.run, self._clock.monotonic()),
        )
        return [owner for (owner,) in rows]

    # -- a worker --------------------------------------------------------------------------------

    def claim(self, owner: str, lane: Lane, lease_s: float = LEASE_S) -> Job | None:
        """The oldest waiting job of `lane`, now leased to `owner`; ``None`` when there is none."""
        with self._writing():
            row = self._db.execute(
                "UPDATE jobs SET state = 'running', owner = ?, lease_until_s = ?, cached = 0 "
                "WHERE id = (SELECT id FROM jobs WHERE run = ? AND state = 'waiting' "
                f"AND lane = ? ORDER BY tries, id LIMIT 1) RETURNING {COLUMNS}",
                (owner, self._clock.monotonic() + lease_s, self.run, lane),
            ).fetchone()
        return None if row is None else _job(row)

    def renew(self, job: Job, owner: str, lease_s: float = LEASE_S) -> bool:
        """Hold the lease for longer; whether it was still held."""
        until_s = self._clock.monotonic() + lease_s
        return self._mine("lease_until_s = ?", (until_s,), job, owner)

    def finish(self, job: Job, owner: str) -> bool:
        """Say that the result is kept; whether the lease was still held."""
        return self._mine("state = 'judged', owner = ''", (), job, owner)

    def give_back(self, job: Job, owner: str, reason: str = "", *, final: bool = False) -> bool:
        """Return `job` unjudged; whether the lease was still held.

        With a `reason` it counts as a failure, and when `final` as the last one.
        """
        if not reason:
            return self._mine("state = 'waiting', owner = ''", (), job, owner)
        with self._writing():
            row = self._db.execute(
                "SELECT tries FROM jobs WHERE id = ? AND state = 'running' AND owner = ?",
                (job.id, owner),
            ).fetchone()
            if row is not None:
                self._missed(job.id, TRIES if final else row[0], reason)
        return row is not None

    # -- reading ---------------------------------------------------------------------------------

    def counts(self, lane: Lane) -> dict[State, int]:
        """How many jobs of `lane` are in each state."""
        rows = self._db.execute(
            "SELECT state, count(*) FROM jobs WHERE run = ? AND lane = ? GROUP BY state",
            (self.run, lane),
        )
        return dict(rows.fetchall())

    def left(self, lane: Lane) -> int:
        """How many jobs of `lane` are neither done nor a person's."""
        counts = self.counts(lane)
        return sum(counts.values()) - counts.get("done", 0) - counts.get("person", 0)

    def jobs(self) -> list[Job]:
        """Every job of this run, by learner and attempt."""
        return sorted(self._select("1"), key=lambda job: (job.learner, job.attempt, job.lane))

    def read(self, job_id: int) -> Job:
        """A job as it is now. Raises `KeyError`."""
        found = self._select("id = ?", job_id)
        if not found:
            raise KeyError(f"there is no job {job_id} in this run")
        return found[0]

    def first(self, learner: str, attempt: int) -> Job:
        """The job in lane ``judge`` of this submission. Raises `KeyError`."""
        found = self._select("(learner, attempt, lane) = (?, ?, 'judge')", learner, attempt)
        if not found:
            raise KeyError(f"attempt {attempt} of {learner} is not in this run")
        return found[0]

    # -- within ----------------------------------------------------------------------------------

    def _missed(self, job: int, tries: int, reason: str) -> None:
        state = "person" if tries + 1 >= TRIES else "waiting"
        self._db.execute(
            "UPDATE jobs SET state = ?, owner = '', cached = 0, tries = ?, reason = ? WHERE id = ?",
            (state, tries + 1, reason, job),
        )

    def _mine(self, change: str, values: tuple[object, ...], job: Job, owner: str) -> bool:
        with self._writing():
            done = self._db.execute(
                f"UPDATE jobs SET {change} WHERE id = ? AND state = 'running' AND owner = ?",
                (*values, job.id, owner),
            )
        return done.rowcount == 1

    def _select(self, where: str, *values: object) -> list[Job]:
        rows = self._db.execute(
            f"SELECT {COLUMNS} FROM jobs WHERE run = ? AND {where} ORDER BY id",
            (self.run, *values),
        )
        return [_job(row) for row in rows]

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Queue:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _job(row: tuple[object, ...]) -> Job:
    return msgspec.convert((*row[:9], bool(row[9]), *row[10:]), Job)
