"""More wrong brokers; see `test_tasks`, which judges the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.acceptance.foundation import _tasks_race
from grader.acceptance.foundation.mutants_tasks import BROADER, SLOW
from grader.authoring.mutants import Variant
from tests.grader.acceptance.tasks_answers import HALVES, SOLUTION, expect_missed, judge, missed

# Workers in this process are ended as a power cut would: what they had open is never closed.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.mark.parametrize("variant", HALVES[1], ids=lambda v: v.name)
def test_a_wrong_answer_fails_its_criterion(
    variant: Variant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expect_missed(variant, {variant.criterion}, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("wrong", "variant"), BROADER.items(), ids=[v.name for v in BROADER.values()]
)
def test_a_mistake_that_costs_more_than_one_criterion(
    wrong: tuple[str, ...], variant: Variant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expect_missed(variant, set(wrong), tmp_path, monkeypatch)


def test_a_slow_broker_loses_the_race(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_tasks_race, "BATCH", 20)
    monkeypatch.setattr(_tasks_race, "ROUNDS", 8)
    report = judge(SLOW.write(SOLUTION, tmp_path / "submission"), tmp_path, mode="bench")
    assert missed(report)["11"].score <= 3
