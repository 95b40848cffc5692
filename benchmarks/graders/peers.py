"""nbgrader and otter-grader, each as its users run it, in an environment of their own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.graders.assignment import nbgrader_course, otter_master

__all__ = ["NbgraderApi", "NbgraderCommand", "OtterCommand", "Verdict", "environment"]

PACKAGES = ("nbgrader==0.9.6", "otter-grader==7.0.0", "ipykernel")
CELL_S = 10
"""Limit for one cell, where a grader has such a limit."""
HANG_S = 60.0


class Verdict(NamedTuple):
    """Points of 3, ``None`` without a verdict; seconds from submission to it."""

    score: float | None
    seconds: float


def environment(folder: Path) -> Path:
    """The Python of a fresh environment with both peers; made on first use, with uv."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run(["uv", "venv", "-q", str(folder)], check=True)
        subprocess.run(["uv", "pip", "install", "-q", "-p", str(python), *PACKAGES], check=True)
    return python


def _command(argv: list[str], python: Path, folder: Path) -> float:
    """Seconds of one command, ended with all it started when it hangs."""
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    start = time.perf_counter()
    process = subprocess.Popen(
        argv,
        cwd=folder,
        env=os.environ | {"PATH": path, "HOME": str(folder), "JUPYTER_PLATFORM_DIRS": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(HANG_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return time.perf_counter() - start


class NbgraderCommand:
    """``nbgrader autograde``, one process a submission."""

    name = "nbgrader, command"

    def __init__(self, python: Path, folder: Path) -> None:
        self.python, self.folder = python, folder
        self.grades = folder
        nbgrader_course(folder, CELL_S)
        _command(["nbgrader", "generate_assignment", "ps1", "--create"], python, folder)
        self._jobs = 0

    def place(self, answer: str) -> str:
        """Hand in a notebook with this answer; returns the learner's name."""
        self._jobs += 1
        learner = f"learner-{self._jobs}"
        content = json.loads((self.folder / "release" / "ps1" / "p.ipynb").read_text())
        content["cells"][0]["source"] = answer
        target = self.folder / "submitted" / learner / "ps1" / "p.ipynb"
        target.parent.mkdir(parents=True)
        target.write_text(json.dumps(content))
        return learner

    def score(self, learner: str) -> float | None:
        """What the gradebook says now."""
        ask = (
            "import sys; from nbgrader.api import Gradebook\n"
            "with Gradebook('sqlite:///gradebook.db') as book:\n"
            "    found = book.find_submission('ps1', sys.argv[1])\n"
            "    print(found.score)"
        )
        done = subprocess.run(
            [str(self.python), "-c", ask, learner],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        return float(done.stdout) if done.returncode == 0 and done.stdout.strip() else None

    def grade(self, answer: str) -> Verdict:
        learner = self.place(answer)
        argv = ["nbgrader", "autograde", "ps1", "--student", learner]
        seconds = _command(argv, self.python, self.folder)
        graded = self.folder / "autograded" / learner / "ps1" / "p.ipynb"
        return Verdict(self.score(learner) if graded.exists() else None, seconds)

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


class NbgraderApi(NbgraderCommand):
    """nbgrader's Python API in a process that stays: its fastest form."""

    name = "nbgrader, warm API"

    def __init__(self, python: Path, folder: Path) -> None:
        super().__init__(python, folder)
        script = Path(__file__).with_name("warm_nbgrader.py")
        self._process = subprocess.Popen(
            [str(python), str(script), str(folder), str(CELL_S)],
            cwd=folder,
            env=os.environ | {"HOME": str(folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def grade(self, answer: str) -> Verdict:
        learner = self.place(answer)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        start = time.perf_counter()
        self._process.stdin.write(learner + "\n")
        self._process.stdin.flush()
        said = json.loads(self._process.stdout.readline())
        return Verdict(said["score"], time.perf_counter() - start)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        super().close()


class OtterCommand:
    """``otter run``: grading on the machine itself, without the container."""

    name = "otter run"

    def __init__(self, python: Path, folder: Path) -> None:
        self.python, self.folder = python, folder
        otter_master(folder / "master.ipynb")
        _command(["otter", "assign", "master.ipynb", "dist"], python, folder)
        (self._archive,) = (folder / "dist" / "autograder").glob("*.zip")
        self.grades = folder
        self._jobs = 0

    def grade(self, answer: str) -> Verdict:
        self._jobs += 1
        content = json.loads((self.folder / "dist" / "student" / "master.ipynb").read_text())
        cells = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
        cells[0]["source"] = answer
        place = self.folder / f"job-{self._jobs}"
        place.mkdir()
        (place / "p.ipynb").write_text(json.dumps(content))
        argv = ["otter", "run", "-a", str(self._archive), "-o", str(place), str(place / "p.ipynb")]
        seconds = _command(argv, self.python, place)
        return Verdict(self.score(place), seconds)

    def score(self, place: Path) -> float | None:
        try:
            tests = json.loads((place / "results.json").read_text())["tests"]
        except (OSError, ValueError, KeyError):
            return None
        return float(sum(test.get("score") or 0 for test in tests))

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
