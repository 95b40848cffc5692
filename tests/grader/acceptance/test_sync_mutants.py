"""More wrong queues; see `test_sync`, which judges the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.acceptance.foundation.mutants_sync import MUTANTS, SLOW
from grader.authoring.mutants import Variant
from tests.grader.acceptance.sync_answers import (
    HALVES,
    SOLUTION,
    expect_missed,
    hurry,
    judge,
    missed,
)


@pytest.mark.parametrize("variant", HALVES[1], ids=lambda v: v.name)
def test_a_wrong_answer_fails_its_criterion(
    variant: Variant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expect_missed(variant, tmp_path, monkeypatch)


def test_an_interleaving_is_shown_and_the_same_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry(monkeypatch)
    wrong = next(v for v in MUTANTS if v.name == "looks_before_it_leaps")
    folder = wrong.write(SOLUTION, tmp_path / "submission")
    shown = [missed(judge(folder, tmp_path / str(i)))["3"].counterexample for i in range(2)]
    assert shown[0] == shown[1]
    assert "queue.py:" in shown[0]
    assert "stuck: " in shown[0]


def test_a_slow_queue_loses_the_race(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    report = judge(SLOW.write(SOLUTION, tmp_path / "submission"), tmp_path, mode="bench")
    entry = missed(report)["9"]
    assert entry.score <= 1
    assert "push and pop" in entry.message
