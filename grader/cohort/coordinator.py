"""Grading a cohort: find, take in, queue, have it judged, settle; resumable at every step.

Everything but races is judged first, by as many workers as there are; then the races, one at a
time and with nothing beside them. The coordinator starts workers and settles what they leave in
the queue; it holds no state that a later run could not read from there.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from grader.cohort.crew import Crew, Ended, Processes
from grader.cohort.discover import Oddity, capped, discover
from grader.cohort.disk import (
    alone_in,
    alone_on,
    is_full,
    refuse_small_disk,
    together_in,
    workplace,
)
from grader.cohort.environment import environment
from grader.cohort.errors import CohortStopped
from grader.cohort.intake import History, Terms, as_entry, take_in
from grader.cohort.queue import Job, Lane, Queue
from grader.cohort.sealed import Results, job_secret
from grader.cohort.settings import Settings, permitted_tier
from grader.cohort.settle import Settler
from grader.cohort.summary import Summary, summarize
from grader.cohort.work import Order
from grader.records.gradebook import Gradebook
from grader.records.store import SubmissionStore
from grader.report import lab_key
from meridian.academy.curriculum import Capstone, lab_root, load

__all__ = ["Settings", "grade"]

OnEvent = Callable[[dict[str, Any]], None]
LOOK_S = 0.5
_STILLBORN = 5
_ALL_FAIL = 3


def grade(settings: Settings, on_event: OnEvent) -> Summary:
    """Grade every submission and return what came out; see `grader.cohort.run`."""
    root = lab_root()
    with ExitStack() as stack:
        run = _Run(settings, root, on_event, stack)
        run.enter()
        while run.left():
            run.work("judge")
            run.work("races")
        return run.finish()


class _Run:
    """One run of the coordinator, from the lock on the queue to the summary."""

    def __init__(self, settings: Settings, root: Path, on_event: OnEvent, stack: ExitStack) -> None:
        self.settings = settings
        self.tell = on_event
        self.root = root
        self.capstone: Capstone = load(root).available(settings.capstone).capstone
        self.box = permitted_tier(settings)
        place = root / ".meridian"
        path = settings.queue or place / "cohort.sqlite"
        stack.enter_context(alone_on(path))
        stack.enter_context(alone_in(settings.out))
        name = secrets.token_hex(8)
        self.queue = stack.enter_context(
            Queue(path, name, capstone=settings.capstone, mode=settings.mode)
        )
        self.key = lab_key(place)
        self.run_secret = job_secret(self.key, "run")
        self.results = Results(place / "cohort")
        stack.enter_context(together_in(self.results.folder, first=self.results.sweep))
        self.work_folder = stack.enter_context(workplace(path.with_name(f"{path.name}.work")))
        self.store = SubmissionStore(place / "submissions")
        self.book = stack.enter_context(Gradebook(place / "gradebook.sqlite"))
        self.odd: list[Oddity] = []
        self.told: dict[int, int] = {}
        self.last: dict[str, Any] = {}
        self.peak_bytes = 0
        self.order = Order(
            queue=str(path.absolute()),
            run=name,
            capstone=settings.capstone,
            mode=settings.mode,
            lane="judge",
            owner="",
            results=str(self.results.folder.absolute()),
            store=str(self.store.folder.absolute()),
            run_secret=self.run_secret,
            max_jobs=settings.jobs_per_worker,
            lease_s=settings.lease_s,
        )

    # -- before ----------------------------------------------------------------------------------

    def enter(self) -> None:
        """Take in what lies in the folder and make it the jobs of this run."""
        settings = self.settings
        found, odd = discover(settings.submissions, settings.capstone, self.capstone.package)
        found, beyond = capped(found, settings.attempts)
        self.odd = [*odd, *beyond]
        self.tell({"event": "found", "submissions": len(found), "odd": len(self.odd)})
        terms = Terms(
            capstone=settings.capstone,
            package=self.capstone.package,
            mode=settings.mode,
            box=self.box,
            trusted=settings.trusted,
            limits=settings.limits,
            environment=environment(settings.capstone),
            key=self.key,
        )
        entries, latest = [], dict[str, int]()
        history = History(self.book, settings.capstone)
        for task in take_in(found, terms, self.store, history, self.work_folder):
            if isinstance(task, Oddity):
                self.odd.append(task)
                continue
            entries.append(as_entry(task, self.results, self.run_secret))
            latest[task.learner] = max(task.attempt, latest.get(task.learner, 0))
            self.tell({"event": "taken_in", "done": len(entries), "total": len(found)})
        self.queue.enter(entries, only_changed=settings.only_changed)
        self.settler = Settler(
            self.queue,
            self.results,
            self.run_secret,
            self.key,
            self.capstone,
            settings.out,
            self.book,
            latest,
        )

    # -- the work --------------------------------------------------------------------------------

    def work(self, lane: Lane) -> None:
        """Have the jobs of `lane` judged and settle them, until none is left but for a person."""
        self.settle_all(lane)
        self.progress(lane)
        if not self.queue.left(lane):
            return
        self.stillborn = 0
        try:
            with self.crew() as crew:
                self.width = crew.width(lane)
                if not self.settings.scheduler:
                    scratch_bytes = self.settings.limits.scratch_bytes
                    refuse_small_disk(self.work_folder, self.width, scratch_bytes)
                while left := self.queue.left(lane):
                    self.hire(crew, lane, left)
                    crew.wait(LOOK_S)
                    self.progress(lane)
                    self.settle_all(lane)
                    self.look_after(crew)
                    self.progress(lane)  # before another worker takes what was lost
                    self.give_up_on_all(lane)
                crew.finish()
                self.look_after(crew)
        finally:
            self.queue.release()

    def left(self) -> int:
        """How many jobs are neither done nor a person's."""
        return self.queue.left("judge") + self.queue.left("races")

    def crew(self) -> Crew:
        settings = self.settings
        if settings.scheduler:
            from grader.cohort.cluster import Cluster

            return Cluster(self.order, settings.scheduler, settings.workers)
        return Processes(self.order, settings.workers, self.root, self.work_folder)

    def hire(self, crew: Crew, lane: Lane, left: int) -> None:
        """Start the workers that are missing; where the disk has no room for one, go on without."""
        for _ in range(min(self.width, left) - crew.alive()):
            try:
                crew.start(lane, alone=self.width == 1)
            except OSError as error:
                if not (is_full(error) and crew.alive()):
                    raise
                self.width = crew.alive()
                return

    def look_after(self, crew: Crew) -> None:
        """Take jobs from workers that died or stand still."""
        for owner in self.queue.lapsed():
            crew.kill(owner)
            self.queue.lost(owner, "its worker stood still")
        for ended in crew.ended():
            self.peak_bytes = max(self.peak_bytes, ended.peak_bytes)
            if ended.fatal:
                raise CohortStopped(ended.fatal)
            if ended.disk_full and self.width > 1:
                self.width -= 1  # one submission may fill the disk: what it broke waits for room
                self.tell({"event": "crowded", "workers": self.width})
                continue
            held = self.queue.lost(ended.owner, ended.crash or "its worker left it")
            self.count_stillborn(ended, held)
        for job in self.queue.troubled():
            if job.tries > self.told.get(job.id, 0):
                self.told[job.id] = job.tries
                self.trouble(job)

    def count_stillborn(self, ended: Ended, held: list[Job]) -> None:
        """Workers that die before they take a job would be started for ever."""
        crash = ended.crash or ("its disk is full" if ended.disk_full else "")
        alive = not crash or ended.jobs or held
        self.stillborn = 0 if alive else self.stillborn + 1
        if self.stillborn >= _STILLBORN:
            raise CohortStopped(f"no worker stays alive: {crash}")

    def settle_all(self, lane: Lane) -> None:
        for job in self.queue.judged():
            result = self.settler.settle(job)
            after = self.queue.read(job.id)
            if result is not None:
                self.tell(
                    {
                        "event": "submission",
                        "learner": job.learner,
                        "attempt": job.attempt,
                        "cached": job.cached,
                        "receipt": after.receipt,
                        "note": after.reason,
                        **msgspec.to_builtins(result),
                    }
                )
            self.progress(lane)

    def give_up_on_all(self, lane: Lane) -> None:
        """When nothing can be judged it is not the submissions: stop, before all are tried."""
        counts = self.queue.counts(lane)
        if counts.get("person", 0) >= _ALL_FAIL and not counts.get("done", 0):
            failed = [job for job in self.queue.jobs() if job.state == "person"]
            reasons = {job.reason for job in failed}
            if len(reasons) == 1:
                raise CohortStopped(f"no submission could be judged: {failed[0].reason}")

    def trouble(self, job: Job) -> None:
        self.tell(
            {
                "event": "trouble",
                "learner": job.learner,
                "attempt": job.attempt,
                "lane": job.lane,
                "tries": job.tries,
                "state": job.state,
                "reason": job.reason,
            }
        )

    def progress(self, lane: Lane) -> None:
        """Tell how far `lane` is, when that has changed."""
        counts = self.queue.counts(lane)
        event = {
            "event": "progress",
            "lane": lane,
            "total": sum(counts.values()),
            "done": counts.get("done", 0),
            "running": counts.get("running", 0),
            "failed": counts.get("person", 0),
        }
        if event != self.last:
            self.last = event
            self.tell(event)

    # -- after -----------------------------------------------------------------------------------

    def finish(self) -> Summary:
        """What came out, also written to ``cohort.json``."""
        summary = summarize(self.queue.jobs(), self.odd, self.settings.out, self.peak_bytes)
        self.tell({"event": "end", "path": str(summary.path)})
        return summary
