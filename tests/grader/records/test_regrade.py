"""Judging again: who changes, by how much, which criterion did it; nothing is lost or rewritten."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from grader.cli import app
from grader.records.gradebook_reader import GradebookError, GradebookReader
from grader.records.regrade import enter, regrade
from grader.report import lab_key
from grader.software import differences
from tests.grader.records.course import RIGHT, TRIPLES, Course


def test_the_criterion_that_did_it_is_named(course: Course) -> None:
    course.hand_in("ada", RIGHT)
    course.hand_in("bob", TRIPLES)
    course.edit("3")
    found = course.regrade()
    assert [(c.criterion, c.before, c.after) for c in found["ada"].changes] == [("2", 30, 0)]
    assert [(c.criterion, c.before, c.after) for c in found["bob"].changes] == [("2", 0, 30)]
    assert (found["ada"].attempt.score, found["ada"].score) == (100, 70)
    assert (found["bob"].attempt.score, found["bob"].score) == (70, 100)
    assert found["ada"].changes[0].says.startswith("Doubles. double(")
    assert [line.split(":")[0] for line in found["ada"].because] == ["the grader or the suite"]
    with course.book() as book:
        assert [entry.score for entry in book.attempts()] == [100, 70], "nothing is entered yet"


def test_hidden_inputs_are_those_of_the_attempt(course: Course) -> None:
    receipt = course.hand_in("ada", TRIPLES)
    with course.book() as book:
        before = book.report(receipt)
    again = course.regrade(force=True)["ada"]
    assert again.report is not None
    assert again.report.seed == before.seed
    assert [c.message for c in again.report.criteria] == [c.message for c in before.criteria]
    assert not again.changed


def test_what_nothing_has_changed_for_is_not_judged_again(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    course.hand_in("ada", RIGHT)
    monkeypatch.setattr("grader.records.regrade.run_one", lambda _: pytest.fail("judged again"))
    found = course.regrade()["ada"]
    assert (found.cached, found.because, found.report, found.changed) == (True, (), None, False)


def test_a_change_without_a_cause_is_shown_as_one(course: Course) -> None:
    """The same grader, submission and seed: what differs is a flake of suite or submission."""
    flaky = RIGHT + "import os\ndef double(a): return 2 * a if 'FLAKE' not in os.environ else 0\n"
    course.hand_in("ada", flaky)
    course._monkeypatch.setenv("FLAKE", "1")
    found = course.regrade(force=True)["ada"]
    assert [c.criterion for c in found.changes] == ["2"]
    assert found.because == ()


def test_a_regrade_is_a_row_of_its_own_and_the_latest_counts(course: Course) -> None:
    receipt = course.hand_in("bob", TRIPLES)
    course.edit("3")
    settings = course.settings()
    with course.book() as book:
        found = regrade(book, settings)
        assert enter(book, found, settings, author="A. Turing", why="the suite was wrong") == 1
        (entry,) = book.attempts()
        assert (entry.score, entry.passed, entry.revisions) == (100, True, 1)
        assert entry.receipt == receipt, "the attempt keeps its receipt"
        assert book.report(receipt).score == 100
        again = regrade(book, settings)
        assert again[0].cached, "and now it is of today's grader"
        assert enter(book, again, settings, author="A", why="b") == 0
    database = sqlite3.connect(course.home / "gradebook.sqlite")
    assert database.execute("SELECT score FROM attempts").fetchall() == [(70,)]
    assert database.execute("SELECT author, why, kind FROM revisions").fetchall() == [
        ("A. Turing", "the suite was wrong", "regrade")
    ]
    for statement in (
        "UPDATE revisions SET score = 1",
        "DELETE FROM revisions",
        "INSERT OR REPLACE INTO revisions SELECT * FROM revisions",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            database.execute(statement)
    database.close()


def test_races_stand_unless_they_are_asked_for(course: Course) -> None:
    slow = RIGHT + "import os\ndef speed(): return 1 if 'BUSY' not in os.environ else 0\n"
    course.hand_in("ada", slow)
    course._monkeypatch.setenv("BUSY", "1")
    course.edit("2.0")
    kept = course.regrade()["ada"]
    assert [c.criterion for c in kept.changes] == ["2"]
    assert kept.score == 70
    assert kept.report is not None
    assert kept.report.environment["races"] == "those of the attempt"
    assert kept.report.verify(lab_key(course.home))
    anew = course.regrade(races=True)["ada"]
    assert [c.criterion for c in anew.changes] == ["2", "3"]
    assert anew.changes[1].benchmark
    assert "the races were run again" in anew.because


def test_races_of_what_could_not_be_run_are_run_now(course: Course) -> None:
    """An import that failed then and works now has no race that could stand."""
    broken = "import os\nif 'THEN' in os.environ: raise RuntimeError('no')\n" + RIGHT
    course._monkeypatch.setenv("THEN", "1")
    course.hand_in("ada", broken)
    course._monkeypatch.delenv("THEN")
    found = course.regrade(force=True)["ada"]
    assert (found.attempt.score, found.score) == (0, 100)


def test_what_was_not_kept_is_said(course: Course) -> None:
    course.hand_in("ada", RIGHT, keep=False)
    course.hand_in("bob", "")
    course.hand_in("eve", TRIPLES)
    store = course.home / "submissions"
    with course.book() as book:
        eves = book.attempts("eve")[0].submission_sha256
    path = store / f"{eves}.tar"
    path.write_bytes(path.read_bytes().replace(b"3 * a", b"4 * a"))
    course.edit("3")
    found = course.regrade()
    assert "its files are not kept" in found["ada"].problem
    assert "damaged" in found["eve"].problem
    assert found["bob"].problem == ""
    settings = course.settings()
    with course.book() as book:
        assert enter(book, list(found.values()), settings, author="a", why="b") == 1


def test_one_learner_one_capstone_the_latest(course: Course) -> None:
    course.hand_in("ada", TRIPLES)
    course.hand_in("ada", RIGHT, attempt=2)
    course.hand_in("bob", RIGHT)
    with course.book() as book:
        settings = course.settings()
        assert len(regrade(book, settings, learner="ada")) == 2
        assert len(regrade(book, settings, capstone="toys/none")) == 0
        newest = regrade(book, msgspec.structs.replace(settings, latest=True))
        assert [(r.attempt.learner, r.attempt.attempt) for r in newest] == [("ada", 2), ("bob", 1)]


def test_verdicts_are_kept_until_they_are_entered(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    course.hand_in("ada", RIGHT)
    course.edit("3")
    cache = course.home / "regrades"
    first = course.regrade(cache=cache)["ada"]
    assert len(list(cache.iterdir())) == 1
    with monkeypatch.context() as patch:
        patch.setattr("grader.records.regrade.run_one", lambda _: pytest.fail("judged again"))
        second = course.regrade(cache=cache)["ada"]
    assert second.score == first.score == 70
    (kept,) = cache.iterdir()
    kept.write_text(kept.read_text().replace('"score": 30', '"score": 31'))
    assert course.regrade(cache=cache)["ada"].score == 70, "a changed one is judged anew"
    settings = course.settings(cache=cache)
    with course.book() as book:
        enter(book, regrade(book, settings), settings, author="a", why="b")
    assert list(cache.iterdir()) == []


def test_several_processes_find_the_same(course: Course) -> None:
    for learner in ("ada", "bob"):
        course.hand_in(learner, RIGHT)
    course.edit("3")
    found = course.regrade(workers=2)
    assert {learner: r.score for learner, r in found.items()} == {"ada": 70, "bob": 70}


def test_what_changed_is_told_in_words() -> None:
    then = {"python": "3.11.7", "packages": {"numpy": "2.1"}, "grader_sha256": "a" * 64}
    then |= {"course_sha256": "c", "platform": "linux", "machine": "x", "box": "bwrap"}
    now = {**then, "python": "3.12.1", "packages": {"numpy": "2.2"}, "grader_sha256": "b" * 64}
    assert differences(then, then) == ()
    assert differences(then, now) == (
        f"the grader or the suite: {'a' * 12} then, {'b' * 12} now",
        "Python: 3.11.7 then, 3.12.1 now",
        "numpy: 2.1 then, 2.2 now",
    )
    del then["packages"], then["box"]
    assert differences(then, now)[-2:] == (
        "the box: not recorded then, bwrap now",
        "the installed packages: not recorded then",
    )


def test_a_dry_run_may_read_what_it_may_not_write(course: Course) -> None:
    course.hand_in("ada", RIGHT)
    path = course.home / "gradebook.sqlite"
    before = path.read_bytes()
    with GradebookReader(path, read_only=True) as book:
        assert len(book.attempts()) == 1
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            book._db.execute("DELETE FROM attempts")
    assert path.read_bytes() == before
    with pytest.raises(GradebookError, match="no such gradebook"):
        GradebookReader(course.folder / "none.sqlite", read_only=True)
    assert not (course.folder / "none.sqlite").exists()


def call(*arguments: str, answer: str = "") -> Any:
    return CliRunner().invoke(app, list(arguments), input=answer)


def test_nothing_is_entered_before_it_is_confirmed(course: Course) -> None:
    course.hand_in("bob", TRIPLES)
    course.edit("3")
    trusted = (
        "--box",
        "none",
        "--trusted",
        "--workers",
        "1",
        "--author",
        "G",
        "--why",
        "wrong suite",
    )

    def score() -> float:
        with course.book() as book:
            return book.attempts()[0].score

    dry = call("regrade", "--dry-run", "--explain", *trusted)
    assert dry.exit_code == 0, dry.output
    assert "70 to 100" in dry.output
    assert "criterion 2" in dry.output
    assert "the grader or the suite" in dry.output
    assert not (course.home / "regrades").exists(), "a dry run writes nothing"
    assert score() == 70
    no = call("regrade", *trusted, answer="n\n")
    assert no.exit_code == 1
    assert score() == 70
    yes = call("regrade", *trusted, answer="y\n")
    assert yes.exit_code == 0, yes.output
    assert "1 verdict entered" in yes.output
    assert score() == 100
    again = call("regrade", *trusted)
    assert "Nothing is to be entered" in again.output
    plain = json.loads(call("regrade", "--json", "--dry-run", "--force", *trusted).stdout)
    assert [r["attempt"]["learner"] for r in plain] == ["bob"]
