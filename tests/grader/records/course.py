"""A course with one capstone whose suite can change after submissions were judged."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from grader.job import run_one
from grader.records.gradebook import Gradebook
from grader.records.regrade import Settings, regrade
from grader.records.regraded import Regraded
from grader.records.store import SubmissionStore
from grader.report import lab_key
from grader.spec import JobSpec
from meridian.academy.curriculum import Capstone, Criterion
from tests.grader.labs import small_lab

KEY = "toys/01-sums"
CAPSTONE = Capstone(
    title="Sums",
    package="sums",
    criteria=(
        Criterion("1", "Adding", 60, required=True),
        Criterion("2", "Doubling", 30),
        Criterion("3", "Speed", 10, benchmark=True),
    ),
)
SUITE = '''
import pytest
from grader.judging.compare import expect

@pytest.mark.criterion("1", points=60)
def test_add(submission, rng):
    """Adds."""
    a, b = rng.randrange(1000), rng.randrange(1000)
    expect(submission.add(a, b), a + b, f"add({a}, {b})")

@pytest.mark.criterion("2", points=30)
def test_double(submission, rng):
    """Doubles."""
    a = rng.randrange(1000)
    expect(submission.double(a), WANTED * a, f"double({a})")

@pytest.mark.criterion("3", points=10)
def test_speed(submission):
    """Fast."""
    expect(submission.speed(), 1, "speed()")
'''
RIGHT = """
def add(a, b): return a + b
def double(a): return 2 * a
def speed(): return 1
"""
TRIPLES = RIGHT.replace("2 * a", "3 * a")


class Course:
    """A course with one capstone, and what was handed in. The suite may change between two labs.

    Every edition of the suite has a place of its own: pytest keeps a module it has imported.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        self.edition = 0
        self.root = folder
        self.edit("2")

    def edit(self, wanted: str) -> None:
        """The course with a suite that asks `wanted` times a; records move along."""
        self.edition += 1
        before, self.root = self.root, self.folder / f"edition-{self.edition}"
        small_lab(self.root, KEY, CAPSTONE, SUITE.replace("WANTED", wanted))
        if self.edition > 1:
            shutil.copytree(before / ".meridian", self.root / ".meridian")
        self._monkeypatch.setenv("MERIDIAN_LAB", str(self.root))

    @property
    def home(self) -> Path:
        return self.root / ".meridian"

    def book(self) -> Gradebook:
        return Gradebook(self.home / "gradebook.sqlite")

    def hand_in(self, learner: str, source: str, attempt: int = 1, keep: bool = True) -> str:
        """Judge and enter a submission; its receipt."""
        folder = self.folder / f"{learner}-{attempt}"
        (folder / "sums").mkdir(parents=True)
        (folder / "sums" / "__init__.py").write_text(source)
        report = run_one(
            JobSpec(
                capstone=KEY,
                submission=folder,
                out=folder / "out",
                learner=learner,
                attempt=attempt,
                box="none",
                trusted=True,
                keep=self.home / "submissions" if keep else None,
            )
        )
        with self.book() as book:
            return book.record(report, lab_key(self.home))

    def settings(self, **more: Any) -> Settings:
        spec = JobSpec(capstone="", submission=Path(), out=Path(), box="none", trusted=True)
        settings = Settings(
            key=lab_key(self.home), store=SubmissionStore(self.home / "submissions"), spec=spec
        )
        return msgspec.structs.replace(settings, **more)

    def regrade(self, **more: Any) -> dict[str, Regraded]:
        """What judging again shows, by learner; nothing is entered."""
        with self.book() as book:
            found = regrade(book, self.settings(**more))
        return {result.attempt.learner: result for result in found}
