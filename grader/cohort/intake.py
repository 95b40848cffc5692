"""From what lies in a folder to tasks: the files are taken in once, here, and kept by their hash.

What is judged later, on this machine or another, is what was taken in now; a learner's folder may
change meanwhile. A submission that is refused becomes a task as well: its verdict says why.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import msgspec

from grader.box.files import remove_tree
from grader.cohort.discover import Found, Oddity
from grader.cohort.environment import Environment
from grader.cohort.queue import Entry
from grader.cohort.sealed import Results, job_secret
from grader.cohort.task import Task, cache_key
from grader.intake.collect import SubmissionRefused, collect
from grader.limits import Limits
from grader.records.gradebook import Gradebook
from grader.records.store import SubmissionStore
from grader.report import Mode
from grader.spec import draw_seed

__all__ = ["History", "Terms", "as_entry", "take_in"]


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What all submissions of one run have in common."""

    capstone: str
    package: str
    mode: Mode
    box: str
    trusted: bool
    limits: Limits
    environment: Environment
    key: bytes


class History:
    """Which attempt a submission is that does not say so itself.

    The one it was recorded as when these very files were graded before, or refused for the same
    reason; else the next one that neither the gradebook nor the folder has.
    """

    def __init__(self, book: Gradebook, capstone: str) -> None:
        self._known: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for entry in book.attempts(capstone=capstone):
            report = book.report(entry.receipt)
            refusal = report.criteria[0].message if report.criteria else ""
            what = report.submission_sha256 or refusal
            self._known[entry.learner].append((entry.attempt, what))

    def attempt(self, found: Found, what: str, taken: Collection[int]) -> int:
        """The number of this attempt; `what` is its hash, or why it was refused.

        `taken` are the numbers that the folder gives to others of this learner.
        """
        known = self._known[found.learner]
        if found.numbered or not known:
            return found.attempt
        same = [number for number, other in known if other == what]
        return max(same) if same else max([number for number, _ in known] + [*taken]) + 1


def take_in(
    found: Iterable[Found], terms: Terms, store: SubmissionStore, history: History, work: Path
) -> Iterator[Task | Oddity]:
    """A task for every submission, or why there is none; `work` is left empty.

    No two tasks are the same attempt: those whose name says which one they are come first.
    """
    given: dict[str, dict[int, Found]] = defaultdict(dict)
    for item in sorted(found, key=lambda item: (not item.numbered, item)):
        taken = given[item.learner]
        try:
            task = _task(item, terms, store, history, work / "intake", taken)
        except OSError as error:
            yield Oddity(item.path, f"cannot be read: {error.strerror or error}")
            continue
        finally:
            remove_tree(work / "intake")
        first = taken.setdefault(task.attempt, item)
        yield task if first is item else first.claimed(item.path, task.attempt)


def _task(
    item: Found,
    terms: Terms,
    store: SubmissionStore,
    history: History,
    code: Path,
    taken: Collection[int],
) -> Task:
    sha256, refusal = "", ""
    try:
        collected = collect(item.path, code, terms.package)
        store.add(code, collected)
        sha256 = collected.sha256
    except SubmissionRefused as error:
        refusal = str(error)
    attempt = history.attempt(item, sha256 or refusal, taken)
    return Task(
        capstone=terms.capstone,
        mode=terms.mode,
        lane="judge",
        learner=item.learner,
        attempt=attempt,
        seed=draw_seed(terms.key, item.learner, attempt, terms.capstone, terms.mode),
        box=terms.box,
        trusted=terms.trusted,
        limits=terms.limits,
        environment=terms.environment,
        submission_sha256=sha256,
        refusal=refusal,
        source=os.fsencode(item.path.absolute()) if refusal else b"",
    )


def as_entry(task: Task, results: Results, run_secret: bytes) -> Entry:
    """The row for `task`: judged already when its result is kept, whole and genuine."""
    key = cache_key(task)
    return Entry(
        learner=task.learner,
        attempt=task.attempt,
        lane=task.lane,
        cache_key=key,
        task=msgspec.json.encode(task),
        cached=results.holds(key, job_secret(run_secret, key)),
    )
