"""Seeds: every learner, attempt and mode has its own, only the key foresees them, all repeat."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.judging.transcript import Draws
from grader.spec import JobSpec, complete, draw_seed
from meridian.academy.curriculum import NotAvailable, UnknownKey

KEY = b"k" * 32
NAMES = st.text(max_size=20)


@given(NAMES, st.integers(1, 99), NAMES, st.sampled_from(["submit", "check", "bench"]))
def test_a_seed_depends_on_every_part_and_on_nothing_else(
    learner: str, attempt: int, capstone: str, mode: Any
) -> None:
    seed = draw_seed(KEY, learner, attempt, capstone, mode)
    assert seed == draw_seed(KEY, learner, attempt, capstone, mode)
    assert len(bytes.fromhex(seed)) == 16
    others = {
        draw_seed(b"another key of the course", learner, attempt, capstone, mode),
        draw_seed(KEY, learner + "x", attempt, capstone, mode),
        draw_seed(KEY, learner, attempt + 1, capstone, mode),
        draw_seed(KEY, learner, attempt, capstone + "x", mode),
        draw_seed(KEY, learner, attempt, capstone, "check" if mode != "check" else "submit"),
    }
    assert len(others) == 5
    assert seed not in others


def test_a_seed_says_nothing_of_the_next() -> None:
    """A learner who has seen the inputs of one attempt cannot reckon those of another."""
    bits = [int(draw_seed(KEY, "ada", n, "toy/01", "submit"), 16) for n in range(1, 65)]
    for place in range(128):
        ones = sum(number >> place & 1 for number in bits)
        assert 8 < ones < 56, f"bit {place} is nearly always the same"


@given(st.text(), st.text(), st.integers(0, 300))
def test_the_draws_of_a_test_repeat_whatever_else_was_drawn(
    seed: str, name: str, size: int
) -> None:
    def some(draws: Draws) -> list[Any]:
        return [
            draws.random(),
            draws.randbytes(size),
            draws.randrange(10**9),
            draws.sample("abc", 2),
        ]

    random.seed(size)
    other = Draws(seed, name + "x")
    other.randbytes(100)
    first = some(Draws(seed, name))
    random.random()
    assert some(Draws(seed, name)) == first
    assert some(Draws(seed, name + "x")) != first
    assert len(first[1]) == size


def test_the_key_that_was_given_signs_and_draws(toy: Any) -> None:
    """A cohort is graded with the course's key: the key of a learner's lab tells nothing."""
    submission = toy.submission()
    facts = {"mode": "check", "box": "none", "trusted": True, "submission": submission}
    course = toy.judge(key=b"course" * 6, learner="ada", **facts)
    lab = toy.judge(key=b"lab lab lab", learner="ada", **facts)
    assert course.seed != lab.seed
    assert course.verify(b"course" * 6)
    assert not course.verify(b"lab lab lab")
    assert course.seed == draw_seed(b"course" * 6, "ada", 1, "toy/01", "check")


def spec(**more: Any) -> JobSpec:
    facts = {"capstone": "database/01-storage", "submission": Path("s"), "out": Path("o")}
    return JobSpec(**{**facts, **more})


def test_the_course_fills_in_what_is_not_said() -> None:
    full = complete(spec(key=KEY))
    assert full.definition is not None
    assert full.definition.package == "tle_page_manager"
    assert full.suite is not None
    assert full.suite.name == "test_storage.py"
    assert full.notebook is not None
    assert full.solution is not None
    assert full.key == KEY


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"mode": "grade"}, ValueError, "Expected mode"),
        ({"box": "none"}, ValueError, "Only trusted code"),
        ({"capstone": "database/99-none"}, UnknownKey, "database/99-none"),
        ({"capstone": "database/03-lsm"}, NotAvailable, "lsm"),
    ],
)
def test_what_cannot_be_judged_is_refused_before_anything_runs(
    changes: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        complete(spec(key=KEY, **changes))
