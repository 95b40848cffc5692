"""A toy capstone, judged for real: what every test of the grader needs."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from grader.box import detect, open_box, survey
from grader.box.meter import below
from grader.box.workers import Workshop
from grader.job import JobSpec, run_one
from grader.limits import MIB, Limits
from grader.races.quiet import FOLDER_VARIABLE
from grader.report import Report
from meridian.academy.curriculum import Capstone, Criterion
from tests.grader.reports import KEY

HERE = Path(__file__).parent
SUITE = HERE / "toy" / "acceptance.py"
HONEST = HERE / "toy" / "honest.py"

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
from grader.judging.compare import CriterionFailed, expect
from grader.races.race import timed
"""


def toy_package(folder: Path, source: str = HONEST_ONLY, **others: str) -> Path:
    """Write the package `toy` into the new `folder`: `source`, beside the honest solution."""
    package = folder / "toy"
    package.mkdir(parents=True)
    shutil.copyfile(HONEST, package / "honest.py")
    (package / "__init__.py").write_text(source)
    for name, text in others.items():
        (package / f"{name}.py").write_text(text)
    return folder


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
        return toy_package(self.folder / "submission", source, **others)

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
    return processes_with(f"MERIDIAN_BOX={os.getpid()}-")


def living(workshop: Workshop) -> list[int]:
    """Processes in the boxes of `workshop` but for its fork servers; zombies are not counted."""
    found = []
    for server in workshop._running()._all():
        assert server.meter is None or server.meter._server > 0
        for pid in [] if server.meter is None else below(server.meter._server):
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            found += [pid] if state != "Z" else []
    return found


def processes_with(*marks: str) -> list[int]:
    """Processes alive now with a variable that begins with one of `marks`."""
    starts = tuple(mark.encode() for mark in marks)
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(variable.startswith(starts) for variable in variables):
            found.append(int(entry.name))
    return found


@pytest.fixture(autouse=True, scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Locks of this run's races alone: jobs beside the tests keep nobody waiting."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER_VARIABLE, os.fspath(tmp_path_factory.mktemp("runtime")))
        yield


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


def need(tier: str) -> None:
    """Skip this test where `tier` does not work, and say what would help."""
    found = next(each for each in survey() if each.tier == tier)
    if found.reason:
        pytest.skip(f"no {tier} box here: {found.reason}. {found.fix}")


@pytest.fixture(params=["bwrap", "landlock"])
def walls(request: pytest.FixtureRequest) -> str:
    """Each tier that may grade others' work, where it works."""
    need(request.param)
    return str(request.param)


RUN_ANYTHING = """
import os, resource, signal, socket, subprocess, sys, threading, time

def do(source, **names):
    scope = {**globals(), **names}
    exec(source, scope)
    return scope.get("result")
"""


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Callable[..., Workshop]]:
    """Makes workshops whose package ``lab`` runs any source; afterwards nothing of them is left."""
    (tmp_path / "code" / "lab").mkdir(parents=True)
    (tmp_path / "code" / "lab" / "__init__.py").write_text(RUN_ANYTHING)
    (tmp_path / "work").mkdir()
    made: list[Workshop] = []

    def make(tier: str, limits: Limits = TIGHT, **settings: Any) -> Workshop:
        made.append(
            Workshop(
                tmp_path / "code",
                tmp_path / "work",
                box=open_box(tier),
                limits=limits,
                seed="seed",
                deadline=time.monotonic() + 120,
                **settings,
            )
        )
        return made[-1]

    yield make
    for workshop in made:
        workshop.close()
    assert [entry.name for entry in (tmp_path / "work").iterdir()] in ([], ["runtime"])
    assert box_processes() == []
