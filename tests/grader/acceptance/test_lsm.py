"""The suite of database/03-lsm gives every answer what it deserves, and says why."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path

import msgspec
import pytest

from grader.acceptance.database import _lsm_engine, _lsm_run, _lsm_tables, test_lsm
from grader.acceptance.database.mutants_lsm import LATE, MUTANTS, SLOW
from grader.authoring.build import write_exercise
from grader.authoring.mutants import Variant
from grader.box import detect
from grader.job import JobSpec, run_one
from grader.report import Report
from meridian.academy.curriculum import load
from meridian.academy.outcomes import NOT_JUDGED, shown_outcome
from tests.grader.acceptance.parts import missed, part_of_the_suite

# Workers in this process are ended as a power cut would: what they had open is never closed.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

ROOT = Path(__file__).parents[3]
KEY = "database/03-lsm"
SOLUTION = ROOT / "solutions" / KEY
RIGHT = Path(__file__).with_name("lsm_right")
MEMORY = Path("/dev/shm")
MODULE = load(ROOT).module(KEY)
CAPSTONE = MODULE.capstone


def judge(
    submission: Path,
    out: Path,
    *,
    mode: str = "check",
    box: str = "none",
    criteria: Collection[str] = (),
    solution: Path | None = None,
) -> Report:
    """Judge in this process (`none`: trusted code only) or in a box; all `criteria`, or some."""
    definition, suite = CAPSTONE, None
    if criteria:
        definition, suite = part_of_the_suite(CAPSTONE, test_lsm, criteria, out)
        bonus = tuple(b for b in CAPSTONE.bonus if b.id in criteria)
        definition = msgspec.structs.replace(definition, bonus=bonus)
    report = run_one(
        JobSpec(
            capstone=KEY,
            submission=submission,
            out=out / "out",
            mode=mode,  # type: ignore[arg-type]
            box=box,
            trusted=box == "none",
            seed="00" * 16,
            key=b"k" * 32,
            definition=definition,
            suite=suite,
            solution=solution,
        )
    )
    gc.collect()  # what was left open goes here, and not in another test
    return report


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Smaller numbers, enough for these mistakes; files in memory where that is possible."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    if os.access(MEMORY, os.W_OK | os.X_OK) and shutil.disk_usage(MEMORY).free > 2**29:
        monkeypatch.setattr(tempfile, "tempdir", str(MEMORY))
    for module, name, value in (
        (_lsm_tables, "MEMBERS", 20_000),
        (_lsm_tables, "EXAMPLES", 20),
        (_lsm_engine, "SCANNED", 10_000),
        (_lsm_run, "RECORDS", 5_000),
        (_lsm_run, "ROUNDS", 8),
    ):
        monkeypatch.setattr(module, name, value)


def test_points_add_up() -> None:
    assert sum(c.points for c in CAPSTONE.criteria) == 100
    assert sum(c.points for c in CAPSTONE.bonus) == 10


def test_the_model_answer_in_a_box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything at full size but the races."""
    monkeypatch.setattr(_lsm_run, "RECORDS", 10_000)
    monkeypatch.setattr(_lsm_run, "ROUNDS", 8)
    box = detect().tier
    report = judge(SOLUTION, tmp_path, mode="submit", box=box)
    trouble = {c.id: c.message for c in missed(report).values()}
    assert report.passed, trouble
    assert report.box == box
    if trouble.keys() == {"1"}:  # a machine that does other work: a race may be lost
        assert report.score >= 95
    else:
        assert (report.score, report.bonus, report.max_score, trouble) == (100, 10, 100, {})
    assert [(entry.name, entry.peer) for entry in report.benchmarks] == [
        ("Ingest, half the target", "sqlite3"),
        ("Ingest", "sqlite3"),
        ("Ingest", "model answer"),
    ]
    for entry in report.benchmarks:
        assert (tmp_path / "out" / entry.plot).stat().st_size > 1000
    assert report.notebook.outcome == "passed", [
        cell for cell in report.notebook.cells if cell.outcome not in ("passed", "not_run")
    ]


@pytest.mark.usefixtures("quick")
def test_another_right_answer(tmp_path: Path) -> None:
    """Sorted lists, tables of another layout with an index beside them, filters of other bits."""
    package = tmp_path / "submission" / "lsm_storage"
    shutil.copytree(SOLUTION / "lsm_storage", package, ignore=shutil.ignore_patterns("__pycache__"))
    names = sorted(path.name for path in RIGHT.glob("*.py"))
    assert names == ["bloom.py", "compaction.py", "memtable.py", "merge_iter.py", "sstable.py"]
    for name in names:
        shutil.copy(RIGHT / name, package / name)
    report = judge(package.parent, tmp_path, box=detect().tier)
    assert missed(report) == {}
    assert (report.score, report.bonus, report.max_score) == (90, 10, 90)


@pytest.mark.parametrize("box", ["none", "auto"])
def test_the_untouched_skeleton(tmp_path: Path, box: str) -> None:
    write_exercise(ROOT, MODULE, tmp_path / "exercise")
    report = judge(tmp_path / "exercise", tmp_path, box=box)
    assert report.score == 0
    assert not report.passed
    shown = {c.id: shown_outcome(c.outcome, c.message) for c in report.criteria if c.id != "1"}
    assert set(shown.values()) == {"not_written", "blocked"}
    assert shown["2"] == shown["3"] == shown["4"] == shown["7"] == "not_written"
    assert shown["5"] == shown["6"] == shown["8"] == "blocked"
    for criterion in report.criteria:
        if shown.get(criterion.id) == "not_written":
            assert f"{KEY} #" in criterion.message, criterion
        if shown.get(criterion.id) == "blocked":
            assert criterion.message.count(NOT_JUDGED) == len(criterion.message.splitlines())
    assert "#2: " in report.criteria[1].message


NEEDED = {"4": {"3"}, "5": {"3"}, "6": {"3", "5"}, "7": {"3", "5"}, "8": {"3", "6"}}
"""Criteria whose tests those of another stand on."""


def _with_needed(criterion: str) -> set[str]:
    needed = NEEDED.get(criterion, {"3", "4", "5", "6"} if not criterion.isdigit() else set())
    return {criterion, *needed, *(c for each in needed for c in NEEDED.get(each, ()))}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("variant", MUTANTS, ids=lambda v: v.name)
def test_a_wrong_answer_fails_its_criterion(variant: Variant, tmp_path: Path) -> None:
    """And nothing that its criterion stands on; `grader prove` looks at all the others."""
    answer = variant.write(SOLUTION, tmp_path / "submission")
    box = "auto" if variant.criterion == "crash" else "none"
    report = judge(answer, tmp_path, box=box, criteria=_with_needed(variant.criterion))
    found = missed(report)
    assert found.keys() == {variant.criterion}, {c.id: c.message for c in found.values()}
    entry = found[variant.criterion]
    assert entry.score < entry.points
    assert len(entry.message) > 40, "the message says what was asked and what was expected"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("variant", [LATE, SLOW], ids=lambda v: v.name)
def test_a_race_that_is_lost(variant: Variant, tmp_path: Path) -> None:
    answer = variant.write(SOLUTION, tmp_path / "submission")
    report = judge(answer, tmp_path, mode="bench", solution=tmp_path / "none")
    entry = missed(report)["1"]
    assert entry.score == 0
    said = "are in no table file" if variant is LATE else "times the speed of sqlite3"
    assert said in entry.message


def test_every_criterion_has_a_wrong_answer() -> None:
    judged = {v.criterion for v in (*MUTANTS, SLOW, LATE)}
    assert judged == {c.id for c in (*CAPSTONE.criteria, *CAPSTONE.bonus)}
    assert len(MUTANTS) >= 12
