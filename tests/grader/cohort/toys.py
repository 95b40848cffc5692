"""Submissions of the toy capstone, each with the outcomes it deserves."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import grader.cohort
from grader.cohort.summary import Summary
from tests.grader.conftest import HERE, HONEST, SUITE

KEY = "toys/01-toy"
LAB = """
[[tracks]]
slug = "toys"
title = "Toys"
system = "Toys"
summary = "Toys."

[[tracks.modules]]
slug = "01-toy"
title = "Toy"
summary = "A toy."
available = true
lessons = [{ topic = "one", title = "One" }]
[tracks.modules.capstone]
title = "Toy"
package = "toy"
pass_mark = 70
allowed_imports = ["__future__", "collections", "typing", "os", "sys"]
criteria = [
  { id = "1", title = "Adding", points = 40, required = true },
  { id = "2", title = "Counting", points = 30 },
  { id = "3", title = "Saving", points = 30 },
]
"""
HONEST_ONLY = "from .honest import *\n"
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

    def __init__(self, folder: Path, *, lab: str = LAB, suite: Path = SUITE) -> None:
        self.folder = folder
        self.lab = folder / "lab"
        self.submissions = folder / "submissions"
        self.out = folder / "graded"
        self.suite = suite
        self.submissions.mkdir()
        place = self.lab / "grader" / "acceptance" / "toys" / "test_toy.py"
        place.parent.mkdir(parents=True)
        shutil.copyfile(suite, place)
        (self.lab / "curriculum.toml").write_text(lab)

    @property
    def queue(self) -> Path:
        return self.lab / ".meridian" / "cohort.sqlite"

    def add(self, name: str, source: str = HONEST_ONLY) -> Path:
        """A submission in ``submissions/<name>``, which may have several parts."""
        package = self.submissions / name / "toy"
        package.mkdir(parents=True)
        shutil.copyfile(HONEST, package / "honest.py")
        (package / "__init__.py").write_text(source)
        return package.parent

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
