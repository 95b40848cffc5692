"""One job as data: it can be sent to any machine that has the same grader, and judged there."""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from grader.box.files import remove_tree
from grader.box.pool import BoxPool
from grader.cohort.environment import Environment, environment
from grader.cohort.errors import OtherGrader
from grader.cohort.queue import Lane
from grader.cohort.sealed import seal
from grader.job import JobSpec, run_one
from grader.limits import Limits
from grader.races.history import Past
from grader.records.store import SubmissionStore
from grader.report import Mode, Report

__all__ = ["Executor", "Task", "cache_key", "judge"]

Executor = Callable[["Task", bytes | None, bytes], bytes]
"""Judge a task on these packed files (``None``: refused, see `Task.source`), sealed with this
secret. The one interface to wherever the work is done."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a verdict depends on; equal tasks have equal verdicts, but for time.

    `submission_sha256` is empty for a submission that cannot be taken in. Such a one does not
    travel: `source`, a path as the system has it, is judged, and refused, where it lies; `refusal`
    is why.
    """

    capstone: str
    mode: Mode
    lane: Lane
    learner: str
    attempt: int
    seed: str
    box: str
    trusted: bool
    limits: Limits
    environment: Environment
    submission_sha256: str
    refusal: str = ""
    source: bytes = b""
    history: tuple[Past, ...] = ()
    """The learner's earlier races, for the plots alone."""


def cache_key(task: Task) -> str:
    """The name of this task's verdict, whoever reaches it, wherever the submission lay."""
    facts = msgspec.structs.replace(task, source=b"", history=())
    return hashlib.sha256(msgspec.json.encode(facts, order="deterministic")).hexdigest()


def judge(task: Task, packed: bytes | None, secret: bytes, pool: BoxPool | None = None) -> bytes:
    """Judge `task` in this process and seal what came out. `pool` has boxes that run already.

    Raises `OtherGrader` when this process would judge by other rules, `ValueError` when the
    submission is not the one that was meant, and all that `run_one` raises.
    """
    differs = _own(task.capstone).differs(task.environment)
    if differs:
        raise OtherGrader(differs)
    work = Path(tempfile.mkdtemp(prefix="meridian-cohort-"))
    try:
        spec = _spec(task, _submission(task, packed, work), work / "out", secret)
        report = _judged(task, msgspec.structs.replace(spec, pool=pool))
        _same(task, report)
        out = work / "out"
        files = sorted(path for path in out.iterdir() if path.is_file())
        files += sorted(out.glob("plots/*.svg"))
        named = {path.relative_to(out).as_posix(): path.read_bytes() for path in files}
        return seal(named, secret)
    finally:
        remove_tree(work)


def _judged(task: Task, spec: JobSpec) -> Report:
    """What fails because the grader's own files changed, or are not all there, fails for all."""
    try:
        return run_one(spec)
    except (ImportError, SyntaxError, NameError, AttributeError, TypeError) as error:
        differs = environment(task.capstone).differs(task.environment)
        if isinstance(error, ImportError | SyntaxError):
            differs = (*differs, f"what it can load ({error})")
        if differs:
            raise OtherGrader(differs) from error
        raise


def _submission(task: Task, packed: bytes | None, work: Path) -> Path:
    if packed is None:
        return Path(os.fsdecode(task.source))
    store = SubmissionStore(work / "store")
    store.folder.mkdir()
    store.path(task.submission_sha256).write_bytes(packed)
    return store.take(task.submission_sha256, work / "submission")


def _spec(task: Task, submission: Path, out: Path, secret: bytes) -> JobSpec:
    return JobSpec(
        capstone=task.capstone,
        submission=submission,
        out=out,
        mode="bench" if task.lane == "races" else task.mode,
        races=task.lane == "races",
        learner=task.learner,
        attempt=task.attempt,
        seed=task.seed,
        box=task.box,
        trusted=task.trusted,
        limits=task.limits,
        history=task.history,
        key=secret,
    )


_own = functools.cache(environment)


def _same(task: Task, report: Report) -> None:
    """Neither the grader nor the submission may have changed while the cohort was graded."""
    if report.environment["grader_sha256"] != task.environment.grader:
        raise OtherGrader(("grader",))
    if report.submission_sha256 != task.submission_sha256:
        raise ValueError("The submission changed while the cohort was graded: run it again")
