"""Our grader on the same assignment: the command, and a process with boxes in reserve."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.graders.assignment import lab
from benchmarks.graders.peers import HANG_S, Verdict
from grader.box.pool import BoxPool
from grader.job import JobSpec, run_one
from grader.limits import Limits
from grader.report import read_report
from meridian.academy.curriculum import load

__all__ = ["OursCommand", "OursWarm"]

KEY = "tiny/01-add"


def _of_three(score: float) -> float:
    """Our criteria add up to 100 points, the assignment to 3."""
    return round(score * 3 / 100, 2)


class _Ours:
    def __init__(self, folder: Path, box: str) -> None:
        self.folder, self.box = folder, box
        # Every module may be imported: what the tricks need must run, not be refused unread.
        lab(folder, (*sorted(sys.stdlib_module_names), "get_ipython"))
        self.grades = folder
        self._jobs = 0

    def place(self, answer: str) -> tuple[Path, Path]:
        self._jobs += 1
        package = self.folder / "submitted" / str(self._jobs) / "answer"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(answer)
        return package.parent, self.folder / "graded" / str(self._jobs)

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


class OursCommand(_Ours):
    """``grader run-one``, one process a submission."""

    name = "grader run-one"

    def grade(self, answer: str) -> Verdict:
        submission, out = self.place(answer)
        command = Path(sys.executable).with_name("grader")
        argv = [str(command), "run-one", "--capstone", KEY, "--box", self.box]
        argv += ["--submission", str(submission), "--out", str(out)]
        start = time.perf_counter()
        subprocess.run(
            argv,
            env=os.environ | {"MERIDIAN_LAB": str(self.folder)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=HANG_S,
            check=False,
        )
        seconds = time.perf_counter() - start
        path = out / "report.json"
        return Verdict(_of_three(read_report(path).score) if path.exists() else None, seconds)


class OursWarm(_Ours):
    """What a cohort worker does: one process, boxes in reserve."""

    name = "grader, warm pool"

    def __init__(self, folder: Path, box: str) -> None:
        super().__init__(folder, box)
        self._module = load(folder).module(KEY)
        self._pool = BoxPool()
        self._pool.__enter__()

    def grade(self, answer: str) -> Verdict:
        submission, out = self.place(answer)
        start = time.perf_counter()
        report = run_one(
            JobSpec(
                capstone=KEY,
                submission=submission,
                out=out,
                learner=f"learner-{self._jobs}",
                box=self.box,
                limits=Limits(question_s=3.0),
                definition=self._module.capstone,
                suite=self.folder / self._module.acceptance,
                key=b"k" * 32,
                pool=self._pool,
            )
        )
        return Verdict(_of_three(report.score), time.perf_counter() - start)

    def close(self) -> None:
        self._pool.__exit__(None, None, None)
        super().close()
