"""The comparison of graders: its assignment is sound, and our own verdicts are as it claims."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from benchmarks.graders.assignment import CHECKS, HONEST, TRICKS, lab, nbgrader_course, otter_master
from grader.box import detect
from grader.job import JobSpec, run_one
from grader.limits import Limits
from grader.report import Report
from meridian.academy.curriculum import load

KEY = "tiny/01-add"


def judged(folder: Path, answer: str, allowed: tuple[str, ...]) -> Report:
    lab(folder / "lab", allowed)
    package = folder / "submission" / "answer"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(answer)
    module = load(folder / "lab").module(KEY)
    return run_one(
        JobSpec(
            capstone=KEY,
            submission=package.parent,
            out=folder / "out",
            limits=Limits(question_s=2.0),
            definition=module.capstone,
            suite=folder / "lab" / module.acceptance,
            key=b"k" * 32,
        )
    )


@pytest.fixture(autouse=True)
def walls() -> None:
    best = detect()
    if best.tier == "rlimits":
        pytest.skip(f"no box with walls here: {best.reason}. {best.fix}")


IMPORTED = ("ast", "os", "re", "socket", "sqlite3", "sys", "time", "get_ipython")


def test_the_honest_answer_has_all_points(tmp_path: Path) -> None:
    report = judged(tmp_path, HONEST, IMPORTED)
    assert (report.score, report.max_score, report.passed) == (100, 100, True)


@pytest.mark.parametrize("trick", TRICKS)
def test_no_trick_earns_a_point(trick: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        answer = TRICKS[trick].replace("PORT_HERE", str(server.getsockname()[1]))
        answer = answer.replace("HOME_HERE", str(home)).replace("MARK_HERE", "mark")
        report = judged(tmp_path, answer.replace("GRADES_HERE", str(tmp_path)), IMPORTED)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert report.score == 0
    assert {entry.outcome for entry in report.criteria} != {"refused"}, "it ran"
    assert list(home.iterdir()) == []


def test_all_three_forms_hold_the_same_checks(tmp_path: Path) -> None:
    nbgrader_course(tmp_path / "course", 10)
    otter_master(tmp_path / "otter" / "master.ipynb")
    for path in tmp_path.rglob("*.ipynb"):
        content = json.loads(path.read_text())
        text = "\n".join(cell["source"] for cell in content["cells"])
        assert all(check in text for check in CHECKS), path
        assert len({cell["id"] for cell in content["cells"]}) == len(content["cells"])
