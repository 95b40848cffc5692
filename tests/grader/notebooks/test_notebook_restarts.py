"""A kernel that dies is started again: what runs again, what is judged, when it is enough."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from grader.limits import Limits
from grader.notebooks.boxed_kernel import Ran
from grader.notebooks.notebook import RESTARTS, judge_notebook
from tests.grader.notebooks.cells import cell, found, notebook, printed, value


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
    assert found(report) == {"before": "passed", "fatal": outcome, "after": "passed"}
    assert said in report.notebook.cells[1].message
    assert "The kernel was started again" in report.notebook.cells[1].message
    assert report.notebook.outcome == outcome


def test_after_a_dead_kernel_the_rest_is_judged_in_the_same_state(run: Any) -> None:
    master = [
        cell("setup", "n = 1\nprint('set up')", printed("set up\n")),
        cell("differs", "m = n + 1\nm", value("77")),
        cell("half", "h = 5\n1 / 0"),
        cell("fatal", "### BEGIN SOLUTION\nx = 3\n### END SOLUTION", theirs=True),
        cell("state", "n += 1\n(n, m, h)", value("(2, 2, 5)")),
        cell("needs", "y = x + 1"),
        cell("chained", "print(y)", printed("4\n")),
        cell("plain", "1 + 1", value("2")),
        cell("bug", "undefined_anywhere"),
    ]
    answer = cell("fatal", "import os, signal\nx = 4\nos.kill(os.getpid(), signal.SIGKILL)")
    report = run(master, notebook(answer))
    cells = {entry.id: entry for entry in report.notebook.cells}
    assert found(report) == {
        "setup": "passed",
        "differs": "failed",
        "half": "error",
        "fatal": "crashed",
        "state": "passed",
        "needs": "not_run",
        "chained": "not_run",
        "plain": "passed",
        "bug": "error",
    }
    assert cells["needs"].message == "Not judged: `x` is of cell fatal, which did not end"
    assert cells["chained"].message == "Not judged: `y` is of cell needs, which was not judged"


class Scripted:
    """A kernel that does what a cell's source says, and writes down what it was asked."""

    ran: ClassVar[list[list[str]]] = []
    starts_s: ClassVar[float] = 0.0
    clock: ClassVar[list[float]] = [0.0]

    def __init__(self, _: Any) -> None:
        self.alive = True
        Scripted.ran.append([])

    def launch(self) -> Scripted:
        return self

    def wait(self, _: float) -> Ran:
        return Ran([])

    def close(self) -> None:
        self.alive = False

    def run(self, source: str, cell_s: float) -> Ran:
        assert self.alive
        Scripted.ran[-1].append(source)
        took_s = min(float(source.partition("takes ")[2] or 0.0), cell_s)
        Scripted.clock[0] += took_s
        if "dies" in source or ("dies again" not in source and "second" in source
                                and len(Scripted.ran) > 1):  # fmt: skip
            self.alive = False
            return Ran([], outcome="crashed", message="The kernel died in this cell")
        return Ran([])


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """``scripted(sources of answers)``: the report, with scripted kernels and clock."""
    monkeypatch.setattr("grader.notebooks.notebook.BoxedKernel", Scripted)
    monkeypatch.setattr("grader.notebooks.notebook.time.monotonic", lambda: Scripted.clock[0])
    monkeypatch.setattr(Scripted, "ran", [])
    monkeypatch.setattr(Scripted, "clock", [0.0])

    def judged(*sources: str) -> Any:
        names = [f"c{number}" for number in range(len(sources))]
        master = tmp_path / "master.ipynb"
        master.write_text(notebook(*(cell(n, "pass", theirs=True) for n in names)))
        submitted = tmp_path / "submitted.ipynb"
        submitted.write_text(
            notebook(*(cell(n, s, theirs=True) for n, s in zip(names, sources, strict=True)))
        )
        workshop = SimpleNamespace(limits=Limits(), code=tmp_path, extra=(), other=lambda *_: None)
        told: list[tuple[int, int]] = []
        report = judge_notebook(
            master=master,
            submitted=submitted,
            workshop=workshop,  # type: ignore[arg-type]
            on_cell=lambda done, total: told.append((done, total)),
        )
        assert told == [(number, len(sources)) for number in range(1, len(sources) + 1)]
        return report

    return judged


def test_what_a_kernel_survived_runs_again_and_the_fatal_cell_does_not(scripted: Any) -> None:
    report = scripted("a = 1", "dies 1", "b = 2", "dies 2", "c = 3")
    assert [e.outcome for e in report.cells] == [
        "passed", "crashed", "passed", "crashed", "passed",
    ]  # fmt: skip
    assert Scripted.ran == [
        ["a = 1", "dies 1"],
        ["a = 1", "b = 2", "dies 2"],
        ["a = 1", "b = 2", "c = 3"],
    ]


def test_restarts_are_counted(scripted: Any) -> None:
    report = scripted(*(f"dies {number}" for number in range(RESTARTS + 3)))
    outcomes = [entry.outcome for entry in report.cells]
    assert outcomes == ["crashed"] * (RESTARTS + 1) + ["not_run"] * 2
    assert report.cells[-1].message == f"Not run: {RESTARTS + 1} cells ended the kernel"
    assert len(Scripted.ran) == RESTARTS + 1


def test_a_cell_that_does_not_bear_running_again_ends_the_rest(scripted: Any) -> None:
    report = scripted("second = 1", "dies", "b = 1", "c = 1")
    assert [entry.outcome for entry in report.cells] == [
        "passed", "crashed", "not_run", "not_run",
    ]  # fmt: skip
    assert "cell c0 ended the kernel when it ran again" in report.cells[2].message
    assert report.outcome == "crashed"


def test_the_time_for_all_of_it_is_bounded_replays_included(scripted: Any) -> None:
    report = scripted("a = 1  # takes 70", "dies", "b = 1", "c = 1")
    assert [entry.outcome for entry in report.cells] == [
        "passed", "crashed", "not_run", "not_run",
    ]  # fmt: skip
    assert Scripted.clock[0] == 120.0
    assert "120 s are used up" in report.cells[2].message
