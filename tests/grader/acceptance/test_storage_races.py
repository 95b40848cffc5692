"""Submissions to the storage capstone that put work off, or remember answers, win nothing by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.acceptance.database import _storage_run, mutants_storage_races
from grader.acceptance.database.mutants_storage_races import CHEATS
from grader.authoring.mutants import Variant
from grader.job import JobSpec, run_one
from grader.report import CriterionReport, Report

ROOT = Path(__file__).parents[3]
KEY = "database/01-storage"
SOLUTION = ROOT / "solutions" / KEY

LATER = "of the records are not in the file; an insert that returned must be done"
REMEMBERED = "not the bytes that are in its page"
SAID = {
    "deferred_inserts": (LATER, 6),
    "lazy_ids": (LATER, 6),
    "inserts_in_a_thread": (LATER, 6),
    "memo_that_counts": (REMEMBERED, 4),
}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little data, and targets that anyone reaches: what is left to lose is lost to the checks."""
    monkeypatch.setattr(_storage_run, "BATCH", 500)
    monkeypatch.setattr(_storage_run, "ROUNDS", 8)
    monkeypatch.setattr(_storage_run, "STORED", 2)
    monkeypatch.setattr(_storage_run, "FRAMES", (64, 128, 256))
    monkeypatch.setattr(_storage_run, "INSERT_TARGET", 0.01)
    monkeypatch.setattr(_storage_run, "GET_TARGET", 0.01)
    monkeypatch.setattr(_storage_run, "FLAT_TIMES", 100.0)


def raced(submission: Path, out: Path, box: str = "none") -> tuple[Report, CriterionReport]:
    report = run_one(
        JobSpec(
            capstone=KEY,
            submission=submission,
            out=out,
            mode="bench",
            box=box,
            trusted=box == "none",
            seed="00" * 16,
            key=b"k" * 32,
            solution=out / "no model answer",
        )
    )
    (speed,) = (c for c in report.criteria if c.id == "8")
    return report, speed


def test_the_model_answer_keeps_all_points(tmp_path: Path) -> None:
    report, speed = raced(SOLUTION, tmp_path / "out")
    assert (speed.score, speed.outcome) == (10, "passed"), speed.message
    assert [(race.name, race.peer) for race in report.benchmarks] == [
        ("Single inserts", "sqlite3"),
        ("Single gets", "sqlite3"),
        ("Hits, 64 to 256 frames", "64 frames"),
    ]


def test_every_cheat_has_its_row() -> None:
    assert {cheat.name for cheat in CHEATS} == SAID.keys()


@pytest.mark.parametrize("cheat", CHEATS, ids=lambda cheat: cheat.name)
def test_a_cheat_loses_the_points(cheat: Variant, tmp_path: Path) -> None:
    message, left = SAID[cheat.name]
    _, speed = raced(cheat.write(SOLUTION, tmp_path / "s"), tmp_path / "out")
    assert message in speed.message
    assert speed.score <= left, speed.message


def test_a_thread_gets_nowhere_between_two_questions(tmp_path: Path) -> None:
    """In a box the worker stands still while the judge looks into its file."""
    cheat = mutants_storage_races.THREADED
    _, speed = raced(cheat.write(SOLUTION, tmp_path / "s"), tmp_path / "out", box="auto")
    assert LATER in speed.message
    assert speed.score <= 6
