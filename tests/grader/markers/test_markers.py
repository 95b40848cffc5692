"""Assignments of nbgrader and otter become capstones that build, and that the judge can judge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from grader.authoring import build as builder
from grader.cli import app
from grader.markers import read_assignment, write_layout
from grader.markers.points import apportion
from meridian.academy.curriculum import load
from tests.grader.markers.masters import KEY, PACKAGE, judged, lost, nbgrader_master, otter_master

MASTERS = {
    "nbgrader": nbgrader_master,
    "otter": otter_master,
    "otter functions": lambda folder: otter_master(folder, ok_format=False),
}


@pytest.mark.parametrize("kind", MASTERS)
def test_round_trip(kind: str, tmp_path: Path) -> None:
    """What is imported builds; its solution passes what can pass, its skeleton nothing."""
    master, lab = MASTERS[kind](tmp_path), tmp_path / "lab"
    found = read_assignment(master)
    assert found.kind == kind.split()[0]
    files = write_layout(found, master, lab, KEY, PACKAGE)
    assert all(path.is_file() for path in files)
    assert "cannot be cut" not in lost(found)
    assert not builder.build(KEY, lab).up_to_date
    solution, exercise = lab / "solutions" / KEY, lab / "exercises" / KEY
    skeleton = (exercise / PACKAGE / "__init__.py").read_text()
    assert "SOLUTION" not in skeleton
    assert "raise NotImplementedError(" in skeleton
    whole = judged(lab, solution, tmp_path / "whole")
    stubs = judged(lab, exercise, tmp_path / "stubs")
    unwritten = {"4"} if kind == "nbgrader" else set()  # AUTOTEST: for the author to write
    assert {key for key, outcome in whole.items() if outcome != "passed"} == unwritten
    assert "passed" not in stubs.values()


def test_what_nbgrader_gives(tmp_path: Path) -> None:
    master = nbgrader_master(tmp_path)
    found = read_assignment(master, "nbgrader")
    write_layout(found, master, tmp_path / "lab", KEY, PACKAGE)
    points = {q.name: q.points for q in found.questions}
    assert points == {"test_add": 2, "test_counter": 4.5, "all_hidden": 0, "auto": 1}
    criteria = load(tmp_path / "lab").module(KEY).capstone.criteria
    assert [(c.title, c.points) for c in criteria] == [
        ("test add", 27), ("test counter", 58), ("all hidden", 1), ("auto", 14),
    ]  # fmt: skip
    assert lost(found).splitlines() == [
        "auto, line 1: AUTOTEST add(3, 4)",
        "auto, line 2: AUTOTEST total",
        "by_hand: 3 points given by hand",
        "essay: 5 points given by hand",
        "essay: a written answer (its model answer is below)",
        "draw: mark scheme",
        "draw: 7 points given by hand",
        "setup, line 2: `%matplotlib inline`",
        "auto: a test that could not be carried over: nothing of the test cell is left",
    ]
    page = (tmp_path / "lab" / "IMPORT.md").read_text()
    for said in (
        "2 points for axes",
        "Because it is so.",
        "AUTOTEST add(3, 4)",
        "| 2 | test counter",
    ):
        assert said in page
    notebook = json.loads((tmp_path / "lab" / "solutions" / KEY / "capstone.ipynb").read_text())
    by_id = {cell["id"]: "".join(cell["source"]) for cell in notebook["cells"]}
    assert by_id["test_add"] == "assert add(1, 2) == 3", "the hidden part is not the learner's"
    assert "all_hidden" not in by_id
    assert by_id["counter"].startswith("### BEGIN SOLUTION #2: counter, as the text above asks\n")
    assert by_id["essay"] == "*Your answer here.*"
    assert "MARK SCHEME" not in by_id["draw"]
    assert all("nbgrader" not in cell["metadata"] for cell in notebook["cells"])


def test_the_package_keeps_every_name_when_it_is_cut(tmp_path: Path) -> None:
    master = nbgrader_master(tmp_path)
    found = read_assignment(master)
    write_layout(found, master, tmp_path / "lab", KEY, PACKAGE)
    module = (tmp_path / "lab" / "solutions" / KEY / PACKAGE / "__init__.py").read_text()
    assert "print(" not in module
    assert "### BEGIN SOLUTION #1: add, as the notebook asks\n    # both of them" in module
    assert "total = ...\n### BEGIN SOLUTION\ntotal = SCALE * 2\n### END SOLUTION" in module
    builder.build(KEY, tmp_path / "lab")
    skeleton = (tmp_path / "lab" / "exercises" / KEY / PACKAGE / "__init__.py").read_text()
    namespace: dict[str, Any] = {}
    exec(skeleton, namespace)
    assert namespace["SCALE"] == 10
    assert namespace["total"] is ...
    counter = namespace["Counter"]()
    assert (counter.step, counter.__doc__) == (1, "Counts.")
    for call in (lambda: counter.up(1), lambda: counter.one, lambda: namespace["add"](1, 2)):
        with pytest.raises(
            NotImplementedError, match=r"imported/01-sums #[12]: .*as the notebook asks"
        ):
            call()


def test_what_otter_gives(tmp_path: Path) -> None:
    master = otter_master(tmp_path)
    found = read_assignment(master, "otter")
    write_layout(found, master, tmp_path / "lab", KEY, PACKAGE)
    assert found.title == "Circles"
    assert [(q.name, q.points) for q in found.questions] == [("q1", 5), ("q2", 2)]
    first, second, third = found.questions[0].checks
    assert (first.points, second.points, third.points) == (1, 3, 1)
    assert [c.hidden for c in found.questions[0].checks] == [False, True, True]
    assert first.body == "assert repr(area(2) == 12) == 'True'"
    assert len(found.questions[1].checks) == 1, "all or nothing is one test"
    said = lost(found)
    for what in (
        "assignment config: `generate: True`", "a cell marked IGNORE", "`random.seed(42) # SEED`",
        "the message 'Well done'", "a prompt", "a code prompt", "q3: 2 points given by hand",
        "a written answer",
    ):  # fmt: skip
        assert what in said
    suite = (tmp_path / "lab" / "grader" / "acceptance" / "imported" / "test_sums.py").read_text()
    assert '"""Try 0 again."""' in suite
    assert "# Hidden from learners" in suite
    notebook = (tmp_path / "lab" / "solutions" / KEY / "capstone.ipynb").read_text()
    for gone in (
        "BEGIN QUESTION",
        "ASSIGNMENT CONFIG",
        "SEED",
        "secret",
        "BEGIN PROMPT",
        "# SOLUTION",
    ):
        assert gone not in notebook


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=100), st.integers(0, 1))
def test_points_add_up_and_keep_their_order(weights: list[float], least: int) -> None:
    shares = apportion(weights, 100, least)
    assert sum(shares) == 100
    assert min(shares) >= least
    for (a, mine), (b, other) in zip(
        sorted(zip(weights, shares, strict=True)), sorted(zip(weights, shares, strict=True))[1:],
        strict=False,
    ):  # fmt: skip
        assert mine <= other + 1 or a == b


def test_the_command(tmp_path: Path) -> None:
    path, out = nbgrader_master(tmp_path), tmp_path / "lab"
    done = CliRunner().invoke(app, ["import", str(path), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert str(out / "solutions" / "imported" / "01-sums" / "capstone.ipynb") in done.stdout
    assert "Not carried over: draw: mark scheme" in done.stderr
    again = CliRunner().invoke(app, ["import", str(path), "--out", str(out)])
    assert again.exit_code == 70
    assert "is not an empty folder" in again.stderr
    none = CliRunner().invoke(app, ["import", str(tmp_path / "no.ipynb"), "--out", str(out)])
    assert none.exit_code == 70
    assert "No such file" in none.stderr
