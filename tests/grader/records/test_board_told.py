"""What the board says that learners were told: mistakes, and nothing that only waits for one."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from grader.records.board import Board, board
from grader.records.board_page import capstone_page, learner_page, overview_page
from grader.records.gradebook import Gradebook
from grader.report import CriterionReport, NotebookReport, Outcome, Report

KEY = b"k" * 32
STUB = "Opens. Not written yet (toy/file.py:3): #1: open()"
WAITS = 'Finds. Not judged because "Opens" is not written yet'
WRONG = "Opens. expected 1, got 2"


def report(learner: str, attempt: int, *told: tuple[Outcome, str], judged: bool = True) -> Report:
    made = Report(
        capstone="toys/01-toy",
        score=0,
        max_score=20,
        bonus=0,
        passed=False,
        judged=judged,
        box="bwrap",
        seed="5eed",
        submission_sha256="ab" * 32,
        criteria=[
            CriterionReport(id=str(i), title=f"T{i}", points=10, outcome=outcome, message=message)
            for i, (outcome, message) in enumerate(told, 1)
        ],
        notebook=NotebookReport(),
        benchmarks=[],
        environment={"mode": "submit", "learner": learner, "attempt": attempt},
        started_at="2026-11-19T18:20:26+00:00",
        duration_s=1,
    )
    made.sign(KEY)
    return made


@pytest.fixture
def found(tmp_path: Path) -> Board:
    """Two have written nothing, two are wrong, and of one nothing could be judged."""
    with Gradebook(tmp_path / "book.sqlite") as book:
        for attempt in (1, 2, 3):
            for name in ("ada", "bob"):
                book.record(report(name, attempt, ("failed", STUB), ("not_run", WAITS)), KEY)
            for name in ("cid", "dee"):
                mixed = f"{WRONG}\n{WAITS}\nand 3 more"
                book.record(report(name, attempt, ("failed", mixed), ("not_run", WAITS)), KEY)
        book.record(report("eve", 1, ("refused", "a link"), judged=False), KEY)
        now = datetime.datetime(2026, 11, 20, 19, 0, 30, tzinfo=datetime.UTC)
        return board(book, lambda _: None, roster=["fay"], now=lambda: now)


def test_only_mistakes_are_counted_as_told(found: Board) -> None:
    (capstone,) = found.capstones
    assert [(m.criterion, m.says, m.learners) for m in capstone.messages] == [("1", "Opens", 2)]


def test_who_wrote_nothing_is_stuck_before_the_first_line(found: Board) -> None:
    says = {(s.learner, s.criterion): s.says for s in found.stuck}
    assert says == {
        ("ada", "1"): "Not written yet",
        ("bob", "1"): "Not written yet",
        ("cid", "1"): "Opens",
        ("dee", "1"): "Opens",
    }


def test_the_page_accounts_for_everybody(found: Board) -> None:
    page = capstone_page(found.capstones[0], found, "/t")
    said = "0 of 4 with a judged attempt have passed; 1 with none that could be judged; "
    assert f"{said}1 not submitted." in page
    assert '<td data-name="Nothing judged" class="number">2</td>' in page
    assert "2026-11-20 19:00 UTC" in page


def test_no_page_repeats_its_own_name_in_each_row(found: Board) -> None:
    capstone = capstone_page(found.capstones[0], found, "/t").partition("<h2>Stuck")[2]
    assert ">Learner<" in capstone
    assert ">Capstone<" not in capstone
    learner = learner_page("cid", (), found, "/t").partition("<h2>Stuck")[2]
    assert ">Capstone<" in learner
    assert ">Learner<" not in learner
    everything = overview_page(found, "/t").partition("<h2>Stuck")[2]
    assert ">Learner<" in everything
    assert ">Capstone<" in everything
