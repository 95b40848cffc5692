"""The toy suite: what the attacks are judged by. Small, but it touches every kind of answer."""

from __future__ import annotations

import random

import pytest

from grader.judging.compare import CriterionFailed, expect
from grader.proxy.submission import Submission


@pytest.mark.criterion("1", points=40)
def test_add(submission: Submission, rng: random.Random) -> None:
    """Adding two numbers gives their sum."""
    for _ in range(3):
        a, b = rng.randrange(1_000), rng.randrange(1_000)
        expect(submission.add(a, b), a + b, call=f"add({a}, {b})")


@pytest.mark.criterion("2", points=20)
def test_counter(submission: Submission) -> None:
    """A counter counts and refuses to go back."""
    counter = submission.Counter(5)
    expect(counter.add(2), 7, call="Counter.add(2)")
    with submission.raises("ValueError", call="Counter.add(-1)"):
        counter.add(-1)
    expect(list(counter.up_to(10)), [7, 8, 9], call="Counter.up_to(10)")


@pytest.mark.criterion("2", points=10)
def test_place(submission: Submission) -> None:
    """A place has a page and a slot."""
    place = submission.place(3, 4)
    assert (place.page, place.slot) == (3, 4), "the hidden words of the suite"


@pytest.mark.criterion("3", points=30)
def test_save(submission: Submission, rng: random.Random) -> None:
    """Saving writes exactly the bytes given."""
    data = rng.randbytes(500)
    submission.save(submission.path("file.bin"), data)
    if submission.read("file.bin") != data:
        raise CriterionFailed("The file does not hold the data")
