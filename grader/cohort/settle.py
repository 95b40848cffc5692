"""From a sealed result to what lasts: checked, merged, signed, handed out, recorded; once each.

Only the coordinator does this, because only it has the key that signs. Every step gives the same
when it is repeated, so a run that is killed in the midst of one repeats it.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

import msgspec

from grader.box.files import remove_tree
from grader.cohort.errors import BrokenSeal
from grader.cohort.intake import as_entry
from grader.cohort.queue import Entry, Job, Queue
from grader.cohort.sealed import Results, job_secret
from grader.cohort.task import Task
from grader.feedback import feedback_html
from grader.judging.judge import Verdict
from grader.races.history import past_of
from grader.records.gradebook import Gradebook, GradebookError
from grader.report import CriterionReport, Report, write_file
from grader.scoring import score
from meridian.academy.curriculum import Capstone

__all__ = ["Result", "Settler", "merged"]

FEEDBACK = "feedback.html"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What the run tells about one submission that is judged."""

    score: float
    max_score: float
    passed: bool
    judged: bool
    outcome: str
    """``passed``, or the outcome of the first criterion that was not."""


class Settler:
    """Settles the jobs of one run. `latest` is the last attempt of each learner in it."""

    def __init__(
        self,
        queue: Queue,
        results: Results,
        run_secret: bytes,
        key: bytes,
        capstone: Capstone,
        out: Path,
        book: Gradebook,
        latest: dict[str, int],
    ) -> None:
        self._queue = queue
        self._results = results
        self._run_secret = run_secret
        self._key = key
        self._capstone = capstone
        self._out = out
        self._book = book
        self._latest = latest

    def settle(self, job: Job) -> Result | None:
        """Settle one judged job; ``None`` when there is more to do for its submission."""
        try:
            files = self._files(job)
            report = _report(files, msgspec.json.decode(job.task, type=Task))
        except BrokenSeal as error:
            self._results.discard(job.cache_key)
            self._queue.again(job, str(error))
            return None
        if job.lane == "judge" and _races_left(report, self._capstone):
            self._queue.settle(job, then=self._race(job))
            return None
        if job.lane == "races":
            first = self._queue.first(job.learner, job.attempt)
            try:
                base = _report(self._files(first), msgspec.json.decode(first.task, type=Task))
            except BrokenSeal as error:
                self._results.discard(first.cache_key)
                self._queue.again(first, str(error))
                self._queue.settle(job)
                return None
            report = merged(base, report, self._capstone)
        report.sign(self._key)
        self._hand_out(job, report, files)
        receipt, note = self._record(report)
        result = _result(report)
        self._queue.settle(job, verdict=msgspec.json.encode(result), receipt=receipt, note=note)
        return result

    def _files(self, job: Job) -> dict[str, bytes]:
        files = self._results.get(job.cache_key, job_secret(self._run_secret, job.cache_key))
        if files is None:
            raise BrokenSeal("it is gone")
        return files

    def _race(self, job: Job) -> Entry:
        task = msgspec.json.decode(job.task, type=Task)
        earlier = [
            self._book.report(entry.receipt)
            for entry in self._book.attempts(job.learner, task.capstone)
            if entry.attempt != job.attempt
        ]
        race = msgspec.structs.replace(task, lane="races", history=past_of(earlier))
        return as_entry(race, self._results, self._run_secret)

    def _hand_out(self, job: Job, report: Report, files: dict[str, bytes]) -> None:
        """The folder of this attempt, whole or not at all; the page of the last one to give."""
        place = self._out / "reports" / job.learner / f"attempt-{job.attempt}"
        _sweep(place.parent)
        folder = Path(tempfile.mkdtemp(prefix=".new-", dir=place.parent))
        try:
            for name, content in files.items():
                if name not in ("report.json", FEEDBACK):
                    (folder / name).write_bytes(content)
            page = feedback_html(report, self._capstone.title, folder).encode()
            (folder / FEEDBACK).write_bytes(page)
            report.write(folder / "report.json")
            os.chmod(folder, 0o755)
            _replace_folder(folder, place)
        finally:
            remove_tree(folder)
        if job.attempt == self._latest.get(job.learner):
            _sweep(self._out / "feedback" / job.learner)
            write_file(self._out / "feedback" / job.learner / FEEDBACK, page)

    def _record(self, report: Report) -> tuple[str, str]:
        """The receipt, or why there is none."""
        if report.environment.get("mode") != "submit":
            return "", ""
        try:
            return self._book.record(report, self._key), ""
        except GradebookError as error:
            return "", f"not recorded: {error.reason}; compare with `grader regrade`"


def merged(base: Report, races: Report, capstone: Capstone) -> Report:
    """`base`, which left its benchmarks out, with those that `races` judged under the same seed.

    The points come from the one rule there is, which is asked with a verdict for what was earned
    and one for what was missed.
    """
    raced = {entry.id: entry for entry in races.criteria if entry.outcome != "not_run"}
    criteria = [raced.get(entry.id, entry) for entry in base.criteria]
    total = score(capstone, "submit", [v for entry in criteria for v in _verdicts(entry)])
    return msgspec.structs.replace(
        base,
        criteria=criteria,
        benchmarks=races.benchmarks,
        score=total.points,
        bonus=total.bonus,
        passed=total.passed and base.notebook.outcome in ("passed", "not_run"),
        duration_s=round(base.duration_s + races.duration_s, 3),
    )


def _verdicts(entry: CriterionReport) -> list[Verdict]:
    if entry.outcome == "passed":
        return [Verdict(criterion=entry.id, points=entry.points, category="", outcome="passed")]
    missed = entry.points - entry.score
    return [
        Verdict(criterion=entry.id, points=entry.score, category="", outcome="passed"),
        Verdict(criterion=entry.id, points=missed, category="", outcome=entry.outcome),
    ]


def _races_left(report: Report, capstone: Capstone) -> bool:
    benchmarks = {c.id for c in (*capstone.criteria, *capstone.bonus) if c.benchmark}
    if report.environment.get("mode") != "submit":
        return False
    return any(entry.id in benchmarks and entry.outcome == "not_run" for entry in report.criteria)


def _report(files: dict[str, bytes], task: Task) -> Report:
    """The report in a result. Raises `BrokenSeal` when it is not of this task."""
    try:
        report = msgspec.json.decode(files["report.json"], type=Report)
    except (KeyError, msgspec.DecodeError) as error:
        raise BrokenSeal(f"no report ({error})") from None
    facts = report.environment
    is_of = (report.capstone, facts.get("learner"), facts.get("attempt"), report.seed)
    if is_of != (task.capstone, task.learner, task.attempt, task.seed):
        raise BrokenSeal("the report is of another job")
    if report.submission_sha256 != task.submission_sha256:
        raise BrokenSeal("the report is of another submission")
    return report


def _result(report: Report) -> Result:
    missed = (e.outcome for e in report.criteria if e.outcome not in ("passed", "not_run"))
    return Result(
        score=report.score,
        max_score=report.max_score,
        passed=report.passed,
        judged=report.judged,
        outcome=next(missed, "passed"),
    )


def _sweep(folder: Path) -> None:
    """Make `folder`, or remove what a run that was killed right here left half written in it."""
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(".*"):
        if left.is_dir():
            remove_tree(left)
        else:
            left.unlink()


def _replace_folder(new: Path, place: Path) -> None:
    """Put `new` where `place` is, or was; a reader sees one or the other, whole."""
    if place.exists():
        old = place.with_name(f".old-{secrets.token_hex(4)}")
        os.rename(place, old)
        os.rename(new, place)
        remove_tree(old)
    else:
        os.rename(new, place)
