"""Points: their sum, rounding, bonus, pass mark, required criteria, and each cause told once."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.cohort.environment import environment
from grader.judging.verdict import Verdict
from grader.records.marks import counted
from grader.report import Outcome
from grader.scoring import is_judged, score
from grader.software import software
from meridian.academy.curriculum import Capstone, Criterion, load
from tests.grader.labs import small_lab
from tests.grader.reports import make

OUTCOMES: tuple[Outcome, ...] = (
    "passed", "failed", "error", "timeout", "memory", "output", "crashed", "not_run",
)  # fmt: skip
CENTS = st.integers(1, 4_000).map(lambda cents: cents / 100)


def capstone(*criteria: Criterion, **more: Any) -> Capstone:
    settings = {"title": "T", "package": "toy", "allowed_imports": (), "criteria": criteria}
    return msgspec.convert(
        msgspec.to_builtins(Capstone(**{**settings, **more})), Capstone, strict=False
    )


def verdict(criterion: str, points: float, outcome: Outcome = "passed", said: str = "") -> Verdict:
    message = "" if outcome == "passed" else f"Category {points:g}. {said}"
    return Verdict(criterion, points, f"Category {points:g}.", outcome, message, said)


@st.composite
def jobs(draw: st.DrawFn) -> tuple[Capstone, list[Verdict]]:
    """A capstone with bonuses, and one verdict for each of its tests."""
    verdicts: list[Verdict] = []

    def criterion(name: str, benchmark: bool) -> Criterion:
        parts = draw(st.lists(st.integers(1, 12), min_size=1, max_size=4))
        verdicts.extend(verdict(name, part, draw(st.sampled_from(OUTCOMES))) for part in parts)
        return Criterion(
            id=name,
            title=name,
            points=sum(parts),
            benchmark=benchmark,
            required=draw(st.booleans()),
        )

    criteria = [criterion(str(i), draw(st.booleans())) for i in range(draw(st.integers(1, 5)))]
    bonus = [criterion(f"b{i}", False) for i in range(draw(st.integers(0, 2)))]
    cap = draw(st.integers(0, 10))
    mark = draw(st.integers(1, 100))
    found = capstone(*criteria, bonus=tuple(bonus), bonus_cap=cap, pass_mark=mark)
    return found, verdicts


@settings(deadline=None)
@given(jobs(), st.sampled_from(["submit", "check", "bench"]))
def test_points_are_what_the_passed_tests_are_worth(
    job: tuple[Capstone, list[Verdict]], mode: Any
) -> None:
    """Against the definition, in exact numbers."""
    course, verdicts = job
    judged = [c for c in course.criteria if is_judged(c, mode)]
    extras = [c for c in course.bonus if is_judged(c, mode)]
    ran = [v for v in verdicts if v.criterion in {c.id for c in (*judged, *extras)}]
    found = score(course, mode, ran)
    most = sum(c.points for c in judged)

    def earned(criteria: list[Criterion]) -> Fraction:
        names = {c.id for c in criteria}
        good = (v for v in ran if v.outcome == "passed" and v.criterion in names)
        return sum((Fraction(v.points) for v in good), Fraction(0))

    bonus = min(Fraction(course.bonus_cap), earned(extras))
    points = min(Fraction(most), earned(judged) + bonus)
    assert (found.points, found.max_points, found.bonus) == (points, most, bonus)
    required = all(
        v.outcome == "passed" for c in judged if c.required for v in ran if v.criterion == c.id
    )
    enough = most > 0 and points * 100 >= course.pass_mark * most
    assert found.passed == (required and enough)
    assert [entry.id for entry in found.criteria] == [
        c.id for c in (*course.criteria, *course.bonus)
    ]
    for entry in found.criteria:
        assert 0 <= entry.score <= entry.points
        own = [v for v in ran if v.criterion == entry.id]
        assert (entry.outcome == "passed") == (
            bool(own) and all(v.outcome == "passed" for v in own)
        )


@settings(deadline=None)
@given(st.lists(CENTS, min_size=1, max_size=12))
def test_cents_add_up_without_dust(parts: list[float]) -> None:
    total = round(sum(parts), 2)
    course = capstone(Criterion(id="1", title="One", points=1000))
    found = score(course, "submit", [verdict("1", part) for part in parts])
    assert found.criteria[0].score == total == found.points


@pytest.mark.parametrize(("points", "passes"), [(69, False), (70, True), (71, True)])
def test_the_pass_mark_is_reached_and_not_missed_by_rounding(points: int, passes: bool) -> None:
    course = capstone(Criterion(id="1", title="One", points=100), pass_mark=70)
    tests = [verdict("1", points), verdict("1", 100 - points, "failed")]
    assert score(course, "submit", tests).passed is passes


def test_nothing_judged_is_not_passed() -> None:
    course = capstone(Criterion(id="1", title="One", points=100))
    assert not score(course, "bench", []).passed
    assert score(course, "bench", []).max_points == 0


def test_a_refusal_is_told_once_and_gives_nothing() -> None:
    course = capstone(*(Criterion(id=str(i), title="T", points=50) for i in (1, 2)))
    found = score(course, "submit", [], ("refused", "a link"))
    assert [(c.outcome, c.message) for c in found.criteria] == [
        ("refused", "a link"),
        ("refused", ""),
    ]
    assert (found.points, found.passed) == (0, False)


# -- what is told --------------------------------------------------------------------------------


def told(*verdicts: Verdict) -> Any:
    course = capstone(Criterion(id="1", title="One", points=100))
    return score(course, "submit", list(verdicts)).criteria[0]


def test_a_cause_that_several_tests_met_is_told_once() -> None:
    entry = told(
        verdict("1", 1, "failed", "Not written yet: #1"),
        verdict("1", 2, "failed", "Not written yet: #1"),
        verdict("1", 3, "error", "open raised KeyError"),
    )
    assert entry.message == "Category 1. Not written yet: #1\nCategory 3. open raised KeyError"
    assert entry.outcome == "failed"


def test_more_than_three_causes_are_counted() -> None:
    entry = told(*(verdict("1", i, "failed", f"cause {i}") for i in range(1, 7)))
    assert entry.message.splitlines()[3:] == ["and 3 more"]


def test_the_program_belongs_to_the_example_that_is_shown() -> None:
    first = verdict("1", 1, "failed", "no example")
    second = verdict("1", 2, "failed", "an example")
    first.replay, second.replay, second.counterexample = "one", "two", "a = 1"
    entry = told(first, second)
    assert (entry.counterexample, entry.replay) == ("a = 1", "two")
    second.counterexample = ""
    assert told(first, second).replay == "one"


def test_what_was_not_judged_is_told_with_its_cause_once() -> None:
    one, two = verdict("1", 1, "not_run"), verdict("1", 2, "not_run")
    one.because = two.because = '"Adding" failed'
    entry = told(one, two)
    assert entry.message == 'Not judged because "Adding" failed'
    assert entry.outcome == "not_run"
    entry = told(one, two, verdict("1", 3, "error", "broken"))
    assert entry.outcome == "error"
    assert entry.message == (
        'Category 3. broken\nCategory 1; Category 2. Not judged because "Adding" failed'
    )


@settings(deadline=None)
@given(jobs())
def test_a_report_judged_again_by_its_points_has_the_same_total(
    job: tuple[Capstone, list[Verdict]],
) -> None:
    definition, verdicts = job
    found = score(definition, "submit", verdicts)
    report = make(criteria=found.criteria, max_score=found.max_points)
    again = counted(report, {}, definition)
    assert (again.score, again.bonus, again.passed) == (found.points, found.bonus, found.passed)


def test_a_cohorts_environment_and_a_report_name_the_same_facts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = capstone(Criterion(id="1", title="One", points=100), allowed_imports=("numpy.random",))
    lab = small_lab(tmp_path, "toys/01-toy", toy, suite="")
    lab.solution.mkdir(parents=True)
    (lab.solution / "x.py").write_text("X = 1\n")
    monkeypatch.setenv("MERIDIAN_LAB", str(lab.root))
    facts = software(load(lab.root).capstone(lab.key), lab.solution)
    found = environment(lab.key)
    assert facts["packages"]["numpy"] == numpy.__version__
    assert (found.course, found.packages) == (facts["course_sha256"], facts["packages"])
