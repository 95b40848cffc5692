"""Judging again what was handed in, and saying whose marks change, by how much, and why.

A course mends its suite after half the cohort was graded. Then everybody is judged again on the
very files and hidden inputs of their attempt, and before anything is entered it is known which
criterion moves whose marks. What was judged by the same grader with the same software is not
judged again: the same would come out.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from grader.authoring.parallel import each
from grader.box import open_box
from grader.box.reserve import RESERVE
from grader.job import JobSpec, grader_digest, run_one
from grader.records.gradebook import Gradebook
from grader.records.gradebook_reader import Attempt, GradebookReader
from grader.records.marks import counted, settled
from grader.records.regraded import Regraded, changes
from grader.records.store import StoreError, SubmissionStore
from grader.report import BadReport, Report, read_report
from grader.software import differences, software
from grader.spec import complete
from meridian.academy.curriculum import Capstone

__all__ = ["Regraded", "Settings", "enter", "regrade"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How to judge again. `spec` is completed for each attempt: box, limits, and for a course of
    its own definition, suite and key. `races` runs the benchmarks anew: without it their verdict
    stands, because another measurement is another number and no correction.

    `cache` is a folder that keeps new verdicts until they are entered; ``None`` writes nothing.
    """

    key: bytes
    store: SubmissionStore
    spec: JobSpec
    races: bool = False
    force: bool = False
    latest: bool = False
    workers: int = 1
    cache: Path | None = None


class _Order(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to be judged again, as plain data for any process."""

    spec: JobSpec
    sha256: str
    store: Path
    cached_at: Path | None


def regrade(
    book: GradebookReader,
    settings: Settings,
    *,
    capstone: str | None = None,
    learner: str | None = None,
    on_done: Callable[[int, int, Regraded], None] | None = None,
) -> list[Regraded]:
    """Judge the attempts again, in the order they were entered; nothing is entered here.

    Raises `BoxUnavailable`, `SuiteError`, `UnknownKey`, `ProcessLost`.
    """
    attempts = _chosen(book.attempts(learner, capstone), settings.latest)
    today = _Today(settings)
    found: dict[int, Regraded] = {}
    specs: dict[int, JobSpec] = {}
    reports: dict[int, Report] = {}
    todo: dict[int, _Order] = {}
    for i, attempt in enumerate(attempts):
        old = reports[i] = book.report(attempt.receipt)
        spec = specs[i] = today.spec(attempt, old)
        facts = today.facts(attempt.capstone)
        because = differences({**old.environment, "box": old.box}, facts)
        done = Regraded(
            attempt=attempt, score=attempt.score, passed=attempt.passed, because=because
        )
        if not because and not settings.force and not settings.races:
            done.cached = True
        elif attempt.submission_sha256 not in settings.store:
            done.problem = _missing(settings.store, attempt.submission_sha256)
        else:
            todo[i] = _order(attempt, spec, facts, settings)
        found[i] = done
    for finished, (i, result) in enumerate(_judged(todo, settings), 1):
        _compare(found[i], reports[i], result, specs[i], book, settings)
        if on_done is not None:
            on_done(finished, len(todo), found[i])
    return [found[i] for i in sorted(found)]


def enter(
    book: Gradebook, results: Sequence[Regraded], settings: Settings, *, author: str, why: str
) -> int:
    """Append every new verdict to the gradebook; how many. The kept copies are removed after."""
    today, count = _Today(settings), 0
    for result in results:
        if result.report is None:
            continue
        definition = today.definition(result.attempt.capstone)
        book.regrade(result.report, settings.key, capstone=definition, author=author, why=why)
        count += 1
    if settings.cache is not None and settings.cache.is_dir():
        for path in settings.cache.glob("*.json"):
            path.unlink(missing_ok=True)
    return count


def _chosen(attempts: list[Attempt], latest: bool) -> list[Attempt]:
    if not latest:
        return attempts
    newest = {(entry.learner, entry.capstone): entry for entry in attempts}
    return list(newest.values())


class _Today:
    """How each capstone is judged now; looked up once, as a cohort has thousands of attempts."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._specs: dict[str, JobSpec] = {}
        self._facts: dict[str, dict[str, Any]] = {}

    def spec(self, attempt: Attempt, old: Report) -> JobSpec:
        """The job of this attempt: its own learner, number and seed, all else as of today."""
        return msgspec.structs.replace(
            self._completed(attempt.capstone),
            learner=attempt.learner,
            attempt=attempt.attempt,
            seed=old.seed,
            trusted=self._settings.spec.trusted or bool(old.environment.get("trusted")),
            races=self._settings.races or not _raced(old, self.definition(attempt.capstone)),
        )

    def definition(self, capstone: str) -> Capstone:
        definition = self._completed(capstone).definition
        assert definition is not None
        return definition

    def facts(self, capstone: str) -> dict[str, Any]:
        if capstone not in self._facts:
            spec = self._completed(capstone)
            assert spec.suite is not None
            self._facts[capstone] = {
                **software(self.definition(capstone), spec.solution),
                "grader_sha256": grader_digest(spec.suite),
                "box": "none" if spec.box == "none" else open_box(spec.box).tier,
            }
        return self._facts[capstone]

    def _completed(self, capstone: str) -> JobSpec:
        if capstone not in self._specs:
            named = {"capstone": capstone, "key": self._settings.key}
            self._specs[capstone] = complete(msgspec.structs.replace(self._settings.spec, **named))
        return self._specs[capstone]


def _raced(report: Report, capstone: Capstone) -> bool:
    """Whether the benchmarks were judged at all, and have a verdict that can stand."""
    races = {c.id for c in (*capstone.criteria, *capstone.bonus) if c.benchmark}
    return all(e.outcome in ("passed", "failed") for e in report.criteria if e.id in races)


def _missing(store: SubmissionStore, sha256: str) -> str:
    try:
        path = store.path(sha256)
    except StoreError as error:
        return error.reason
    return f"its files are not kept: there is no {path}"


def _order(attempt: Attempt, spec: JobSpec, facts: dict[str, Any], settings: Settings) -> _Order:
    known = [
        attempt.submission_sha256, spec.seed, spec.races, spec.limits, spec.trusted, spec.learner,
        spec.attempt, spec.capstone, facts,
    ]  # fmt: skip
    name = hashlib.sha256(msgspec.json.encode(known, order="deterministic")).hexdigest()
    return _Order(
        spec=spec,
        sha256=attempt.submission_sha256,
        store=settings.store.folder,
        cached_at=settings.cache and settings.cache / f"{name}.json",
    )


def _judged(
    todo: dict[int, _Order], settings: Settings
) -> Iterator[tuple[int, Report | StoreError]]:
    """Every verdict as it comes: kept ones first, then side by side, then races one by one."""
    batches: tuple[list[int], list[int]] = ([], [])
    for i, order in todo.items():
        kept = _kept(order, settings.key)
        if kept is not None:
            yield i, kept
        else:
            batches[order.spec.races].append(i)
    for places, width in zip(batches, (settings.workers, 1), strict=True):
        for j, result in each(_judge, [todo[i] for i in places], width):
            yield places[j], result


def _kept(order: _Order, key: bytes) -> Report | None:
    """A verdict of an earlier regrade that was not entered, if it is whole and ours."""
    if order.cached_at is None or not order.cached_at.exists():
        return None
    try:
        report = read_report(order.cached_at)
    except BadReport:
        return None
    return report if report.verify(key) else None


def _judge(order: _Order) -> Report | StoreError:
    """In any process. A damaged store is this attempt's problem, not that of all others."""
    with tempfile.TemporaryDirectory(prefix="meridian-regrade-") as work:
        try:
            folder = SubmissionStore(order.store).take(order.sha256, Path(work) / "submission")
        except StoreError as error:
            return error
        own = {"submission": folder, "out": Path(work) / "out"}
        with RESERVE.lent(racing=order.spec.races) as pool:
            report = run_one(msgspec.structs.replace(order.spec, **own, pool=pool))
        if order.cached_at is not None:
            report.write(order.cached_at)
        return report


def _compare(
    done: Regraded,
    old: Report,
    new: Report | StoreError,
    spec: JobSpec,
    book: GradebookReader,
    settings: Settings,
) -> None:
    assert spec.definition is not None
    if isinstance(new, StoreError):
        done.problem = new.reason
        return
    if new.submission_sha256 != done.attempt.submission_sha256:
        done.problem = "the files no longer make the submission that was judged"
        return
    if not spec.races:
        new = _with_races_of(old, new, spec.definition)
        new.sign(settings.key)
    marks = settled(new, book.manual_marks(done.attempt.receipt), spec.definition)
    done.report, done.score, done.passed = new, marks.score, marks.passed
    done.changes = list(changes(old, new, spec.definition))
    if any(change.benchmark for change in done.changes):
        done.because = (*done.because, "the races were run again")


def _with_races_of(old: Report, new: Report, capstone: Capstone) -> Report:
    """`new`, which left its benchmarks out, with the verdicts that the attempt had on them."""
    races = {c.id for c in (*capstone.criteria, *capstone.bonus) if c.benchmark}
    raced = {entry.id: entry for entry in old.criteria if entry.id in races}
    whole = msgspec.structs.replace(
        new,
        criteria=[raced.get(entry.id, entry) for entry in new.criteria],
        benchmarks=old.benchmarks,
        environment={**new.environment, "races": "those of the attempt"},
    )
    total = counted(whole, {}, capstone)
    return msgspec.structs.replace(whole, score=total.score, bonus=total.bonus, passed=total.passed)
