"""The walk-through of docs/grader.md, line by line, in a copy of the lab."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from grader.authoring.build import write_exercise
from grader.box import detect
from meridian.academy.curriculum import load

ROOT = Path(__file__).parents[2]
KEY = "database/01-storage"


def test_the_walk_through_goes_as_told(tmp_path: Path) -> None:
    best = detect()
    if best.tier == "rlimits":
        pytest.skip(f"no box with walls here: {best.reason}. {best.fix}")
    page = (ROOT / "docs" / "grader.md").read_text()
    (script,) = re.findall(r"## A walk-through.*?```sh\n(.*?)```", page, re.DOTALL)
    lab = tmp_path / "lab"
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("solutions", "grader/acceptance"):
        shutil.copytree(ROOT / name, lab / name, ignore=ignored)
    shutil.copyfile(ROOT / "curriculum.toml", lab / "curriculum.toml")
    course = load(lab)
    write_exercise(lab, course.module(KEY), lab / course.module(KEY).exercise)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=lab,
        env=os.environ
        | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "MERIDIAN_LAB": str(lab),
            "NO_COLOR": "1",
            "COLUMNS": "120",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = subprocess.run(
        [str(Path(sys.executable).with_name("grader")), "gradebook", "--json"],
        env=os.environ | {"MERIDIAN_LAB": str(lab)},
        capture_output=True,
        text=True,
        check=True,
    )
    attempts = {entry["learner"]: entry for entry in json.loads(told.stdout)}
    assert attempts.keys() == {"ada", "bob", "eve"}
    assert attempts["ada"]["score"] >= 90, attempts["ada"]
    assert attempts["bob"]["score"] == 5, "the points given by hand"
    assert attempts["eve"]["score"] == 0
    pages = [path.as_posix() for path in (lab / "graded").rglob("feedback.html")]
    assert all(any(f"/{name}/" in page for page in pages) for name in attempts), pages
    assert (lab / "grades").is_dir()
    assert any("ada" in path.read_text() for path in (lab / "grades").rglob("*.csv"))
