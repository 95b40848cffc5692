"""A toy capstone, judged for real: what every test of the grader needs."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from grader.box import detect
from grader.job import JobSpec, run_one
from grader.limits import MIB, Limits
from grader.report import Report
from meridian.academy.curriculum import Capstone, Criterion

HERE = Path(__file__).parent
SUITE = HERE / "toy" / "acceptance.py"
HONEST = HERE / "toy" / "honest.py"
KEY = b"k" * 32

TOY = Capstone(
    title="Toy <b>capstone</b>",
    package="toy",
    allowed_imports=(*sorted(sys.stdlib_module_names), "pytest", "_pytest", "grader", "msgspec"),
    criteria=(
        Criterion(id="1", title="Adding", points=40, required=True),
        Criterion(id="2", title="Counting", points=30),
        Criterion(id="3", title="Saving", points=30),
    ),
)

# Small enough that an attack is over soon, large enough for a loaded machine.
TIGHT = Limits(
    question_s=4,
    start_s=10,
    job_s=20,
    cpu_s=5,
    memory_bytes=256 * MIB,
    processes=24,
    file_bytes=2 * MIB,
    scratch_bytes=8 * MIB,
    scratch_files=500,
    reply_bytes=MIB,
    output_bytes=MIB,
)

HONEST_ONLY = "from .honest import *\n"
SUITE_HEAD = """
import random
import pytest
from grader.compare import CriterionFailed, expect
from grader.race import timed
"""


class Toy:
    """Judges submissions of the toy capstone inside `folder`."""

    key = KEY
    capstone = TOY
    limits = TIGHT
    suite = SUITE

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out"

    def submission(self, source: str = HONEST_ONLY, **others: str) -> Path:
        """A folder whose package is `source`, with the honest solution beside it to build on."""
        folder = self.folder / "submission"
        package = folder / "toy"
        package.mkdir(parents=True)
        shutil.copyfile(HONEST, package / "honest.py")
        (package / "__init__.py").write_text(source)
        for name, text in others.items():
            (package / f"{name}.py").write_text(text)
        return folder

    def judge(self, source: str = HONEST_ONLY, **settings: Any) -> Report:
        """The report on a submission with this package source; `settings` go to `JobSpec`."""
        spec: dict[str, Any] = {
            "capstone": "toy/01",
            "out": self.out,
            "definition": TOY,
            "suite": SUITE,
            "key": KEY,
            "limits": TIGHT,
            **settings,
        }
        return run_one(
            JobSpec(submission=spec.pop("submission", None) or self.submission(source), **spec)
        )

    def suite_of(self, body: str) -> Path:
        """A suite of its own for one test."""
        path = self.folder / "suite" / "test_own.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(SUITE_HEAD + body)
        return path

    @staticmethod
    def outcomes(report: Report) -> dict[str, str]:
        return {entry.id: entry.outcome for entry in report.criteria}


def box_processes() -> list[int]:
    """Processes alive now that were started in a box by this process."""
    mark = f"MERIDIAN_BOX={os.getpid()}-".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(variable.startswith(mark) for variable in variables):
            found.append(int(entry.name))
    return found


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Toy]:
    """The toy capstone; afterwards no process and no file of a job is left."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(work))
    yield Toy(tmp_path)
    assert list(work.iterdir()) == []
    assert box_processes() == []


@pytest.fixture
def bwrap() -> None:
    """Skips the test where the box with walls does not work."""
    best = detect()
    if best.tier != "bwrap":
        pytest.skip(f"no bubblewrap box here: {best.reason}")
