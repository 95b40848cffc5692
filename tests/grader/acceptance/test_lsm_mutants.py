"""More wrong engines; see `test_lsm`, which judges the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.acceptance.database.mutants_lsm import LATE, SLOW
from grader.authoring.mutants import Variant
from tests.grader.acceptance.lsm_answers import (
    HALVES,
    SOLUTION,
    expect_missed,
    hurry,
    judge,
    missed,
)

# Workers in this process are ended as a power cut would: what they had open is never closed.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.mark.parametrize("variant", HALVES[1], ids=lambda v: v.name)
def test_a_wrong_answer_fails_its_criterion(
    variant: Variant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expect_missed(variant, tmp_path, monkeypatch)


@pytest.mark.parametrize("variant", [LATE, SLOW], ids=lambda v: v.name)
def test_a_race_that_is_lost(
    variant: Variant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry(monkeypatch)
    answer = variant.write(SOLUTION, tmp_path / "submission")
    report = judge(answer, tmp_path, mode="bench", solution=tmp_path / "none")
    entry = missed(report)["1"]
    assert entry.score == 0
    said = "are in no table file" if variant is LATE else "times the speed of sqlite3"
    assert said in entry.message
