"""The suite of foundation/02-sync gives every answer what it deserves, and says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.acceptance.foundation import _sync_admission, _sync_order, _sync_race, _sync_schedules
from grader.acceptance.foundation.mutants_sync import MUTANTS, SLOW
from grader.authoring.build import write_exercise
from grader.authoring.mutants import Variant
from grader.box import detect
from grader.job import JobSpec, run_one
from grader.report import CriterionReport, Report
from meridian.academy.curriculum import load
from meridian.academy.outcomes import NOT_JUDGED, shown_outcome

ROOT = Path(__file__).parents[3]
KEY = "foundation/02-sync"
SOLUTION = ROOT / "solutions" / KEY
ADAPTER = Path(__file__).parents[1] / "adapters" / "foundation_02_sync"
MODULE = load(ROOT).module(KEY)
CAPSTONE = MODULE.capstone


def judge(submission: Path, out: Path, *, mode: str = "check", box: str = "none") -> Report:
    """Judge in this process (`none`: trusted code only) or in a box."""
    return run_one(
        JobSpec(
            capstone=KEY,
            submission=submission,
            out=out / "out",
            mode=mode,  # type: ignore[arg-type]
            box=box,
            trusted=box == "none",
            seed="00" * 16,
            key=b"k" * 32,
            definition=CAPSTONE,
        )
    )


def missed(report: Report) -> dict[str, CriterionReport]:
    """The criteria that were judged and not passed."""
    return {c.id: c for c in report.criteria if c.outcome not in ("passed", "not_run")}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Smaller numbers, enough for these mistakes; and more patience with a machine at work."""
    for module, name, value in (
        (_sync_order, "BATCHES", 2),
        (_sync_order, "BATCH", 100),
        (_sync_order, "EXAMPLES", 10),
        (_sync_order, "HISTORIES", 1),
        (_sync_order, "IDLE_S", 0.5),
        (_sync_order, "IDLE_CPU_S", 0.010),
        (_sync_order, "WAKES", 20),
        (_sync_order, "WAKE_S", 0.5),
        (_sync_schedules, "SCHEDULES", 300),
        (_sync_schedules, "BYTECODES", 150),
        (_sync_schedules, "EACH", 250),
        (_sync_schedules, "ROUNDS", 1),
        (_sync_schedules, "READ_S", 2.0),
        (_sync_admission, "SHUTDOWN_S", 3.0),
        (_sync_admission, "POP_S", 0.5),
        (_sync_race, "COMMANDS", 1_500),
        (_sync_race, "ROUNDS", 8),
    ):
        monkeypatch.setattr(module, name, value)


def test_points_add_up() -> None:
    assert sum(c.points for c in CAPSTONE.criteria) == 100
    assert {c.id for c in CAPSTONE.criteria if c.required} == {"1", "3", "5"}


def test_the_model_answer_in_a_box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything at full size but the races."""
    monkeypatch.setattr(_sync_race, "COMMANDS", 3_000)
    monkeypatch.setattr(_sync_race, "ROUNDS", 8)
    box = detect().tier
    report = judge(SOLUTION, tmp_path, mode="submit", box=box)
    trouble = {c.id: c.message for c in missed(report).values()}
    assert report.passed, trouble
    assert report.box == box
    # A machine that does other work may lose a race, or wake a thread too late.
    assert trouble.keys() <= {"2", "9"}, trouble
    if not trouble:
        assert (report.score, report.max_score) == (100, 100)
    assert [(entry.name, entry.peer) for entry in report.benchmarks] == [
        ("Push and pop, the half", "model answer"),
        ("Push and pop", "queue.PriorityQueue"),
        ("Push and pop", "model answer"),
        ("Three producers, one consumer", "queue.PriorityQueue"),
        ("Three producers, one consumer", "model answer"),
    ]
    for entry in report.benchmarks:
        assert entry.ratio is not None
        assert entry.ratio > 0.3
        assert (tmp_path / "out" / entry.plot).stat().st_size > 1000
    assert report.notebook.outcome == "passed", [
        cell for cell in report.notebook.cells if cell.outcome not in ("passed", "not_run")
    ]


@pytest.mark.usefixtures("quick")
def test_the_queue_itself(tmp_path: Path) -> None:
    report = judge(ADAPTER, tmp_path)
    assert missed(report) == {}
    assert report.score == report.max_score == 94
    raced = judge(ADAPTER, tmp_path / "raced", mode="bench")
    (speed,) = (c for c in raced.criteria if c.id == "9")
    assert speed.score >= 3, speed


@pytest.mark.parametrize("box", ["none", "auto"])
def test_the_untouched_skeleton(tmp_path: Path, box: str) -> None:
    write_exercise(ROOT, MODULE, tmp_path / "exercise")
    report = judge(tmp_path / "exercise", tmp_path, box=box)
    assert report.score == 0
    assert not report.passed
    shown = {c.id: shown_outcome(c.outcome, c.message) for c in report.criteria if c.id != "9"}
    assert shown.pop("1") == "not_written"
    assert set(shown.values()) == {"blocked"}
    assert f"{KEY} #1: Command - " in report.criteria[0].message
    for criterion in report.criteria[1:8]:
        assert criterion.message.endswith("is not written yet")
        assert criterion.message.count(NOT_JUDGED) == len(criterion.message.splitlines())


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("variant", MUTANTS, ids=lambda v: v.name)
def test_a_wrong_answer_fails_its_criterion_alone(variant: Variant, tmp_path: Path) -> None:
    report = judge(variant.write(SOLUTION, tmp_path / "submission"), tmp_path)
    found = missed(report)
    assert found.keys() == {variant.criterion}, {c.id: c.message for c in found.values()}
    entry = found[variant.criterion]
    assert entry.score < entry.points
    assert len(entry.message) > 40, "the message says what was asked and what was expected"
    assert report.score == 94 - entry.points + entry.score


def test_every_criterion_has_a_wrong_answer() -> None:
    assert {v.criterion for v in (*MUTANTS, SLOW)} == {c.id for c in CAPSTONE.criteria}
    assert len(MUTANTS) >= 20


@pytest.mark.usefixtures("quick")
def test_an_interleaving_is_shown_and_the_same_again(tmp_path: Path) -> None:
    wrong = next(v for v in MUTANTS if v.name == "looks_before_it_leaps")
    folder = wrong.write(SOLUTION, tmp_path / "submission")
    shown = [missed(judge(folder, tmp_path / str(i)))["3"].counterexample for i in range(2)]
    assert shown[0] == shown[1]
    assert "queue.py:" in shown[0]
    assert "stuck: " in shown[0]


@pytest.mark.usefixtures("quick")
def test_a_slow_queue_loses_the_race(tmp_path: Path) -> None:
    report = judge(SLOW.write(SOLUTION, tmp_path / "submission"), tmp_path, mode="bench")
    entry = missed(report)["9"]
    assert entry.score <= 1
    assert "push and pop" in entry.message
