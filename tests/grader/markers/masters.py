"""Assignments as an instructor writes them: every kind of cell that nbgrader and otter know."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from grader.job import JobSpec, run_one
from grader.markers import Assignment
from meridian.academy.curriculum import load

KEY = "imported/01-sums"
PACKAGE = "sums"


def code(source: str, name: str = "", outputs: Any = (), **nbgrader: Any) -> dict[str, Any]:
    cell: dict[str, Any] = {
        "cell_type": "code",
        "metadata": {},
        "source": source.splitlines(keepends=True),
        "outputs": list(outputs),
        "execution_count": None,
    }
    if name:
        cell["id"] = name
    if nbgrader:
        base = {"schema_version": 3, "grade": False, "solution": False, "locked": False,
                "task": False, "grade_id": name}  # fmt: skip
        cell["metadata"] = {"nbgrader": {**base, **nbgrader}}
    return cell


def text(source: str, kind: str = "markdown", **nbgrader: Any) -> dict[str, Any]:
    cell = code(source, nbgrader.pop("name", ""), **nbgrader)
    del cell["outputs"], cell["execution_count"]
    return cell | {"cell_type": kind}


def result(value: str) -> list[dict[str, Any]]:
    return [{"output_type": "execute_result", "data": {"text/plain": value}, "metadata": {},
             "execution_count": 1}]  # fmt: skip


def write(folder: Path, *cells: dict[str, Any], **metadata: Any) -> Path:
    path = folder / "Sums.ipynb"
    path.write_text(json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4,
                                "nbformat_minor": 4}))  # fmt: skip
    return path


def nbgrader_master(folder: Path) -> Path:
    """Every kind of cell that nbgrader knows."""
    hidden = (
        "assert add(1, 2) == 3\n### BEGIN HIDDEN TESTS\nassert add(-5, 5) == 0\n"
        "note = '''two\nlines'''\nassert note.count('\\n') == 1\n### END HIDDEN TESTS"
    )
    return write(
        folder,
        text("# Sums", locked=True, name="title"),
        code("import math\n%matplotlib inline\nSCALE = 10\nprint('ready')", "setup", locked=True),
        code(
            "def add(a, b):\n    '''Sum of a and b.'''\n    ### BEGIN SOLUTION\n"
            "    # both of them\n    return a + b\n    ### END SOLUTION",
            "add", solution=True, checksum="0" * 32, cell_type="code",
        ),
        code(hidden, "test_add", grade=True, locked=True, points=2),
        code(
            "class Counter:\n    '''Counts.'''\n    step = 1\n"
            "    def up(self, n): return n + self.step\n"
            "\n    @property\n    def one(self):\n        return math.floor(1.5)\n\n"
            "total = SCALE * 2",
            "counter", solution=True,
        ),
        code("c = Counter()\nassert c.up(1) == 2\nassert c.one == 1\nassert total == SCALE * 2",
             "test_counter", grade=True, locked=True, points=4.5),
        code("### BEGIN HIDDEN TESTS\nassert math.isclose(add(0.1, 0.2), 0.3)\n"
             "### END HIDDEN TESTS", "all_hidden", grade=True, locked=True, points=0),
        code("### AUTOTEST add(3, 4)\n### HASHED AUTOTEST total", "auto", grade=True, locked=True,
             points=1),
        code("# explain\nplan = 'x'", "by_hand", grade=True, solution=True, points=3),
        text("Because it is so.", name="essay", grade=True, solution=True, points=5),
        text("Draw it.\n=== BEGIN MARK SCHEME ===\n2 points for axes\n=== END MARK SCHEME ===",
             name="draw", task=True, points=7),
        language_info={"name": "python"},
    )  # fmt: skip


def otter_master(folder: Path, ok_format: bool = True) -> Path:
    """Every kind of block that otter knows."""

    def raw(source: str) -> dict[str, Any]:
        return text(source, "raw")

    if ok_format:
        tests = [
            code("area(2) == 12", outputs=result("True")),
            code('""" # BEGIN TEST CONFIG\nhidden: true\npoints: 3\nfailure_message: Try 0 again.\n'
                 'success_message: Well done\n""" # END TEST CONFIG\narea(0)', outputs=result("0")),
            code("# HIDDEN\nassert area(1) == 3"),
        ]  # fmt: skip
    else:
        tests = [
            code("def test_two(area):\n    assert area(2) == 12\n\ntest_two(area)"),
            code('""" # BEGIN TEST CONFIG\nhidden: true\npoints: 3\n""" # END TEST CONFIG\n'
                 "def test_zero(area, PI):\n    assert area(0) == 0 * PI\n\ntest_zero(area, PI)"),
            code("# HIDDEN\ndef test_one(area):\n    assert area(1) == 3\n\ntest_one(area)"),
        ]  # fmt: skip
    config = f"# ASSIGNMENT CONFIG\nname: Circles\ngenerate: true\ntests:\n  ok_format: {ok_format}"
    return write(
        folder,
        raw(config),
        code("# IGNORE\nsecret = 1"),
        code("import random\nrandom.seed(42) # SEED\nPI = 3"),
        raw("# BEGIN QUESTION\nname: q1\npoints: 5"),
        text("Write `area`."),
        raw("# BEGIN SOLUTION"),
        code('def area(r):\n    """Of a circle."""\n    square = r * r # SOLUTION\n'
             '    """ # BEGIN PROMPT\n    return ...\n    """ # END PROMPT\n'
             "    return PI * square # SOLUTION NO PROMPT"),
        raw("# END SOLUTION"),
        raw("# BEGIN TESTS"),
        *tests,
        raw("# END TESTS"),
        raw("# END QUESTION"),
        text("```otter\n# BEGIN QUESTION\nname: q2\nall_or_nothing: true\npoints:\n  each: 1\n```"),
        raw("# BEGIN PROMPT"),
        code("two = ..."),
        raw("# END PROMPT"),
        raw("# BEGIN SOLUTION"),
        code("two = area(2) # SOLUTION\n# BEGIN SOLUTION\nhalf = two / 2\n# END SOLUTION\nhalf"),
        raw("# END SOLUTION"),
        raw("# BEGIN TESTS"),
        *(
            [code("two", outputs=result("12")), code("half", outputs=result("6.0"))]
            if ok_format
            else [code("def test_both(two, half):\n    assert (two, half) == (12, 6.0)")]
        ),
        raw("# END TESTS"),
        raw("# END QUESTION"),
        raw("# BEGIN QUESTION\nname: q3\nmanual: true\npoints: 2"),
        raw("# BEGIN SOLUTION"),
        text("It grows with the square."),
        raw("# END SOLUTION"),
        raw("# END QUESTION"),
    )  # fmt: skip


def lost(found: Assignment) -> str:
    return "\n".join(f"{loss.where}: {loss.what}" for loss in found.losses)


def judged(lab: Path, submission: Path, out: Path) -> dict[str, str]:
    """Outcomes by criterion, judged for real (in this process: it is our own code)."""
    module = load(lab).module(KEY)
    report = run_one(
        JobSpec(
            capstone=KEY, submission=submission, out=out, box="none", trusted=True, mode="check",
            definition=module.capstone, suite=lab / module.acceptance, key=b"k" * 32,
        )
    )  # fmt: skip
    return {entry.id: entry.outcome for entry in report.criteria}
