"""otter's tests as files and as metadata: read, never run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from grader.markers import BadAssignment, read_assignment, write_layout
from tests.grader.markers.masters import KEY, PACKAGE, code, judged, lost, write

OK_FILE = """
OK_FORMAT = True
test = {"name": "q1", "points": 4, "suites": [{"cases": [
    {"code": ">>> x = area(2)\\n>>> x\\n12", "hidden": False, "locked": True},
    {"code": ">>> for i in range(2):\\n...     assert area(i) == 3 * i * i\\n",
     "hidden": True, "points": 3},
    {"code": ">>> print(area(0))\\n0"},
], "scored": True, "setup": "", "teardown": "", "type": "doctest"}]}
"""
FUNCTION_FILE = """
from otter.test_files import test_case
import math
OK_FORMAT = False
name = "q2"
points = 3
@test_case(points=None, hidden=True)
def test_pi(area):
    assert area(1) < math.pi
@test_case(points=2)
def with_env(env):
    assert env["PI"] == 3
"""


def test_otters_test_files(tmp_path: Path) -> None:
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "q1.py").write_text(OK_FILE)
    (folder / "q2.py").write_text(FUNCTION_FILE)
    (folder / "__init__.py").write_text("")
    master = write(tmp_path, code("PI = 3\ndef area(r):\n    return PI * r * r # SOLUTION"))
    found = read_assignment(master, "otter")
    write_layout(found, master, tmp_path / "lab", KEY, PACKAGE)
    assert [(q.name, [c.points for c in q.checks]) for q in found.questions] == [
        ("q1", [0.5, 3, 0.5]), ("q2", [1, 2]),
    ]  # fmt: skip
    assert found.questions[0].checks[0].body == "x = area(2)\nassert repr(x) == '12'"
    outcomes = judged(tmp_path / "lab", tmp_path / "lab" / "solutions" / KEY, tmp_path / "out")
    assert outcomes == {"1": "failed", "2": "failed"}, "print and env are for the author to write"
    said = lost(found)
    assert "q1: locked cases" in said
    assert "compares what is printed" in said
    assert "asks for `env`" in said


def test_tests_in_the_metadata(tmp_path: Path) -> None:
    namespace: dict[str, Any] = {}
    exec(OK_FILE, namespace)
    master = write(tmp_path, code("def area(r):\n    return 3 * r * r # SOLUTION"),
                   otter={"OK_FORMAT": True, "tests": {"q1": namespace["test"]}})  # fmt: skip
    assert [q.name for q in read_assignment(master, "otter").questions] == ["q1"]


def test_test_files_are_never_run(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    trap = tmp_path / "trap"
    (tmp_path / "tests" / "q.py").write_text(f"open({str(trap)!r}, 'w')\ntest = {{}}")
    with pytest.raises(BadAssignment, match="test q is not in OK format"):
        read_assignment(write(tmp_path, code("x = 1 # SOLUTION")), "otter")
    assert not trap.exists()
