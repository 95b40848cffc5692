"""Benchmarks in a pass of their own: after everything else, one at a time, merged into one
report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from grader.cohort.environment import Environment
from grader.cohort.settle import merged
from grader.cohort.task import Task, cache_key
from grader.limits import Limits
from grader.races.history import Past
from grader.records.gradebook import Gradebook
from grader.report import (
    BenchmarkEntry,
    CriterionReport,
    NotebookReport,
    Outcome,
    Report,
    lab_key,
    read_report,
)
from meridian.academy.curriculum import Capstone, Criterion
from tests.grader.cohort.toys import BROKEN, KEY, Cohort
from tests.grader.cohort.toys import CAPSTONE as TOYS
from tests.grader.conftest import SUITE
from tests.grader.labs import index_of
from tests.grader.reports import make

RACE = '''

@pytest.mark.criterion("4", points=20)
def test_race(submission: Submission) -> None:
    """Adding is quick."""
    expect(submission.add(1, 1), 2, call="add(1, 1)")


@pytest.mark.criterion("5", points=5)
def test_race_bonus(submission: Submission) -> None:
    """Adding is very quick."""
    expect(submission.add(2, 2), 4, call="add(2, 2)")
'''
WITH_RACES = msgspec.structs.replace(
    TOYS,
    criteria=(
        Criterion("1", "Adding", 20, required=True),
        Criterion("4", "Racing", 20, benchmark=True),
        *TOYS.criteria[1:],
    ),
    bonus_cap=5,
    bonus=(Criterion("5", "More", 5, benchmark=True),),
)


@pytest.fixture
def racing(cohort: Cohort) -> Cohort:
    """The toy with a fifth of its points in a race."""
    (cohort.lab / "curriculum.toml").write_text(index_of(KEY, WITH_RACES))
    text = SUITE.read_text().replace('criterion("1", points=40)', 'criterion("1", points=20)')
    cohort.suite.write_text(text + RACE)
    return cohort


@pytest.mark.usefixtures("walls")
def test_races_come_after_everything_else_and_alone(racing: Cohort) -> None:
    for name in ("ann", "bob", "cid"):
        racing.add(name)
    racing.add("dan", BROKEN)
    summary = racing.run(workers=2)
    rows = {row.learner: (row.score, row.passed) for row in summary.submissions}
    assert rows == {"ann": (100, True), "bob": (100, True), "cid": (100, True), "dan": (0, False)}
    progress = [e for e in racing.events if e["event"] == "progress" and e["total"]]
    lanes = [e["lane"] for e in progress]
    assert lanes == sorted(lanes), "first everything else"
    races = [e for e in progress if e["lane"] == "races"]
    assert max(e["running"] for e in races) == 1
    assert races[-1]["done"] == races[-1]["total"] == 3, "nothing to race in a refused one"
    key = lab_key(racing.lab / ".meridian")
    report = read_report(racing.out / "reports" / "ann" / "attempt-1" / "report.json")
    assert report.verify(key)
    assert {c.id: (c.outcome, c.score) for c in report.criteria} == {
        "1": ("passed", 20),
        "2": ("passed", 30),
        "3": ("passed", 30),
        "4": ("passed", 20),
        "5": ("passed", 5),
    }
    assert report.bonus == 5
    with Gradebook(racing.lab / ".meridian" / "gradebook.sqlite") as book:
        assert len(book.attempts()) == 4
    again = racing.run()
    assert again.cached == 4
    assert [r.receipt for r in again.submissions] == [r.receipt for r in summary.submissions]
    only = racing.run(only_changed=True)
    assert [e for e in racing.events if e["event"] == "submission"] == []
    assert [r.score for r in only.submissions] == [100, 100, 100, 0]


@pytest.mark.usefixtures("walls")
def test_a_first_result_that_is_damaged_before_its_races_end(racing: Cohort) -> None:
    """Both are judged again; one verdict comes of it."""
    racing.add("ann")
    kept = racing.lab / ".meridian" / "cohort"
    damaged: list[Path] = []

    def on_event(event: dict[str, Any]) -> None:
        racing.hear(event)
        if event["event"] == "progress" and event["lane"] == "races" and not damaged:
            damaged.extend(kept.rglob("*.sealed"))
            for path in damaged:
                path.write_bytes(b"damaged")

    summary = racing.run(on_event=on_event)
    assert damaged
    assert [(row.score, row.state) for row in summary.submissions] == [(100, "done")]
    assert any("not a sealed result" in e["reason"] for e in racing.events if "reason" in e)


def test_what_a_verdict_does_not_depend_on_is_not_in_its_key() -> None:
    """Where the files lay, and the races before: they are drawn, not judged."""
    facts = Environment(grader="g", course="c", python="p", platform="l", packages={})
    task = Task(
        capstone="t/1",
        mode="submit",
        lane="races",
        learner="ann",
        attempt=1,
        seed="s",
        box="bwrap",
        trusted=False,
        limits=Limits(),
        environment=facts,
        submission_sha256="0",
    )
    key = cache_key(task)
    past = (Past(name="r", peer="p", when="2026-01-01"),)
    assert cache_key(msgspec.structs.replace(task, source="/x", history=past)) == key
    for name, value in {
        "lane": "judge",
        "learner": "bob",
        "attempt": 2,
        "seed": "t",
        "box": "landlock",
        "trusted": True,
        "limits": Limits(question_s=1),
        "environment": msgspec.structs.replace(facts, grader="h"),
        "submission_sha256": "1",
        "refusal": "a link",
    }.items():
        assert cache_key(msgspec.structs.replace(task, **{name: value})) != key, name


CAPSTONE = Capstone(
    title="T",
    package="t",
    bonus_cap=5,
    criteria=(
        Criterion("1", "One", 60, required=True),
        Criterion("2", "Two", 20),
        Criterion("3", "Fast", 20, benchmark=True),
    ),
    bonus=(Criterion("4", "Faster", 9, benchmark=True),),
)


def report(
    outcomes: dict[str, tuple[Outcome, float]], notebook: Outcome = "passed", **more: Any
) -> Report:
    known = {c.id: c for c in (*CAPSTONE.criteria, *CAPSTONE.bonus)}
    return make(
        score=0,
        passed=False,
        criteria=[
            CriterionReport(id=i, title=c.title, points=c.points, outcome=o, score=s)
            for i, c in known.items()
            for o, s in [outcomes.get(i, ("not_run", 0))]
        ],
        notebook=NotebookReport(outcome=notebook),
        **more,
    )


@pytest.mark.parametrize(
    ("first", "races", "notebook", "score", "bonus", "passed"),
    [
        ({"1": 60, "2": 20}, {"3": 20, "4": 9}, "passed", 100, 5, True),
        ({"1": 60, "2": 20}, {"3": 7}, "passed", 87, 0, True),
        ({"1": 60}, {"3": 8, "4": 9}, "passed", 73, 5, True),
        ({"1": 60}, {"3": 0}, "passed", 60, 0, False),
        ({"1": 40, "2": 20}, {"3": 20}, "passed", 80, 0, False),
        ({"1": 60, "2": 20}, {"3": 20}, "failed", 100, 0, False),
        ({"1": 60, "2": 20}, {"3": 20}, "not_run", 100, 0, True),
    ],
)
def test_points_of_both_parts(
    first: dict[str, float],
    races: dict[str, float],
    notebook: Outcome,
    score: float,
    bonus: float,
    passed: bool,
) -> None:
    """The rules of one report hold for the two together."""
    points = {c.id: c.points for c in (*CAPSTONE.criteria, *CAPSTONE.bonus)}

    def outcomes(earned: dict[str, float], ids: str) -> dict[str, tuple[Outcome, float]]:
        full = {i: earned.get(i, 0) for i in ids}
        return {i: ("passed" if s == points[i] else "failed", s) for i, s in full.items()}

    race = BenchmarkEntry(name="r", ratio=1.0, spread=0.1, peer="p", unit="u")
    whole = merged(
        report(outcomes(first, "12"), notebook),
        report(outcomes(races, "34"), "not_run", benchmarks=[race]),
        CAPSTONE,
    )
    assert (whole.score, whole.bonus, whole.passed) == (score, bonus, passed)
    assert whole.max_score == 100
    assert whole.benchmarks == [race]
    assert whole.duration_s == 3
    assert [c.score for c in whole.criteria] == [{**first, **races}.get(i, 0) for i in "1234"]
