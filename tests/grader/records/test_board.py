"""The board counts right and hides nothing that matters."""

from __future__ import annotations

import json
import random
import sqlite3
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from grader.cli import app
from grader.records.board_page import learners_page, overview_page
from grader.records.gradebook import Gradebook
from grader.records.gradebook_reader import GradebookError, GradebookReader
from tests.grader.records.boards import STUB, enter, entry, made
from tests.grader.reports import make


def test_every_learner_stands_somewhere_at_every_criterion(book: Gradebook) -> None:
    enter(book, "ada", 1, "passed", "passed", "passed", "passed")
    enter(book, "bob", 1, "passed", "timeout", STUB, "not_run")
    enter(book, "bob", 2, "failed", "failed", STUB, "not_run")  # what was passed once stays so
    enter(book, "eve", 1, "failed", judged=False)
    found = made(book, roster=["zoe", "ada", ""])
    (toy,) = found.capstones
    assert (toy.passed, toy.submitted, toy.unjudged, toy.not_submitted) == (1, 2, 1, 1)
    assert toy.median_score == 62.5
    rows = [(t.passed, t.failed, t.not_written, t.waiting, t.not_submitted) for t in toy.criteria]
    assert rows == [(2, 0, 0, 0, 2), (1, 1, 0, 0, 2), (1, 0, 1, 0, 2), (1, 0, 0, 1, 2)]
    assert all(sum(row) == 4 for row in rows)
    assert [(row.learner, row.attempts, row.last_at != "") for row in found.learners] == [
        ("zoe", 0, False), ("ada", 1, True), ("bob", 2, True), ("eve", 0, True),
    ]  # fmt: skip


def test_stuck_means_many_judged_attempts_and_never_passed(book: Gradebook) -> None:
    for attempt in range(1, 5):
        enter(book, "bob", attempt, "failed", "passed" if attempt == 2 else "failed", "passed")
    enter(book, "bob", 5, "failed", "failed", "passed", judged=False)
    for attempt in range(1, 4):
        enter(book, "ada", attempt, "failed")
    enter(book, "ada", 4, "passed")
    (stuck,) = made(book).stuck
    assert (stuck.learner, stuck.criterion, stuck.attempts) == ("bob", "1", 4)
    assert stuck.says == "Asks"
    assert made(book, stuck_after=5).stuck == []
    with pytest.raises(ValueError, match="at least 1"):
        made(book, stuck_after=0)


def test_messages_are_counted_by_category_and_learner(book: Gradebook) -> None:
    said = "Reads back. Got 1\nReads back. Got 2\nand 3 more"
    for learner in ("ada", "bob", "eve"):
        enter(book, learner, 1, said, f"Only {learner}. Got 1")
    enter(book, "eve", 2, "passed", "x")
    (toy,) = made(book).capstones
    assert [(m.criterion, m.says, m.learners) for m in toy.messages] == [("1", "Reads back", 2)]


def test_counts_are_those_of_a_slow_count(book: Gradebook) -> None:
    """Against a count that is written as the definition reads."""
    rng = random.Random(7)
    words = ("passed", "failed", STUB, "not_run", "timeout")
    known: dict[str, list[tuple[bool, list[str]]]] = {}
    for learner in (f"l{i}" for i in range(25)):
        known[learner] = []
        for attempt in range(1, rng.randrange(1, 6)):
            outcomes = [rng.choice(words) for _ in range(4)]
            judged = rng.random() < 0.8
            enter(book, learner, attempt, *outcomes, judged=judged)
            known[learner].append((judged, outcomes))
    (toy,) = made(book, roster=known).capstones
    for i, tally in enumerate(toy.criteria):
        count: Counter[str] = Counter()
        for attempts in known.values():
            judged_ones = [outcomes for judged, outcomes in attempts if judged]
            if not judged_ones:
                count["none"] += 1
            elif any(outcomes[i] == "passed" for outcomes in judged_ones):
                count["passed"] += 1
            else:
                count[judged_ones[-1][i]] += 1
        assert tally.passed == count["passed"]
        assert tally.failed == count["failed"] + count["timeout"]
        assert tally.not_written == count[STUB]
        assert tally.waiting == count["not_run"]
        assert tally.not_submitted == count["none"]


def test_an_empty_gradebook_is_an_empty_board(book: Gradebook) -> None:
    found = made(book)
    assert (found.learners, found.capstones) == ([], [])
    assert "Capstones: nothing yet." in overview_page(found, "/t")
    assert "Learners, longest not seen first: nothing yet." in learners_page(found, "/t")


def test_a_cohort_of_500_at_18_capstones_is_counted_at_once(tmp_path: Path) -> None:
    """Nine thousand reports, in seconds at most on a slow machine; measured: a fifth of one."""
    path = tmp_path / "g.sqlite"
    criteria = [entry(str(i), "failed", "Asks. Got 1 where 2 was meant " * 8) for i in range(1, 13)]
    content = msgspec.json.encode(make(criteria=criteria))
    with Gradebook(path) as book:
        rows = [
            (f"l{i}", f"track/{j:02}-x", 1, "2026-01-01T00:00:00+00:00", 0, 100, 0, "", f"r{i}-{j}",
             content, 1)
            for i in range(500) for j in range(18)
        ]  # fmt: skip
        with book._writing():
            book._db.executemany(
                "INSERT INTO attempts (learner, capstone, attempt, graded_at, score, max_score, "
                "passed, submission_sha256, receipt, report, judged) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
        start_s = time.process_time()
        found = made(book)
        page = overview_page(found, "/t")
        spent_s = time.process_time() - start_s
    print(f"{spent_s:.2f} s of CPU for 9,000 reports of {len(content)} bytes")
    assert spent_s < 5, "measured: 0.4 s"
    assert len(found.learners) == 500
    assert all(c.criteria[0].failed == 500 for c in found.capstones)
    assert len(page) < 100_000


def test_a_gradebook_of_the_first_version_is_read_and_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "g.sqlite"
    old = sqlite3.connect(path)
    old.executescript((Path(__file__).parent / "gradebook_v1.sql").read_text())
    old.close()
    before = path.read_bytes()
    with GradebookReader(path, read_only=True) as book:
        assert [(a.learner, a.score, a.judged, a.revisions) for a in book.attempts()] == [
            ("ada", 70, True, 0)
        ]
        assert len(made(book).capstones) == 1
    assert path.read_bytes() == before, "reading changes nothing"
    with Gradebook(path) as book:
        (first,) = book.attempts()
        assert book.report(first.receipt).score == 70
        enter(book, "ada", 2, "passed", judged=False)
        assert [a.judged for a in book.attempts()] == [True, False]
    database = sqlite3.connect(path, isolation_level=None)
    for table in ("attempts", "revisions"):
        names = database.execute("SELECT name FROM sqlite_master WHERE tbl_name = ?", (table,))
        assert f"{table}_never_change" in {row[0] for row in names}
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        database.execute("UPDATE attempts SET judged = 0")
    database.execute("PRAGMA user_version = 9")
    database.close()
    with pytest.raises(GradebookError, match="version 9, this grader knows 2"):
        Gradebook(path)


def test_the_command_prints_and_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = tmp_path / "lab"
    lab.mkdir()
    (lab / "curriculum.toml").write_text("tracks = []\n")
    monkeypatch.setenv("MERIDIAN_LAB", str(lab))

    def call(*more: str) -> Any:
        return CliRunner().invoke(app, ["board", *more])

    nothing = call()
    assert nothing.exit_code == 70
    assert "no such gradebook" in nothing.output
    with Gradebook(lab / ".meridian" / "gradebook.sqlite") as book:
        for learner in ("ada", "bo\x1b[31mb"):
            for attempt in range(1, 4):
                enter(book, learner, attempt, "failed", "passed")
    roster = tmp_path / "roster.csv"
    roster.write_text("learner,email\nzoe,z@x\nada,a@x\n")
    text = call("--roster", str(roster)).output
    for shown in ("toy/01: 0 of 2 passed, median 25", "Stuck (2)", "bo\\x1b[31mb", "zoe", "never"):
        assert shown in text
    plain = json.loads(call("--json", "--stuck", "4").stdout)
    assert plain["capstones"][0]["criteria"][0]["failed"] == 2
    assert plain["capstones"][0]["stuck"] == []
