"""What a run came to: one record for the caller, the same in ``cohort.json`` for a program."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

import msgspec

from grader.cohort.discover import Oddity
from grader.cohort.queue import Job
from grader.cohort.settle import Result
from grader.cohort.worker import own_peak_bytes
from grader.report import sayable, write_file

__all__ = ["Row", "Summary", "summarize"]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One submission. `state` is ``done`` or ``person``: somebody has to look at `note`."""

    learner: str
    attempt: int
    state: str
    cached: bool
    score: float = 0
    max_score: float = 0
    passed: bool = False
    outcome: str = ""
    receipt: str = ""
    note: str = ""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """All of one run; `peak_bytes` is the most memory that a local worker had resident."""

    submissions: list[Row]
    odd: list[Oddity]
    out: Path
    peak_bytes: int
    coordinator_peak_bytes: int

    @property
    def path(self) -> Path:
        """Where this summary is kept."""
        return self.out / "cohort.json"

    @property
    def passed(self) -> int:
        return sum(row.passed for row in self.submissions)

    @property
    def cached(self) -> int:
        return sum(row.cached for row in self.submissions)

    @property
    def needs_a_person(self) -> list[Row]:
        return [row for row in self.submissions if row.state != "done"]


def summarize(jobs: Iterable[Job], odd: list[Oddity], out: Path, peak_bytes: int) -> Summary:
    """Write and return the summary of a run's jobs, which come by learner and attempt."""
    rows = [_row(list(group)) for _, group in groupby(jobs, lambda j: (j.learner, j.attempt))]
    summary = Summary(
        submissions=rows,
        odd=sorted(odd),
        out=out,
        peak_bytes=peak_bytes,
        coordinator_peak_bytes=own_peak_bytes(),
    )
    for left in out.glob(".cohort.json.*"):  # of a run that was killed right here
        left.unlink()
    plain = sayable(msgspec.to_builtins(summary, enc_hook=str))  # a name may be any bytes
    text = msgspec.json.format(msgspec.json.encode(plain), indent=2)
    write_file(summary.path, text + b"\n")
    return summary


def _row(jobs: list[Job]) -> Row:
    """From the jobs of one submission, the one in lane ``races`` last."""
    last = next((job for job in jobs if job.state != "done"), jobs[-1])
    result = msgspec.json.decode(last.verdict, type=Result) if last.verdict else None
    row = Row(
        learner=last.learner,
        attempt=last.attempt,
        state="done" if last.state == "done" else "person",
        cached=all(job.cached for job in jobs),
        receipt=last.receipt,
        note=last.reason,
    )
    if result is None:
        return row
    return msgspec.structs.replace(
        row,
        score=result.score,
        max_score=result.max_score,
        passed=result.passed,
        outcome=result.outcome,
    )
