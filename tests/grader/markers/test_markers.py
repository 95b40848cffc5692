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
from grader.job import JobSpec, run_one
from grader.markers import Assignment, BadAssignment, read_assignment, write_layout
from grader.markers.points import apportion
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


RAW = "raw"


@pytest.mark.parametrize(
    ("cells", "kind", "said"),
    [
        ([code("### BEGIN SOLUTION\n1", "a", solution=True)], "nbgrader",
         "cell a, line 1: ### BEGIN SOLUTION without ### END"),
        ([code("1\n### BEGIN SOLUTION\n### BEGIN SOLUTION", "a")], "nbgrader",
         "cell a, line 3: ### BEGIN SOLUTION inside the region of line 2"),
        ([code("1\n### END SOLUTION", "a", solution=True)], "nbgrader",
         "cell a, line 2: ### END SOLUTION without"),
        ([code("1\n### BEGIN HIDDEN TESTS\n### END HIDDEN TESTS", "a", solution=True)], "nbgrader",
         "cell a, line 2: hidden tests outside a test cell"),
        ([code("1", "a", grade=True, points=-1)], "nbgrader", "points must be 0 or more, not -1"),
        ([code("1", "a", grade=True, points="2")], "nbgrader", "points must be 0 or more, not '2'"),
        ([code("1", "a", schema_version=9)], "nbgrader", "schema 9; 1 to 3 are known"),
        ([code("1", "a", colour="red")], "nbgrader", "unknown nbgrader key 'colour'"),
        ([code("1", "a", grade=True), code("1", "b", grade=True, grade_id="a")], "nbgrader",
         "grade_id 'a' is there twice"),
        ([code("1", "a", solution=True)], "nbgrader", "no test cell: there is nothing to judge"),
        ([code("1")], "auto", "no marker of nbgrader or otter; say which with --from"),
        ([code("1", "a", grade=True), text("# BEGIN TESTS", RAW)], "auto", "markers of both"),
        ([text("# BEGIN QUESTION\nname: q", RAW)], "otter", "BEGIN QUESTION without its end"),
        ([text("# BEGIN QUESTION\npoints: 2", RAW)], "otter", "a question needs a name"),
        ([text("# BEGIN QUESTION\n- q", RAW)], "otter", "not a YAML table"),
        ([text("# BEGIN QUESTION\nname: [", RAW)], "otter", "not a YAML table"),
        ([text("# BEGIN TESTS", RAW)], "otter", "BEGIN TESTS outside a question"),
        ([text("# END QUESTION", RAW)], "otter", "END QUESTION without BEGIN"),
        ([text("# BEGIN QUESTION\nname: q", RAW), text("# BEGIN QUESTION\nname: r", RAW)], "otter",
         "BEGIN QUESTION inside question q"),
        ([text("# BEGIN QUESTION\nname: q", RAW), text("# END TESTS", RAW)], "otter",
         "END TESTS without BEGIN TESTS"),
        ([text("# BEGIN QUESTION\nname: q", RAW), text("# BEGIN TESTS", RAW),
          text("# BEGIN TESTS", RAW)], "otter", "BEGIN TESTS inside TESTS"),
        ([code("1\n# BEGIN SOLUTION\n2")], "otter", "line 2: # BEGIN SOLUTION without # END"),
        ([code("# END SOLUTION")], "otter", "line 1: # END SOLUTION without"),
        ([code("# BEGIN SOLUTION\n# BEGIN SOLUTION")], "otter", "line 2: # BEGIN SOLUTION inside"),
    ],
)  # fmt: skip
def test_a_broken_master_names_cell_and_line(
    cells: list[dict[str, Any]], kind: str, said: str, tmp_path: Path
) -> None:
    path = write(tmp_path, *cells)
    with pytest.raises(BadAssignment) as caught:
        write_layout(read_assignment(path, kind), path, tmp_path / "lab", KEY, PACKAGE)
    assert said in str(caught.value)
    assert not (tmp_path / "lab").exists()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"cells": 3}', b'{"cells": [{}]}', b"\xff",
                                     b'{"cells": [{"source": "1", "cell_type": "code"}, 5]}',
                                     b"[" * 100_000])  # fmt: skip
def test_what_is_no_notebook(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.ipynb"
    path.write_bytes(content)
    with pytest.raises(BadAssignment, match="not a notebook of format 4"):
        read_assignment(path)


def test_other_languages_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadAssignment, match="its language is R"):
        read_assignment(write(tmp_path, code("1"), language_info={"name": "R"}))


def test_odd_requests(tmp_path: Path) -> None:
    path = nbgrader_master(tmp_path)
    with pytest.raises(ValueError, match="Expected 'nbgrader', 'otter' or 'auto', got 'ok'"):
        read_assignment(path, "ok")
    for key, package, said in (
        ("sums", PACKAGE, "a capstone key like"),
        ("imported/1-sums", PACKAGE, "a capstone key like"),
        (KEY, "two words", "a package name like"),
        (KEY, "class", "a package name like"),
    ):
        with pytest.raises(ValueError, match=said):
            write_layout(read_assignment(path), path, tmp_path / "lab", key, package)
    with pytest.raises(FileExistsError, match="not an empty folder"):
        write_layout(read_assignment(path), path, tmp_path, KEY, PACKAGE)


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
