"""From a sealed result to what lasts: checked, merged, signed, handed out, recorded; once each.

Only the coordinator does this, because only it has the key that signs. Every step gives the same
when it is repeated, so a run that is killed in the midst of one repeats it.
"""

from __future__ import annotations

import os
import secrets
import shutil
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
from grader.races.history import past_of
from grader.records.gradebook import Attempt, Gradebook, GradebookError
from grader.records.marks import counted
from grader.records.pages import keep_plots, learner_page_of, plots_of
from grader.report import Report, write_file
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
        entry, note = None, ""
        if report.environment.get("mode") == "submit":
            entry, note = self._record(report)
        result = self._hand_out(job, report, files, entry)
        receipt = entry.receipt if entry else ""
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

    def _record(self, report: Report) -> tuple[Attempt, str]:
        """How the attempt stands in the gradebook, and why it does not stand as in `report`."""
        facts, note = report.environment, ""
        try:
            self._book.record(report, self._key)
        except GradebookError as error:
            note = f"not recorded: {error.reason}; compare with `grader regrade`"
        return self._book.attempt(facts["learner"], report.capstone, facts["attempt"]), note

    def _hand_out(
        self, job: Job, report: Report, files: dict[str, bytes], entry: Attempt | None
    ) -> Result:
        """The folder of this attempt, whole or not at all; the page of the last one to give.

        Of an attempt that is entered, what the gradebook says: it may have another verdict, be
        regraded, or have marks by hand. Plots are of the verdict that they come with.
        """
        place = self._out / "reports" / job.learner / f"attempt-{job.attempt}"
        _sweep(place.parent)
        folder = Path(tempfile.mkdtemp(prefix=".new-", dir=place.parent))
        try:
            for name, content in files.items():
                if name not in ("report.json", FEEDBACK):
                    (folder / name).parent.mkdir(exist_ok=True)
                    (folder / name).write_bytes(content)
            if entry is None:
                capstone = self._capstone
                page = feedback_html(report, capstone.title, folder, capstone=capstone)
            else:
                keep_plots(self._book, report, folder)
                report = self._stands(report, entry, folder)
                page = learner_page_of(self._book, entry.receipt, self._capstone)
            (folder / FEEDBACK).write_text(page, encoding="utf-8")
            report.write(folder / "report.json")
            os.chmod(folder, 0o755)
            _replace_folder(folder, place)
        finally:
            remove_tree(folder)
        if job.attempt == self._latest.get(job.learner):
            _sweep(self._out / "feedback" / job.learner)
            write_file(self._out / "feedback" / job.learner / FEEDBACK, page.encode())
        return _result(report, entry)

    def _stands(self, report: Report, entry: Attempt, folder: Path) -> Report:
        """The report that counts; when it is not `report`, `folder` gets its plots instead."""
        counts = self._book.report(entry.receipt)
        if counts.signature != report.signature:
            for left in folder.iterdir():
                remove_tree(left) if left.is_dir() else left.unlink()
            if (plots := plots_of(self._book, counts)).is_dir():
                shutil.copytree(plots, folder, dirs_exist_ok=True)
        return counts


def merged(base: Report, races: Report, capstone: Capstone) -> Report:
    """`base`, which left its benchmarks out, with those that `races` judged under the same seed."""
    raced = {entry.id: entry for entry in races.criteria if entry.outcome != "not_run"}
    whole = msgspec.structs.replace(
        base,
        criteria=[raced.get(entry.id, entry) for entry in base.criteria],
        benchmarks=races.benchmarks,
        duration_s=round(base.duration_s + races.duration_s, 3),
    )
    total = counted(whole, {}, capstone)
    return msgspec.structs.replace(whole, score=total.score, bonus=total.bonus, passed=total.passed)


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


def _result(report: Report, entry: Attempt | None) -> Result:
    missed = (e.outcome for e in report.criteria if e.outcome not in ("passed", "not_run"))
    stands = entry or report
    return Result(
        score=stands.score,
        max_score=stands.max_score,
        passed=stands.passed,
        judged=stands.judged,
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
    """Put `new` where `place` is. A reader finds one of both, whole, or for a moment neither."""
    if place.exists():
        old = place.with_name(f".old-{secrets.token_hex(4)}")
        os.rename(place, old)
        os.rename(new, place)
        remove_tree(old)
    else:
        os.rename(new, place)
