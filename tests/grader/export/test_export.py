"""What other tools read of our grades is what they expect, and what a learner wrote stays text."""

from __future__ import annotations

import csv
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.export import export
from grader.export.counted import Graded, counted, folder_name
from grader.export.csv_table import defused
from grader.export.nbgrader import assignment_name
from grader.intake.collect import collect
from grader.records.gradebook import Gradebook
from grader.records.store import SubmissionStore
from grader.report import BenchmarkEntry, CriterionReport, NotebookReport
from meridian.academy.curriculum import Capstone, Criterion
from tests.grader.reports import KEY, make

TOY = Capstone(
    title="Toy",
    package="toy",
    bonus_cap=5,
    criteria=(
        Criterion(id="1", title="Adding", points=60, required=True),
        Criterion(id="2", title="Speed", points=40, benchmark=True),
    ),
    bonus=(Criterion(id="extra", title="More", points=5),),
)
RACE = BenchmarkEntry(name="Adds", ratio=1.5, spread=0.1, peer="sum", unit="add", low=1.4, high=1.6)


def criteria(one: float = 60, two: float = 40, extra: float = 0) -> list[CriterionReport]:
    def entry(key: str, title: str, points: float, score: float) -> CriterionReport:
        missed = {"outcome": "failed", "message": f"{title}. \x1b[31m=1+1", "counterexample": "x"}
        more: dict[str, Any] = {"outcome": "passed"} if score == points else missed
        return CriterionReport(id=key, title=title, points=points, score=score, **more)

    return [
        entry("1", "Adding", 60, one),
        entry("2", "Speed", 40, two),
        entry("extra", "+", 5, extra),
    ]


@pytest.fixture
def book(tmp_path: Path) -> Any:
    with Gradebook(tmp_path / "g.sqlite") as made:
        yield made


def enter(book: Gradebook, learner: str, attempt: int = 1, **changes: Any) -> str:
    facts = {"learner": learner, "attempt": attempt}
    return book.record(make(facts=facts, **{"criteria": criteria(), **changes}), KEY)


def taken(book: Gradebook) -> list[Graded]:
    return counted(book, lambda key: TOY if key == "toy/01" else None)


def written(book: Gradebook, kind: str, out: Path) -> list[Path]:
    return export(taken(book), kind, out)


def lines_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_best_judged_attempt_counts(book: Gradebook) -> None:
    enter(book, "ada", 1, score=90, passed=False)
    best = enter(book, "ada", 2, score=70, passed=True)
    enter(book, "ada", 3, score=60, passed=True)
    enter(book, "ada", 4, score=100, passed=True, judged=False)
    enter(book, "bob", 1, score=0, passed=False, judged=False)
    found = {graded.attempt.learner: graded for graded in taken(book)}
    assert (found["ada"].attempt.receipt, found["ada"].used) == (best, 3)
    assert (found["bob"].used, found["bob"].attempt.judged) == (0, False)
    assert book.attempts_used("ada", "toy/01") == 3
    assert book.next_attempt("ada", "toy/01") == 5
    assert book.next_attempt("eve", "toy/01") == 1


def test_csv(book: Gradebook, tmp_path: Path) -> None:
    enter(book, '=HYPERLINK("http://x")', score=100)
    enter(book, "bob, jr\n\x00", score=0, passed=False, judged=False)
    grades, points = written(book, "csv", tmp_path / "out")
    rows = lines_of(grades)
    assert [row["learner"] for row in rows] == ['\'=HYPERLINK("http://x")', "bob, jr\n\x00"]
    assert [row["score"] for row in rows] == ["100.0", ""]
    assert [row["passed"] for row in rows] == ["yes", "not judged"]
    details = lines_of(points)
    assert [row["title"] for row in details][:3] == ["Adding", "Speed", "'+"]


@given(st.text() | st.floats() | st.integers())
def test_no_cell_is_a_formula(cell: object) -> None:
    safe = defused(cell)
    if isinstance(cell, str):
        assert isinstance(safe, str)
        assert safe.strip()[:1] not in ("=", "+", "-", "@") or safe.startswith("'")
        assert safe in (cell, f"'{cell}")
    else:
        assert safe is cell


def test_gradescope(book: Gradebook, tmp_path: Path) -> None:
    enter(book, "ada", score=100, bonus=5, criteria=criteria(55, 40, 5), benchmarks=[RACE])
    (path,) = written(book, "gradescope", tmp_path / "out")
    assert path == tmp_path / "out" / "toy%2F01" / "ada" / "results.json"
    result = json.loads(path.read_bytes())
    # The fields and values that Gradescope's specification names.
    assert set(result) <= {
        "score", "execution_time", "output", "output_format", "test_output_format",
        "test_name_format", "visibility", "stdout_visibility", "extra_data", "tests", "leaderboard",
    }  # fmt: skip
    assert result["score"] == 100
    for test in result["tests"]:
        assert set(test) <= {
            "score", "max_score", "status", "name", "name_format", "number", "output",
            "output_format", "tags", "visibility", "extra_data",
        }  # fmt: skip
        assert test["status"] in ("passed", "failed")
        assert test["visibility"] in ("visible", "hidden", "after_due_date", "after_published")
        assert "\x1b" not in test["output"]
    assert [(t["score"], t["max_score"]) for t in result["tests"]] == [(55, 60), (40, 40), (5, 0)]
    assert result["tests"][0]["output"] == (
        "Adding. \\x1b[31m=1+1\nSmallest input that shows it:\nx"
    )
    assert result["leaderboard"] == [{"name": "Adds, against sum", "value": 1.5}]
    assert "1.50 times the speed of sum (1.40 to 1.60)" in result["output"]


def test_prairielearn(book: Gradebook, tmp_path: Path) -> None:
    enter(book, "ada", score=85)
    enter(book, "bob", score=0, passed=False, judged=False, criteria=criteria(0))
    first, second = written(book, "prairielearn", tmp_path / "out")
    result = json.loads(first.read_bytes())
    assert (result["gradable"], result["score"]) == (True, 0.85)
    assert all(0 <= t["points"] <= t["max_points"] for t in result["tests"])
    refused = json.loads(second.read_bytes())
    assert refused["gradable"] is False
    assert refused["format_errors"][0].startswith("Adding.")


def totals(path: Path) -> dict[str, tuple[float, float]]:
    """Score and maximum of each student by nbgrader's own rule (its `api.py`): what a person gave
    before what was computed, and extra credit on top."""
    query = """
        SELECT sa.student_id,
            SUM(COALESCE(g.manual_score, g.auto_score, 0) + COALESCE(g.extra_credit, 0)),
            SUM(gc.max_score)
        FROM submitted_assignment sa JOIN submitted_notebook sn ON sn.assignment_id = sa.id
        JOIN grade g ON g.notebook_id = sn.id JOIN grade_cells gc ON gc.id = g.cell_id
        GROUP BY sa.id"""
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        rows = db.execute(query).fetchall()
    db.close()
    return {row[0]: (row[1], row[2]) for row in rows}


def test_nbgrader(book: Gradebook, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "toy").mkdir(parents=True)
    (source / "toy" / "__init__.py").write_text("x = 1\n")
    (source / "capstone.ipynb").write_text("{}")
    store = SubmissionStore(tmp_path / "store")
    kept = collect(source, tmp_path / "code", "toy")
    store.add(tmp_path / "code", kept)
    enter(book, "ada", score=100, criteria=criteria(58, 40, 5), submission_sha256=kept.sha256)
    enter(book, "bob", score=40, passed=False, criteria=criteria(0))
    book.adjust("bob", "toy/01", 1, "1", 30, capstone=TOY, author="G", why="nearly")
    out = tmp_path / "out"
    for _ in range(2):  # the second replaces the first
        export(taken(book), "nbgrader", out, store)
    assert totals(out / "gradebook.db") == {"ada": (100, 100), "bob": (70, 100)}
    rows = lines_of(out / "grades.csv")
    assert list(rows[0])[:4] == ["assignment", "duedate", "timestamp", "student_id"]
    assert [(r["student_id"], r["raw_score"], r["score"]) for r in rows] == [
        ("ada", "100.0", "100.0"), ("bob", "70.0", "70.0"),
    ]  # fmt: skip
    name = assignment_name("toy/01")
    assert name == "toy_01"
    for step in ("submitted", "autograded"):
        folder = out / step / "ada" / name
        assert sorted(path.name for path in folder.iterdir()) == [
            "capstone.ipynb", "timestamp.txt", "toy",
        ]  # fmt: skip
        assert (folder / "timestamp.txt").read_text() == "2026-01-01 00:00:00.000000 UTC"
        assert not (out / step / "bob").exists(), "what was not kept has no folder"
    page = (out / "feedback" / "bob" / name / "capstone.html").read_text()
    assert "30 points given by G: nearly" in page
    assert sorted(path.name for path in out.iterdir()) == [
        "autograded", "feedback", "gradebook.db", "grades.csv", "submitted",
    ]  # fmt: skip


def test_a_capstone_that_left_the_course_is_exported_too(book: Gradebook, tmp_path: Path) -> None:
    enter(book, "ada", capstone="old/99-gone", notebook=NotebookReport(outcome="failed"))
    for kind in ("csv", "gradescope", "nbgrader", "prairielearn"):
        assert written(book, kind, tmp_path / kind)


@given(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40))
def test_every_name_is_one_folder_of_its_own(one: str, other: str) -> None:
    name = folder_name(one)
    assert "/" not in name
    assert not name.startswith(".")
    assert Path("a", name).parent == Path("a")
    assert (name == folder_name(other)) == (one == other)


def test_an_empty_gradebook_and_an_unknown_format(book: Gradebook, tmp_path: Path) -> None:
    for kind in ("csv", "gradescope", "nbgrader", "prairielearn"):
        written(book, kind, tmp_path / kind)
    assert len((tmp_path / "csv" / "grades.csv").read_text().splitlines()) == 1
    assert totals(tmp_path / "nbgrader" / "gradebook.db") == {}
    with pytest.raises(ValueError, match="one of csv, gradescope"):
        written(book, "xls", tmp_path)
