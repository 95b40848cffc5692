"""One job: a submission goes in, a signed report comes out, whatever the submission does.

    collect -> audit -> acceptance -> notebook -> benchmark -> report

Each stage is one method that adds its part to the report. A refusal, a crash, a limit that was
hit: all are outcomes inside the report. What raises is the grader's own trouble: an unusable box,
a suite that does not fit its capstone, a folder that cannot be written.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import tempfile
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from grader.box import detect
from grader.box.files import remove_tree
from grader.box.pool import Lease
from grader.box.workers import Workshop
from grader.errors import RemoteError, WorkerLost, WrongType
from grader.feedback import feedback_html
from grader.intake.audit import audit
from grader.intake.collect import Collected, SubmissionRefused, collect
from grader.judging.blame import lack_of_room, machine_trouble
from grader.judging.judge import Judge, Verdict, explain, run_suite
from grader.proxy.submission import Submission
from grader.races.quiet import Quiet
from grader.races.race import Race
from grader.records.store import SubmissionStore
from grader.report import (
    BenchmarkEntry,
    NotebookReport,
    Outcome,
    Report,
    sayable,
    write_file,
)
from grader.scoring import score
from grader.scrub import scrubber
from grader.sides import Sides, box_for, shape_of
from grader.software import grader_digest, software
from grader.spec import JobSpec, complete, draw_seed

if TYPE_CHECKING:
    from grader.notebooks.notebook import NotebookRun

__all__ = ["JobSpec", "grader_digest", "run_one"]


def run_one(spec: JobSpec) -> Report:
    """Judge one submission; write ``report.json``, ``feedback.html`` and plots to ``spec.out``.

    Raises `BoxUnavailable`, `SuiteError`, `UnknownKey`, `ValueError` for a bad spec, `OSError`,
    also when the machine made a test fail: no report is written then.
    """
    job = _Job(complete(spec))
    if job.spec.pool is not None and job.box is not None:
        with job.spec.pool.take(shape_of(job.spec, job.box)) as job.lease:
            return job.run(job.lease.work)
    work = Path(tempfile.mkdtemp(prefix="meridian-job-"))
    try:
        return job.run(work)
    finally:
        remove_tree(work)


class _Job:
    """The state of one `run_one`: what the stages hand to each other."""

    def __init__(self, spec: JobSpec) -> None:
        assert spec.definition is not None
        assert spec.suite is not None
        assert spec.key is not None
        self.spec = spec
        self.capstone = spec.definition
        self.suite = spec.suite
        self.key = spec.key
        self.seed = spec.seed or draw_seed(
            spec.key, spec.learner, spec.attempt, spec.capstone, spec.mode
        )
        self.box = box_for(spec)
        self.at = ("", 0, 0)  # the stage, how many of its parts are done, of how many
        self.race = Race(self.seed, lambda name: self.say("benchmark", name), history=spec.history)
        self.quiet = Quiet(on_wait=lambda said: self.say(self.at[0], said))
        self.verdicts: dict[str, Verdict] = {}
        self.details: list[str] = []
        self.notebook = NotebookReport()
        self.benchmarks: list[BenchmarkEntry] = []
        self.collected: Collected | None = None
        self.lease: Lease | None = None
        self.refusal: tuple[Outcome, str] | None = None
        self.judged = True
        self.deadline = time.monotonic() + spec.limits.job_s

    # -- the pipeline ----------------------------------------------------------------------------

    def run(self, work: Path) -> Report:
        started = datetime.datetime.now(datetime.UTC)
        start_s = time.monotonic()
        mode = self.spec.mode
        try:
            code = self.collect(work)
            self.audit(code)
            with contextlib.closing(self.sides(code, work)) as sides:
                self.quiet.on_waited = sides.extend
                with self.quiet.working(), self.open_notebook(sides.submission) as notebook:
                    self.probe(sides.submission)
                    if notebook is not None and self.refusal is None:
                        notebook.launch()
                    if mode != "bench":
                        self.acceptance(sides)
                    if notebook is not None:
                        self.run_notebook(notebook, sides.submission)
                if mode != "check" and self.spec.races:
                    self.benchmark(sides)
        except SubmissionRefused as error:
            self.refusal, self.judged = ("refused", str(error)), False
        self.say("report", "")
        report = self.report(started.isoformat(timespec="seconds"), work)
        report.duration_s = round(time.monotonic() - start_s, 3)
        report.sign(self.key)
        self.write(report)
        return report

    def collect(self, work: Path) -> Path:
        self.say("collect", "")
        code = work / "collected"
        self.collected = collect(self.spec.submission, code, self.capstone.package)
        if self.lease is not None:  # its box sees this folder, as it is
            for entry in code.iterdir():
                entry.rename(self.lease.code / entry.name)
            code = self.lease.code
        if self.spec.keep is not None:
            SubmissionStore(self.spec.keep).add(code, self.collected)
        return code

    def audit(self, code: Path) -> None:
        self.say("audit", "")
        assert self.collected is not None
        if not self.spec.trusted:
            capstone = self.capstone
            allowed = (*capstone.allowed_imports, *capstone.library)
            audit(code, self.collected.files, capstone.package, allowed)

    def sides(self, code: Path, work: Path) -> Sides:
        return Sides(
            self.spec,
            code,
            work,
            box=self.box,
            seed=self.seed,
            deadline=self.deadline,
            boxes=None if self.lease is None else self.lease.boxes,
        )

    def probe(self, workshop: Workshop) -> None:
        """Import the package once, so that one cause is told once and not by every test.

        An exception on import costs no attempt: nothing hidden was asked. A limit that is hit
        there does.
        """
        submission = Submission(workshop, self.capstone.package)
        try:
            submission.module()
        except (RemoteError, WorkerLost, WrongType, AssertionError) as error:
            trouble = machine_trouble(error, workshop.place, self.spec.limits)
            if trouble is not None:
                raise trouble from None
            outcome, message, _ = explain(error)
            self.refusal, self.judged = (outcome, message), not isinstance(error, RemoteError)
        finally:
            submission.close()

    def criteria(self, *, benchmark: bool) -> list[str]:
        chosen = (*self.capstone.criteria, *self.capstone.bonus)
        return [criterion.id for criterion in chosen if criterion.benchmark == benchmark]

    def acceptance(self, sides: Sides) -> None:
        self.judge("acceptance", self.criteria(benchmark=False), sides)

    def benchmark(self, sides: Sides) -> None:
        raced = self.criteria(benchmark=True)
        self.at = ("benchmark", 0, 0)  # where it waits, if it does
        alone = raced and self.refusal is None
        with self.quiet.alone() if alone else contextlib.nullcontext():
            self.judge("benchmark", raced, sides)
        self.benchmarks = self.race.finish(self.spec.out)

    def open_notebook(self, workshop: Workshop) -> AbstractContextManager[NotebookRun | None]:
        """What runs the notebook. Its kernel starts early, while criteria are judged."""
        if self.spec.mode != "submit" or self.spec.notebook is None or self.box is None:
            return contextlib.nullcontext()
        from grader.notebooks.notebook import NotebookRun

        return NotebookRun(workshop)

    def run_notebook(self, run: NotebookRun, workshop: Workshop) -> None:
        self.say("notebook", "")
        assert self.collected is not None
        assert self.spec.notebook is not None
        if self.refusal is not None:
            return
        self.notebook = run.judge(
            master=self.spec.notebook,
            submitted=workshop.code / "capstone.ipynb" if self.collected.has_notebook else None,
            on_cell=lambda done, total: self.say("notebook", f"cell {done}", done, total),
        )
        if self.notebook.outcome != "passed":
            trouble = lack_of_room(workshop.place, self.spec.limits, named=False)
            if trouble is not None:
                raise trouble

    def notebook_holds(self) -> bool:
        """A submission passes only with its notebook, where there is one to judge and a box."""
        judged = self.spec.mode == "submit" and self.spec.notebook and self.box
        return not judged or self.notebook.outcome == "passed"

    def judge(self, stage: str, criteria: list[str], sides: Sides) -> None:
        self.say(stage, "")
        if self.refusal is not None or not criteria:
            return
        self.race.workshops = sides.all()
        judge = Judge(
            package=self.capstone.package,
            workshop=sides.submission,
            peers=sides.peers,
            peer_module=sides.peer_module,
            reference=sides.reference,
            seed=self.seed,
            race=self.race,
            selected=frozenset(criteria),
            on_verdict=lambda done, total, what: self.say(stage, f"criterion {what}", done, total),
            titles={c.id: c.title for c in (*self.capstone.criteria, *self.capstone.bonus)},
            earlier=self.verdicts,
        )
        run_suite(self.suite, self.capstone, judge)
        self.verdicts.update(judge.verdicts)
        self.details += [
            f"{name}: {v.outcome}\n{v.detail}\n" for name, v in judge.verdicts.items() if v.detail
        ]

    def say(self, stage: str, message: str, done: int = 0, total: int = 0) -> None:
        """Tell how far a stage is; without numbers, as far as it was. A total of 0 is unknown."""
        if not total and self.at[0] == stage:
            _, done, total = self.at
        self.at = (stage, done, total)
        if self.spec.on_event is None:
            return
        self.spec.on_event(
            {"event": "stage", "stage": stage, "done": done, "total": total, "message": message}
        )

    # -- the report ------------------------------------------------------------------------------

    def report(self, started_at: str, work: Path) -> Report:
        result = score(self.capstone, self.spec.mode, tuple(self.verdicts.values()), self.refusal)
        report = Report(
            capstone=self.spec.capstone,
            score=result.points,
            max_score=result.max_points,
            bonus=result.bonus,
            passed=result.passed and self.notebook_holds(),
            judged=self.judged,
            box=self.box.tier if self.box is not None else "none",
            seed=self.seed,
            submission_sha256=self.collected.sha256 if self.collected else "",
            criteria=result.criteria,
            notebook=self.notebook,
            benchmarks=self.benchmarks,
            environment=self.environment(),
            started_at=started_at,
            duration_s=0,
        )
        scrub = scrubber(work, self.spec.submission, self.spec.out)
        return msgspec.convert(scrub(sayable(msgspec.to_builtins(report))), Report)

    def environment(self) -> dict[str, Any]:
        best = detect()
        return {
            **software(self.capstone, self.spec.solution),
            "cores": os.cpu_count(),
            "mode": self.spec.mode,
            "learner": self.spec.learner,
            "attempt": self.spec.attempt,
            "trusted": self.spec.trusted,
            "grader_sha256": grader_digest(self.suite),
            "box_reason": best.reason,
            "box_fix": best.fix,
        }

    def write(self, report: Report) -> None:
        out = self.spec.out
        out.mkdir(parents=True, exist_ok=True)
        page = feedback_html(report, self.capstone.title, out, capstone=self.capstone)
        write_file(out / "feedback.html", page.encode())
        if self.spec.trusted:
            write_file(out / "judge.log", "\n".join(self.details).encode(errors="backslashreplace"))
        report.write(out / "report.json")
