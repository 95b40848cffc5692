"""Every learner has a folder of their own, on file systems that ignore case as well."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.export import export
from grader.export.counted import Graded, counted, folder_name, folders_of
from grader.records.gradebook import Gradebook
from grader.records.gradebook_reader import Attempt
from meridian.academy.curriculum import Capstone, Criterion
from tests.grader.reports import KEY, make

TOY = Capstone(title="Toy", package="toy", criteria=(Criterion(id="1", title="One", points=100),))


def named(learner: str) -> Graded:
    attempt = Attempt(**{**dict.fromkeys(Attempt.__struct_fields__, 0), "learner": learner})  # type: ignore[arg-type]
    return Graded(attempt=attempt, report=make(), marks=(), used=1, capstone=TOY)


@given(st.lists(st.text("aAbB%4.1/é ", min_size=1, max_size=4), unique=True, max_size=12))
def test_no_two_share_a_folder_whatever_their_case(names: list[str]) -> None:
    folders = folders_of(map(named, names))
    assert list(folders) == names
    assert len({folder.casefold() for folder in folders.values()}) == len(names)
    assert not [f for f in folders.values() if "/" in f or f.startswith(".")]


def test_only_names_that_clash_are_written_otherwise() -> None:
    folders = folders_of(map(named, ["Ann", "ann", "Bob", "É"]))
    assert folders == {"Ann": "%41nn", "ann": "ann", "Bob": "Bob", "É": folder_name("É")}


@pytest.mark.parametrize("kind", ["gradescope", "prairielearn", "nbgrader"])
def test_exports_keep_them_apart(tmp_path: Path, kind: str) -> None:
    with Gradebook(tmp_path / "book.sqlite") as book:
        for learner in ("Ann", "ann"):
            book.record(make(facts={"learner": learner}), KEY)
        graded = counted(book, lambda _: TOY)
    paths = export(graded, kind, tmp_path / "out")
    pages = [path for path in paths if path.name in ("results.json", "capstone.html")]
    assert len({str(path).casefold() for path in pages}) == 2
    if kind == "nbgrader":  # there a learner keeps the name
        with closing(sqlite3.connect(tmp_path / "out" / "gradebook.db")) as db:
            assert {row[0] for row in db.execute("SELECT id FROM student")} == {"Ann", "ann"}
