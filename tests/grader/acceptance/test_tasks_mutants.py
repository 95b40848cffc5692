"""More wrong brokers; see `test_tasks`, which judges the others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from grader.acceptance.foundation.mutants_tasks import BROADER, SLOW
from grader.authoring.mutants import Variant
from tests.grader.acceptance.tasks_answers import (
    HALVES,
    SOLUTION,
    expect_missed,
    judge,
    missed,
    one_process,
)


@pytest.fixture(autouse=True, scope="module")
def _judging() -> Iterator[None]:
    with one_process():
        yield


@pytest.mark.parametrize("variant", HALVES[1], ids=lambda v: v.name)
def test_a_wrong_answer_fails_its_criterion(variant: Variant, tmp_path: Path) -> None:
    expect_missed(variant, {variant.criterion}, tmp_path)


@pytest.mark.parametrize(
    ("wrong", "variant"), BROADER.items(), ids=[v.name for v in BROADER.values()]
)
def test_a_mistake_that_costs_more_than_one_criterion(
    wrong: tuple[str, ...], variant: Variant, tmp_path: Path
) -> None:
    expect_missed(variant, set(wrong), tmp_path)


def test_a_slow_broker_loses_the_race(tmp_path: Path) -> None:
    small = {"_tasks_race:BATCH": 20, "_tasks_race:ROUNDS": 8}
    answer = SLOW.write(SOLUTION, tmp_path / "submission")
    report = judge(answer, tmp_path, mode="bench", constants=small)
    assert missed(report)["11"].score <= 3
