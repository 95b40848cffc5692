"""Submissions of the toy capstone, each with the outcomes it deserves."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

import grader.cohort
from grader.cohort.summary import Summary
from tests.grader.conftest import HERE, HONEST_ONLY, SUITE, TOY, toy_package
from tests.grader.labs import small_lab

KEY = "toys/01-toy"
CAPSTONE = msgspec.structs.replace(
    TOY, title="Toy", allowed_imports=("__future__", "collections", "typing", "os", "sys")
)
WRONG = HONEST_ONLY + "def add(a, b):\n    return a - b - 1\n"
BROKEN = "def add(:\n"
HOSTILE = (HERE / "attacks" / "exit_on_import.py").read_text()


class Deserved(NamedTuple):
    source: str
    score: float
    outcome: str


KINDS = {
    "right": Deserved(HONEST_ONLY, 100, "passed"),
    "wrong": Deserved(WRONG, 60, "failed"),
    "broken": Deserved(BROKEN, 0, "refused"),
    "hostile": Deserved(HOSTILE, 0, "crashed"),
}


class Cohort:
    """A lab in `folder`, and a folder of submissions that grows as learners are added."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lab, self.suite, _ = small_lab(folder / "lab", KEY, CAPSTONE, SUITE.read_text())
        self.submissions = folder / "submissions"
        self.out = folder / "graded"
        self.submissions.mkdir()

    @property
    def queue(self) -> Path:
        return self.lab / ".meridian" / "cohort.sqlite"

    def add(self, name: str, source: str = HONEST_ONLY) -> Path:
        """A submission in ``submissions/<name>``, which may have several parts."""
        return toy_package(self.submissions / name, source)

    def add_kinds(self, count: int) -> dict[str, Deserved]:
        """`count` learners, the kinds in turn; what each deserves."""
        kinds = list(KINDS.items())
        deserved = {}
        for i in range(count):
            name, kind = kinds[i % len(kinds)]
            self.add(f"{name}-{i:02}", kind.source)
            deserved[f"{name}-{i:02}"] = kind
        return deserved

    def pack(self, name: str) -> Path:
        """Replace the folder of `name` by an archive."""
        folder = self.submissions / name
        archive = self.submissions / f"{name}.tar.gz"
        with tarfile.open(archive, "w:gz") as packed:
            packed.add(folder, arcname=name)
        shutil.rmtree(folder)
        return archive

    def run(self, **settings: Any) -> Summary:
        given = {"mode": "submit", "workers": 1, "out": self.out, "on_event": self.hear}
        self.events: list[dict[str, Any]] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MERIDIAN_LAB", str(self.lab))
            return grader.cohort.run(self.submissions, capstone=KEY, **{**given, **settings})

    def hear(self, event: dict[str, Any]) -> None:
        self.events.append(event)
