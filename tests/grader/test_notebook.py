"""The capstone notebook in a boxed kernel: what is run, what is compared, what survives a crash."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from grader.limits import MIB
from grader.report import Report


def cell(name: str, source: str, *outputs: dict[str, Any], theirs: bool = False) -> dict[str, Any]:
    nbgrader = {"grade_id": name, "solution": True, "schema_version": 3}
    return {
        "id": name,
        "cell_type": "code",
        "source": source,
        "metadata": {"nbgrader": nbgrader} if theirs else {},
        "outputs": list(outputs),
        "execution_count": None,
    }


def printed(text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": "stdout", "text": text}


def value(text: str) -> dict[str, Any]:
    return {
        "output_type": "execute_result",
        "data": {"text/plain": text},
        "metadata": {},
        "execution_count": 1,
    }


def notebook(*cells: dict[str, Any]) -> str:
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


@pytest.fixture
def run(toy: Any, bwrap: None) -> Any:
    """``run(master cells, submitted notebook text)``: the report."""

    def judged(master: list[dict[str, Any]], submitted: str | None, **limits: Any) -> Report:
        path = toy.folder / "master.ipynb"
        path.write_text(notebook(*master))
        folder: Path = toy.submission()
        if submitted is not None:
            (folder / "capstone.ipynb").write_text(submitted)
        report: Report = toy.judge(
            submission=folder,
            notebook=path,
            limits=msgspec.structs.replace(toy.limits, job_s=60, **limits),
        )
        assert report.score == 100  # the notebook never takes a point away,
        assert report.passed == (report.notebook.outcome == "passed")  # but it decides
        told = "passes only if its notebook runs" in (toy.out / "feedback.html").read_text()
        assert told != report.passed
        return report

    return judged


def found(report: Report) -> dict[str, str]:
    return {entry.id: entry.outcome for entry in report.notebook.cells}


def test_the_authors_cells_run_as_the_author_wrote_them(run: Any) -> None:
    master = [
        cell("imports", "import toy\nprint('ready')", printed("ready\n")),
        cell("answer", "### BEGIN SOLUTION\nx = 3\n### END SOLUTION", theirs=True),
        cell("use", "toy.add(x, 1)", value("4")),
        cell("skipped", "# NBVAL_SKIP\nraise SystemExit"),
        cell("free", "# NBVAL_IGNORE_OUTPUT\nimport time; print(time.time())", printed("1")),
        cell("raises", "# NBVAL_RAISES_EXCEPTION\n1 / 0"),
        cell("must_raise", "# NBVAL_RAISES_EXCEPTION\n1"),
        cell("gone", "### BEGIN SOLUTION\ny = 1\n### END SOLUTION", theirs=True),
        cell("wrong", "toy.add(x, 2)", value("77")),
        cell("error", "toy.add(x, None)", value("5")),
        cell("files", "import os; print(os.getuid() != 0, os.path.exists('/work'))"),
        cell("no_meridian", "import meridian"),
        cell("shapes", "import numpy; numpy.arange(3)", value("array([0, 1, 2])")),
    ]
    submitted = [
        cell("imports", "# NBVAL_SKIP\nprint('something else')"),
        {"id": "note", "cell_type": "markdown", "source": "a cell of mine", "metadata": {}},
        cell("extra", "x = 100"),
        cell("answer", "x = 3  # mine\nprint('noise')", theirs=True),
        cell("answer", "x = 1000", theirs=True),
        cell("use", "4"),
        cell("wrong", "# NBVAL_IGNORE_OUTPUT\n77"),
        cell("error", "# NBVAL_RAISES_EXCEPTION\n5"),
    ]
    report = run(master, notebook(*submitted))
    cells = {entry.id: entry for entry in report.notebook.cells}
    assert found(report) == {
        "imports": "passed",
        "answer": "passed",
        "use": "passed",
        "skipped": "not_run",
        "free": "passed",
        "raises": "passed",
        "must_raise": "failed",
        "gone": "failed",
        "wrong": "failed",
        "error": "error",
        "files": "failed",
        "no_meridian": "error",
        "shapes": "passed",
    }
    assert report.notebook.outcome == "failed"
    assert "text/plain is '5'; expected '77'" in cells["wrong"].message
    assert cells["gone"].message == "This cell is missing"
    assert "TypeError" in cells["error"].message
    assert "True False" in cells["files"].message
    assert "No module named 'meridian'" in cells["no_meridian"].message


@pytest.mark.parametrize(
    ("source", "outcome", "said"),
    [
        ("import os; os._exit(0)", "crashed", "The kernel died in this cell"),
        ("while True: pass", "timeout", "Not done after 2 s"),
        (
            "import sys\nwhile True: print('x' * 9_999); sys.stdout.flush()",
            "output",
            "bytes of output",
        ),
    ],
)
def test_a_cell_that_takes_the_kernel_with_it_leaves_a_partial_result(
    run: Any, source: str, outcome: str, said: str
) -> None:
    master = [
        cell("before", "print(1)", printed("1\n")),
        cell("fatal", "pass", theirs=True),
        cell("after", "print(2)", printed("2\n")),
    ]
    submitted = notebook(cell("fatal", source, theirs=True))
    report = run(master, submitted, cell_s=2.0)
    assert found(report) == {"before": "passed", "fatal": outcome, "after": "not_run"}
    assert said in report.notebook.cells[1].message
    assert report.notebook.outcome == outcome


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "is missing"),
        ("not json", "is not a notebook"),
        ('{"cells": 3}', "is not a notebook"),
        ('{"cells": ["a"]}', "is not a notebook"),
        ("[" * 100_000, "is not a notebook"),
        ("\x00", "is not a notebook"),
    ],
)
def test_what_is_no_notebook_fails_without_starting_a_kernel(
    run: Any, text: str | None, said: str
) -> None:
    report = run([cell("a", "1")], text)
    assert report.notebook.outcome == "failed"
    assert [said in entry.message for entry in report.notebook.cells] == [True]


def test_a_kernel_that_cannot_start_says_why(run: Any) -> None:
    report = run([cell("a", "1")], notebook(), notebook_memory_bytes=40 * MIB)
    assert report.notebook.outcome == "crashed"
    assert "The kernel did not start" in report.notebook.cells[0].message
