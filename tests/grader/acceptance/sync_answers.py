"""Answers to foundation/02-sync, judged: what the tests of its suite share."""

from __future__ import annotations

import time
from collections.abc import Collection
from pathlib import Path

import pytest

from grader.acceptance.foundation import (
    _sync_admission,
    _sync_order,
    _sync_race,
    _sync_schedules,
    test_sync,
)
from grader.acceptance.foundation.mutants_sync import MUTANTS
from grader.authoring.mutants import Variant
from grader.job import JobSpec, run_one
from grader.report import Report
from meridian.academy.curriculum import load
from tests.grader.acceptance.parts import missed, part_of_the_suite

ROOT = Path(__file__).parents[3]
KEY = "foundation/02-sync"
SOLUTION = ROOT / "solutions" / KEY
ADAPTER = ROOT / "tests" / "grader" / "adapters" / "foundation_02_sync"
MODULE = load(ROOT).module(KEY)
CAPSTONE = MODULE.capstone

HALVES = MUTANTS[::2], MUTANTS[1::2]
"""In two files of tests, which two processes run at the same time."""


def judge(
    submission: Path,
    out: Path,
    *,
    mode: str = "check",
    box: str = "none",
    criteria: Collection[str] = (),
) -> Report:
    """Judge in this process (`none`: trusted code only) or in a box; all `criteria`, or some."""
    definition, suite = CAPSTONE, None
    if criteria:
        definition, suite = part_of_the_suite(CAPSTONE, test_sync, criteria, out)
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
            definition=definition,
            suite=suite,
        )
    )


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
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
        (_sync_race, "COMMANDS", 800),
        (_sync_race, "ROUNDS", 8),
    ):
        monkeypatch.setattr(module, name, value)


def expect_missed(variant: Variant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of its criterion, and of what everything stands on, `variant` fails the one; it says why.

    That it fails nothing else is for `grader prove` to find, which has the time.
    """
    hurry(monkeypatch)
    monkeypatch.setattr(time, "process_time", time.process_time)  # one of them replaces it
    answer = variant.write(SOLUTION, tmp_path / "submission")
    found = missed(judge(answer, tmp_path, criteria={"1", variant.criterion}))
    assert found.keys() == {variant.criterion}, {c.id: c.message for c in found.values()}
    entry = found[variant.criterion]
    assert entry.score < entry.points
    assert len(entry.message) > 40, "the message says what was asked and what was expected"
