"""The walk-through of docs/grader/authoring.md is a capstone that builds and can be proven."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from grader.authoring.build import build
from grader.authoring.prove import prove
from meridian.academy.curriculum import load

PAGE = Path(__file__).parents[3] / "docs" / "grader" / "authoring.md"
KEY = "python/01-sums"
FILE = re.compile(r"^`(?P<name>[^`]+)`:\n\n```\w+\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A lab with the files of the page, and nothing else."""
    for match in FILE.finditer(PAGE.read_text()):
        path = tmp_path / match["name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(match["text"])
    return tmp_path


def test_the_page_has_the_five_files(lab: Path) -> None:
    module = load(lab).module(KEY)
    names = {path.relative_to(lab).as_posix() for path in lab.rglob("*") if path.is_file()}
    assert names == {
        "curriculum.toml",
        "solutions/python/01-sums/sums/__init__.py",
        "solutions/python/01-sums/capstone.ipynb",
        module.acceptance.as_posix(),
        "grader/acceptance/python/mutants_sums.py",
    }
    assert build(KEY, lab).written == (".build.json", "capstone.ipynb", "sums/__init__.py")


def test_the_capstone_of_the_page_is_proven(
    lab: Path, bwrap: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Model answer with its notebook, skeleton and both mutants, as the command does it."""
    monkeypatch.setenv("MERIDIAN_LAB", str(lab))
    proven = prove(KEY, root=lab, quick=True, seed="page")
    told = [f"{found.kind} {found.name}: {found.problem}" for found in proven.findings]
    assert [line for line in told if not line.endswith(": ")] == []
    assert [line.split()[0] for line in told] == ["solution"] * 2 + ["skeleton"] + ["mutant"] * 2
