"""Marks by hand: they count before what the grader says, and outlive a regrade."""

from __future__ import annotations

from typing import Any

import pytest

from grader.records.gradebook_reader import GradebookError
from grader.records.pages import learner_page_of
from grader.records.regrade import enter, regrade
from tests.grader.records.course import CAPSTONE, KEY, RIGHT, TRIPLES, Course


def adjust(course: Course, criterion: str, points: float | None, attempt: int = 1) -> Any:
    with course.book() as book:
        return book.adjust(
            "bob", KEY, attempt, criterion, points, capstone=CAPSTONE, author="G", why="read it"
        )


def test_a_person_has_the_last_word(course: Course) -> None:
    receipt = course.hand_in("bob", TRIPLES.replace("a + b", "a"))
    assert adjust(course, "2", 20).score == 30
    entry = adjust(course, "1", 60)
    assert (entry.score, entry.passed, entry.revisions) == (90, True, 2)
    assert adjust(course, "2", 25).score == 95, "the latest of a criterion counts"
    course.edit("3")
    settings = course.settings()
    with course.book() as book:
        found = regrade(book, settings)
        assert (found[0].changes[0].criterion, found[0].score) == ("2", 95)
        enter(book, found, settings, author="a", why="b")
        assert book.attempts()[0].score == 95, "a mark by hand outlives a regrade"
        marks = book.manual_marks(receipt)
        assert {m.criterion: (m.points, m.why, m.author) for m in marks} == {
            "1": (60, "read it", "G"),
            "2": (25, "read it", "G"),
        }
    assert adjust(course, "2", None).score == 100, "withdrawn: what the grader says now"
    assert adjust(course, "1", None).score == 40


def test_a_required_criterion_needs_all_its_points(course: Course) -> None:
    course.hand_in("bob", RIGHT.replace("a + b", "a"))
    entry = adjust(course, "1", 59)
    assert (entry.score, entry.passed) == (99, False)
    assert adjust(course, "1", 60).passed is True


@pytest.mark.parametrize(
    ("criterion", "points", "attempt", "said"),
    [
        ("9", 1.0, 1, "no criterion '9': 1, 2, 3"),
        ("1", 61.0, 1, "gives 0 to 60 points, not 61"),
        ("1", -1.0, 1, "gives 0 to 60 points, not -1"),
        ("1", float("nan"), 1, "gives 0 to 60 points, not nan"),
        ("1", 1.0, 2, "bob has no attempt 2"),
    ],
)
def test_marks_that_cannot_be_are_refused(
    course: Course, criterion: str, points: float, attempt: int, said: str
) -> None:
    course.hand_in("bob", RIGHT)
    with pytest.raises(GradebookError, match=said):
        adjust(course, criterion, points, attempt)
    with course.book() as book:
        assert book.attempts()[0].revisions == 0


def test_a_mark_by_hand_makes_an_attempt_count_that_could_not_be_judged(course: Course) -> None:
    receipt = course.hand_in("bob", "1 / 0\n")
    with course.book() as book:
        assert book.attempts_used("bob", KEY) == 0
    entry = adjust(course, "1", 60)
    assert (entry.judged, entry.score, entry.passed) == (True, 60, False)
    entry = adjust(course, "2", 30)
    assert (entry.judged, entry.score, entry.passed) == (True, 90, True)
    with course.book() as book:
        assert book.attempts_used("bob", KEY) == 1
        assert "Not judged" not in learner_page_of(book, receipt, CAPSTONE)
        regraded = regrade(book, course.settings(force=True))
        enter(book, regraded, course.settings(), author="a", why="b")
        assert book.attempts()[0].judged, "a regrade takes nothing back"
    adjust(course, "1", None)
    entry = adjust(course, "2", None)
    assert (entry.judged, entry.score, entry.passed) == (False, 0, False)
