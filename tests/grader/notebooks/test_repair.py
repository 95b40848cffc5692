"""A corpus of mangled notebooks: each is repaired, and told, or reported, and not guessed at."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.authoring.cutting import cut_notebook
from grader.notebooks.cellcode import Master, as_python, bound_names, lines, needed_names
from grader.notebooks.notebook import master_cells
from grader.notebooks.repair import MasterCell, Plan, plan
from grader.notebooks.salvage import Cell, Salvaged, read_notebook
from tests.grader.notebooks.mangled import cells as _cells  # noqa: F401 - enters its manglers
from tests.grader.notebooks.mangled import corpus
from tests.grader.notebooks.mangled import saved as _saved  # noqa: F401 - enters its manglers

HERE = Path(__file__).parent
KEY = "database/01-storage"
MASTER = HERE.parents[2] / "solutions" / KEY / "capstone.ipynb"


@pytest.fixture(scope="module")
def solved() -> dict[str, Any]:
    """The capstone as it is given out, with the model answer written into its one cell."""
    notebook = json.loads(cut_notebook(MASTER.read_bytes(), KEY, MASTER))
    (theirs,) = (m for m in master_cells(MASTER) if m.theirs)
    assert theirs.id == corpus.ANSWER
    text = "\n".join(line for line in theirs.source.split("\n") if not line.startswith("###"))
    assert corpus.skeleton({"cells": [{"id": corpus.ANSWER, "source": text}]}).count("\n") == 3
    corpus.answer(notebook)["source"] = text
    return notebook


def planned(notebook: dict[str, Any] | bytes) -> Plan:
    data = notebook if isinstance(notebook, bytes) else json.dumps(notebook).encode()
    return plan(master_cells(MASTER), read_notebook(data))


def told(result: Plan) -> str:
    return "\n".join([*result.notes, *(f"{s.master.id}: {s.repair}" for s in result.steps)])


def runs(result: Plan) -> list[tuple[str, tuple[str, ...]]]:
    """What runs for each cell: equal lines in equal order, equal verdict."""
    return [(step.master.id, lines("\n".join(step.sources))) for step in result.steps]


def test_the_solved_notebook_needs_no_repair(solved: dict[str, Any]) -> None:
    result = planned(solved)
    assert [step.repair + step.problem for step in result.steps] == [""] * len(result.steps)
    assert result.notes == []
    assert len(result.steps) == 19
    authors = [step for step in result.steps if not step.master.theirs]
    assert [step.sources for step in authors] == [[step.master.source] for step in authors]


def test_the_corpus_is_large_enough() -> None:
    assert len(corpus.REPAIRED) + len(corpus.REPORTED) >= 45


@pytest.mark.parametrize("name", corpus.REPAIRED)
def test_repaired(name: str, solved: dict[str, Any]) -> None:
    mangler, said = corpus.REPAIRED[name]
    mangled = mangler(copy.deepcopy(solved))
    result = planned(mangled)
    assert [step.problem for step in result.steps if step.problem] == []
    want = runs(planned(solved))
    if name == "a_helper_in_a_cell_of_its_own":
        helped = next(step for step in result.steps if step.master.id == corpus.ANSWER)
        assert helped.sources[0] == "LAYOUT = '<4sIBHHI'"
        assert "struct.unpack(LAYOUT, raw)" in helped.sources[1]
    elif name == "directives_of_nbval_added":
        assert [lines for lines in runs(result) if lines[0] != corpus.ANSWER] == [
            lines for lines in want if lines[0] != corpus.ANSWER
        ]
    else:
        assert runs(result) == want
    if said:
        assert said in told(result)
    else:
        assert {step.repair for step in result.steps} == {""}


@pytest.mark.parametrize("name", corpus.REPORTED)
def test_reported(name: str, solved: dict[str, Any]) -> None:
    mangler, said = corpus.REPORTED[name]
    result = planned(mangler(copy.deepcopy(solved)))
    problems = {step.master.id: step.problem for step in result.steps if step.problem}
    assert problems.keys() == {corpus.ANSWER}
    assert said in problems[corpus.ANSWER]
    step = next(step for step in result.steps if step.master.id == corpus.ANSWER)
    assert step.sources == []
    assert runs(result)[:3] == runs(planned(solved))[:3]


# -- small masters: two answers, no lines of the author's ----------------------------------------


def master(name: str, source: str, theirs: bool = False, kind: str = "code") -> MasterCell:
    return MasterCell(id=name, kind=kind, source=source, theirs=theirs)


def region(said: str, body: str, after: str = "") -> str:
    return f"### BEGIN SOLUTION {said}\n{body}\n### END SOLUTION{after}"


TWO = [
    master("text", "Words.", kind="markdown"),
    master("setup", "import math\nradius = 2"),
    master("area", region("#1: area - of the circle", "area = math.pi * radius**2"), theirs=True),
    master("show", "print(round(area, 3))"),
    master("around", region("#2: around - it", "around = 2 * math.pi * radius"), theirs=True),
    master("check", "print(round(around, 3))"),
]


def cells(*sources: str | tuple[str, str]) -> Salvaged:
    """Cells with a name, or without one."""
    pairs = [("", s) if isinstance(s, str) else s for s in sources]
    return Salvaged(
        tuple(Cell(id=name, source=source, number=n) for n, (name, source) in enumerate(pairs, 1))
    )


def test_two_answers_without_names_are_found_between_the_authors_cells() -> None:
    got = plan(TWO, cells(TWO[1].source, "area = 12", TWO[3].source, "around = 12", TWO[5].source))
    assert [step.sources for step in got.steps] == [
        [TWO[1].source], ["area = 12"], [TWO[3].source], ["around = 12"], [TWO[5].source],
    ]  # fmt: skip


def test_an_answer_elsewhere_without_a_name_is_not_guessed_at() -> None:
    got = plan(TWO, cells(TWO[1].source, TWO[3].source, "area = 12", ("around", "around = 12")))
    assert got.steps[1].problem == "This cell is missing"


def test_two_answers_in_one_cell_run_in_the_place_of_the_first() -> None:
    both = "area = 1\naround = 2"
    got = plan(TWO, cells(("setup", ""), ("area", both), ("show", ""), ("check", "")))
    assert [step.problem for step in got.steps] == [""] * 5
    assert (got.steps[1].sources, got.steps[3].sources) == ([both], ["pass"])
    assert got.steps[3].repair == "merged into area, and runs there"


def test_a_helper_that_needs_a_helper_comes_along_and_an_experiment_does_not() -> None:
    got = plan(
        TWO,
        cells(
            "def square(x): return multiply(x, x)",
            "radius = 99",
            "def multiply(a, b): return a * b",
            ("area", "area = 3 * square(radius)"),
            ("around", "around = tau * radius"),
            "tau = 6",
        ),
    )
    assert got.steps[1].sources[-1] == "area = 3 * square(radius)"
    assert [source[:8] for source in got.steps[1].sources[:-1]] == ["def squa", "def mult"]
    assert got.steps[1].repair == "with cell 1 and 3"
    assert got.steps[3].sources == ["around = tau * radius", "tau = 6"]
    assert got.notes == ["1 cell of its own is not run: no answer uses what they give"]


def test_pieces_without_lines_of_the_authors() -> None:
    got = plan(TWO, cells(("area", "side = radius"), ("area", "area = side**2")))
    assert got.steps[1].sources == ["side = radius", "area = side**2"]
    got = plan(TWO, cells(("area", "area = 1"), ("area", "area = 2")))
    assert "2 different versions" in got.steps[1].problem


def test_an_empty_notebook_is_all_missing() -> None:
    got = plan(TWO, Salvaged(()))
    assert [step.problem or step.repair for step in got.steps] == [
        "missing: restored", "This cell is missing", "missing: restored", "This cell is missing",
        "missing: restored",
    ]  # fmt: skip


FILES = {
    "colab.json": "",
    "databricks.json": "found by what it says",
    "ipython2.json": "found by what it says",
    "jupytext.py.txt": "read as jupytext writes them",
    "kaggle.json": "found by what it says",
    "merge.json.txt": "there 2 times: cell 3, the one that was changed, is used",
    "nbgrader.json": "",
    "notepad.json": "byte order mark",
    "vscode.json": "found by what it says",
}


def test_the_files_are_all_there() -> None:
    assert {path.name for path in (HERE / "mangled" / "files").iterdir()} == FILES.keys()


@pytest.mark.parametrize("name", FILES)
def test_files_as_tools_write_them(name: str) -> None:
    result = plan(TWO, read_notebook((HERE / "mangled" / "files" / name).read_bytes()))
    assert [step.sources for step in result.steps] == [
        [TWO[1].source], ["area = math.pi * radius**2"], [TWO[3].source],
        ["around = 2 * math.pi * radius"], [TWO[5].source],
    ]  # fmt: skip
    assert FILES[name] in told(result)
    if not FILES[name]:
        assert {step.repair for step in result.steps} == {""}


sources = st.sampled_from(
    [
        *(m.source for m in TWO),
        "area = 1",
        "around = radius",
        "",
        "%%bash\nls",
        "area =",
        'raise NotImplementedError("x #1: area - of the circle")',
        "def f(): return g()",
    ]
)
names = st.sampled_from(["", "x", *(m.id for m in TWO)])
kinds = st.sampled_from(["code", "markdown", "raw"])
submitted = st.lists(st.builds(Cell, kind=kinds, id=names, grade_id=names, source=sources))


@settings(deadline=None)
@given(submitted)
def test_whatever_is_submitted_the_author_runs_as_written(found: list[Cell]) -> None:
    numbered = [Cell(**{f: getattr(c, f) for f in ("kind", "id", "grade_id", "source")}, number=n)
                for n, c in enumerate(found, 1)]  # fmt: skip
    got = plan(TWO, Salvaged(tuple(numbered)))
    assert [step.master for step in got.steps] == TWO[1:]
    for step in got.steps:
        if not step.master.theirs:
            assert (step.sources, step.problem) == ([step.master.source], "")
        else:
            assert bool(step.sources) != bool(step.problem)
            assert "".join(step.sources).strip() or step.problem
    assert got == plan(TWO, Salvaged(tuple(numbered))), "the same again"


# -- what code binds and needs -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "bound", "needed"),
    [
        ("a = b", {"a"}, {"b"}),
        ("import os.path as p, re.x\nfrom m import k as z", {"p", "re", "z"}, set()),
        ("def f(x):\n    global g\n    g = h\n    return x", {"f", "g"}, {"h"}),
        ("class C(B):\n    x = y", {"C"}, {"B", "y"}),
        ("for i in r:\n    (w := i)", {"i", "w"}, {"r"}),
        ("with open(n) as file: pass", {"file"}, {"open", "n"}),
        ("[k for k in m]", set(), {"m"}),
        ("%time a = 1\n!ls\nc = 2", {"c"}, set()),
        ("%%time\na = 1", {"a"}, set()),
        ("%%bash\na = 1", set(), set()),
        ("a = ", set(), set()),
        ("\0", set(), set()),
        ("-" * 100_000 + "1", set(), set()),
        ("(" * 5_000, set(), set()),
        ("x = 1\n" * 50_000, set(), set()),
    ],
)
def test_names(source: str, bound: set[str], needed: set[str]) -> None:
    assert (bound_names(source), needed_names(source)) == (bound, needed)


def test_what_is_fixed_and_what_is_asked() -> None:
    facts = Master(region("#1: f() - it", "x = 1", "\nassert x == 1\nprint(x)"))
    assert facts.said == ("#1: f() - it",)
    assert facts.answer_names == {"x"}
    assert facts.tail == "assert x == 1\nprint(x)"
    assert facts.without_tail("x = 2\nassert x == 1\nprint(x)\n") == ("x = 2", True)
    assert facts.without_tail("x = 2\nprint(x)") == ("x = 2\nprint(x)", False)
    assert facts.own_lines('raise NotImplementedError(\n    "k #1: f() - it"\n)\nprint(x)') == []
    assert facts.own_lines("# words\nx = 2") == ["x = 2"]
    assert Master("x = 1").own_lines("x = 1") == ["x = 1"], "no region: all of it is the answer"
    indented = Master(
        "def f():\n    ### BEGIN SOLUTION\n    a = 1\n    ### END SOLUTION\n    return a"
    )
    assert indented.tail == ""
    assert as_python("%%html\n<b>") is None
