"""The capstone notebook in a boxed kernel: what is run, what is compared, what is told."""

from __future__ import annotations

from typing import Any

import pytest

from tests.grader.notebooks.cells import cell, found, notebook, printed, value


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
        cell("answer", "x = 3  # mine\nprint('noise')", theirs=True),
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
    assert cells["imports"].repair == "changed: it runs as the author wrote it"
    assert cells["answer"].repair == "there 2 times, all alike"
    assert cells["raises"].repair == "missing: restored"
    assert (
        cells["capstone.ipynb"].repair
        == "1 cell of its own is not run: no answer uses what they give"
    )


@pytest.mark.parametrize("space", ["", "  ", "\t"])
def test_directives_in_a_learners_cell_do_nothing(run: Any, space: str) -> None:
    words = ("NBVAL_SKIP", "NBVAL_IGNORE_OUTPUT", "NBVAL_CHECK_OUTPUT", "NBVAL_RAISES_EXCEPTION")
    tags = ["nbval-skip", "nbval-ignore-output", "nbval-check-output", "nbval-raises-exception"]
    master = [cell("use", "1 + 1", value("3"))]
    submitted = [cell("use", "# NBVAL_IGNORE_OUTPUT\n3")]
    for word, tag in zip(words, tags, strict=True):
        theirs = cell(word, "pass", theirs=True)
        master.append(theirs)
        metadata = {**theirs["metadata"], "tags": [tag, "raises-exception"]}
        source = f"#{space}{word}\nraise ValueError('ran')"
        submitted.append({**theirs, "source": source, "metadata": metadata})
    report = run(master, notebook(*submitted))
    assert found(report) == {"use": "failed", **dict.fromkeys(words, "error")}
    assert {entry.message for entry in report.notebook.cells[1:]} == {"ValueError: ran"}


def test_names_of_a_missing_answer_are_not_asked_of_others(run: Any) -> None:
    master = [
        cell("gone", "### BEGIN SOLUTION #1: f - double\ndef f(a): return 2 * a\n### END SOLUTION"),
        cell("stub", "### BEGIN SOLUTION #2: g - halve\ng = 1\n### END SOLUTION"),
        cell("uses", "f(2)", value("4")),
    ]
    stub = 'raise NotImplementedError("toy/01 #2: g - halve")'
    report = run(master, notebook(cell("stub", stub)))
    assert found(report) == {"gone": "failed", "stub": "failed", "uses": "not_run"}
    assert [entry.message for entry in report.notebook.cells[:3]] == [
        "This cell is missing",
        "Not written yet: #2: g - halve",
        "Not judged: `f` is of cell gone, which did not run",
    ]


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
    report = run([cell("a", "1")], notebook(), notebook_s=0.0)
    assert report.notebook.outcome == "timeout"
    assert report.notebook.cells[0].message == "The kernel did not start in time"
