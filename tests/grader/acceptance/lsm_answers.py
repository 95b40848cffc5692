"""Answers to database/03-lsm, judged: what the tests of its suite share."""

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
from grader.acceptance.database.mutants_lsm import MUTANTS
from grader.authoring.mutants import Variant
from grader.job import JobSpec, run_one
from grader.report import Report
from meridian.academy.curriculum import load
from tests.grader.acceptance.parts import missed, part_of_the_suite, two_of_each

ROOT = Path(__file__).parents[3]
KEY = "database/03-lsm"
SOLUTION = ROOT / "solutions" / KEY
MEMORY = Path("/dev/shm")
MODULE = load(ROOT).module(KEY)
CAPSTONE = MODULE.capstone

_JUDGED = two_of_each(MUTANTS)
HALVES = _JUDGED[::2], _JUDGED[1::2]
"""In two files of tests, which two processes run at the same time."""

NEEDED = {
    "4": {"3"},
    "5": {"3"},
    "6": {"3", "5"},
    "7": {"3", "5"},
    "8": {"3", "5", "6"},
    "thread": {"3", "5", "6"},
    "cache": {"3"},
    "crash": {"3", "5"},
    "tiered": {"3", "5", "6"},
    "prefix": {"3", "4"},
}
"""Criteria with tests that those of another wait for."""


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


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Smaller numbers, enough for these mistakes; files in memory where that is possible."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    if os.access(MEMORY, os.W_OK | os.X_OK) and shutil.disk_usage(MEMORY).free > 2**29:
        monkeypatch.setattr(tempfile, "tempdir", str(MEMORY))
    for module, name, value in (
        (_lsm_tables, "MEMBERS", 20_000),
        (_lsm_tables, "EXAMPLES", 20),
        (_lsm_engine, "SCANNED", 10_000),
        (_lsm_engine, "STORED", 1_500),
        (_lsm_engine, "DELETED", 300),
        (_lsm_engine, "OVERWRITES", 60_000),
        (_lsm_run, "RECORDS", 5_000),
        (_lsm_run, "ROUNDS", 8),
    ):
        monkeypatch.setattr(module, name, value)


def expect_missed(variant: Variant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`variant` fails its criterion and nothing that it waits for; the message says why.

    That it fails nothing else is for `grader prove` to find, which has the time.
    """
    hurry(monkeypatch)
    answer = variant.write(SOLUTION, tmp_path / "submission")
    box = "auto" if variant.criterion == "crash" else "none"
    criteria = {variant.criterion, *NEEDED.get(variant.criterion, ())}
    found = missed(judge(answer, tmp_path, box=box, criteria=criteria))
    assert found.keys() == {variant.criterion}, {c.id: c.message for c in found.values()}
    entry = found[variant.criterion]
    assert entry.score < entry.points
    assert len(entry.message) > 40, "the message says what was asked and what was expected"
