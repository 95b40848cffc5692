"""The capstone notebook in a boxed kernel: what is run, what is compared, what survives a crash."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import msgspec
import pytest

from grader.limits import Limits
from grader.notebooks.boxed_kernel import Ran
from grader.notebooks.notebook import RESTARTS, judge_notebook
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
        count = sum(cell.id != "capstone.ipynb" for cell in report.notebook.cells)
        told = f"Notebook, {count} cells: "
        assert told in (toy.out / "feedback.html").read_text()
        return report

    return judged


def found(report: Report) -> dict[str, str]:
    return {e.id: e.outcome for e in report.notebook.cells if e.id != "capstone.ipynb"}


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


HOSTILE = {
    "markup": """
from IPython.display import HTML, SVG, Javascript, display
display(HTML("<script>alert(1)</script>"), Javascript("alert(1)"))
display(SVG("<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"))
raise ValueError("<script>alert(1)</script>\x1b]0;title\x07")
""",
    "widgets": """
kernel = get_ipython().kernel
state = {"application/vnd.jupyter.widget-state+json": {"state": {"a": {}}, "version_major": 2}}
for kind in ("comm_open", "comm_msg", "comm_close"):
    content = {"comm_id": "1", "target_name": "jupyter.widget", "data": state}
    kernel.session.send(kernel.iopub_socket, kind, content)
""",
    "displays": """
from IPython.display import clear_output, display
handle = display("one", display_id=True)
handle.update({"a": [[[]]]})
clear_output(wait=True)
display({"image/png": "A" * 300_000, 7: 8}, raw=True)
""",
    "forged": """
import json
kernel = get_ipython().kernel
socket, session = kernel.iopub_socket, kernel.session
parent = kernel.get_parent()
for content in ({}, [], "x", None, {"name": 3, "text": []}, {"data": {"text/plain": {"a": 1}}}):
    for kind in ("stream", "display_data", "execute_result", "error", "status", "clear_output",
                 "update_display_data", "no_such_thing"):
        session.send(socket, kind, content, parent=parent)
session.send(socket, "stream", {"name": "stdout", "text": "\ud800"}, parent={"msg_id": "another"})
for frames in ([b""], [b"x"] * 9, [b"<IDS|MSG>"], [b"<IDS|MSG>", b"", b"{}", b"{}", b"{}", b"{}"]):
    socket.send_multipart(frames)
deep = b"[" * 50_000
signed = session.sign([b"{}", b"{}", b"{}", deep])
socket.send_multipart([b"<IDS|MSG>", signed, b"{}", b"{}", b"{}", deep])
odd = b'{"msg_type": "stream", "msg_id": "\xff"}'
socket.send_multipart([b"<IDS|MSG>", session.sign([odd] * 4), *[odd] * 4])
""",
    "idle_early": """
import time
kernel = get_ipython().kernel
parent = kernel.get_parent()
kernel.session.send(kernel.iopub_socket, "status", {"execution_state": "idle"}, parent=parent)
time.sleep(0.2)
""",
    "asks": "input('your key, please: ')",
    "shell": "%system ls /\n!id",
    "raises_exit": "raise SystemExit(0)",
    "interrupts": "raise KeyboardInterrupt",
    "odd_exception": """
class Odd(Exception):
    def __str__(self): raise ValueError
raise Odd
""",
}


ERRORS = {"markup", "asks", "raises_exit", "interrupts", "odd_exception"}


def test_hostile_cells_never_trouble_the_judge(run: Any, toy: Any) -> None:
    master, submitted = [], []
    for name, source in HOSTILE.items():
        theirs = cell(name, "pass", theirs=True)
        master += [theirs, cell(f"after_{name}", "1 + 1", value("2"))]
        submitted.append({**theirs, "source": source})
    report = run(master, notebook(*submitted))
    outcomes = found(report)
    # A shell is not in every box; what came of forged messages is the learner's own affair.
    unsure = {"shell", "forged"}
    assert {name: outcomes[name] for name in HOSTILE if name not in unsure} == {
        name: "error" if name in ERRORS else "passed" for name in HOSTILE if name not in unsure
    }
    assert {outcomes[f"after_{name}"] for name in HOSTILE} == {"passed"}
    page = (toy.out / "feedback.html").read_text()
    assert "&lt;script&gt;alert(1)" in page
    assert "<script" not in page
    assert "\x1b" not in page


@pytest.mark.parametrize(
    "source",
    ["exit()", "import builtins\nbuiltins.compile = builtins.exec = builtins.print = None"],
)
def test_a_kernel_that_was_spoiled_ends_with_outcomes(run: Any, source: str) -> None:
    master = [cell("theirs", "pass", theirs=True), cell("after", "1 + 1", value("2"))]
    outcomes = found(run(master, notebook(cell("theirs", source, theirs=True)), cell_s=3.0))
    assert set(outcomes) == {"theirs", "after"}
    assert outcomes["after"] in ("passed", "failed", "error", "timeout", "crashed")


UNPLUGGED = """
import glob, os
for name in glob.glob("k-*"):
    os.unlink(name)
get_ipython().kernel.iopub_socket.close()
get_ipython().kernel.shell_stream.close()
"""
DEAF = """
import signal, time
for number in (2, 15):
    signal.signal(number, signal.SIG_IGN)
time.sleep(1000)
"""
DAEMON = "import os, time\nif os.fork() == 0:\n    time.sleep(1000)\nos._exit(0)"
DEEP = "import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()"
FATAL: dict[str, tuple[str, set[str]]] = {
    "one_huge_message": ("print('x' * 30_000_000)", {"output"}),
    "sockets_taken_away": (UNPLUGGED, {"output", "timeout", "crashed"}),
    "stopped": ("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)", {"timeout"}),
    "deaf": (DEAF, {"timeout"}),
    "memory": ("a = bytearray(1 << 40)", {"error"}),
    "deep": (DEEP, {"crashed", "error", "memory", "timeout"}),
    "a_daemon": (DAEMON, {"crashed"}),
}


@pytest.mark.parametrize("name", FATAL)
def test_a_fatal_cell_has_its_outcome_and_the_others_theirs(run: Any, name: str) -> None:
    source, outcomes = FATAL[name]
    master = [cell("theirs", "pass", theirs=True), cell("after", "1 + 1", value("2"))]
    report = run(master, notebook(cell("theirs", source, theirs=True)), cell_s=3.0)
    assert found(report)["theirs"] in outcomes
    assert found(report)["after"] == "passed"


# -- without a kernel ----------------------------------------------------------------------------


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
        workshop = SimpleNamespace(limits=Limits(), code=tmp_path, other=lambda *_: None)
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
