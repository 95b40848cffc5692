"""A quiz session: every question once, then the wrong ones only, and nothing lost on the way."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meridian.academy.quiz import Quiz, ShortAnswer, load_quiz
from meridian.academy.quiz_questions import ShortAnswerAnswer, ShortAnswerPrompt
from meridian.academy.quiz_session import QuizOver, QuizSession

MIXED = """
[multipart]
g = "Shared."
[[questions]]
type = "MultipleChoice"
prompt.prompt = "Pick."
prompt.distractors = ["b", "c", "d", "e"]
answer.answer = "a"
context = "Because."
promptExplanation = true
[[questions]]
type = "ShortAnswer"
multipart = "g"
prompt.prompt = "Type."
answer.answer = "x"
[[questions]]
type = "Tracing"
multipart = "g"
prompt.program = "print(1)"
answer.doesCompile = true
answer.stdout = "1"
"""


def numbered(n: int, digest: str = "d") -> Quiz:
    """A quiz of `n` short questions; the answer to each is ``yes``."""
    question = ShortAnswer(
        prompt=ShortAnswerPrompt(prompt="?"), answer=ShortAnswerAnswer(answer="yes")
    )
    return Quiz("numbered", Path("numbered.toml"), digest, (question,) * n)


def answer_round(session: QuizSession, right: list[bool]) -> None:
    for is_right in right:
        assert session.submit("yes" if is_right else "no").correct == is_right


@pytest.fixture
def mixed(tmp_path: Path) -> Quiz:
    path = tmp_path / "mixed.toml"
    path.write_text(MIXED)
    return load_quiz(path)


def test_one_walk_through_all_three_types(mixed: Quiz) -> None:
    session = QuizSession(mixed, rng=random.Random(1))
    assert (session.title, session.preamble, session.asks_explanation) == ("1", None, True)
    options = session.options()
    assert sorted(options) == ["a", "b", "c", "d", "e"]
    assert session.options() == options
    outcome = session.submit("b", explanation="a guess")
    assert (outcome.correct, outcome.context, outcome.right_answer) == (False, "Because.", ("a",))
    assert (session.title, session.preamble, session.asks_explanation) == ("2a", "Shared.", False)
    assert session.options() == []
    assert session.submit(" X ").correct
    assert session.title == "2b"
    assert session.submit({"doesCompile": True, "stdout": "1\n"}).correct
    assert session.current is None
    assert session.title is None
    assert session.preamble is None
    assert session.options() == []
    assert session.finished
    assert (session.correct, session.total, session.passed) == (2, 3, False)
    assert session.score == pytest.approx(2 / 3)
    assert session.given[0].explanation == "a guess"
    with pytest.raises(QuizOver):
        session.submit("a")

    assert session.retry() == 1
    assert session.round == 1
    assert not session.asks_explanation  # only the first answer is worth a reason
    assert session.options() == options
    assert session.submit(["a"]).correct
    assert session.passed
    assert session.retry() == 0
    assert session.round == 1
    assert session.finished


def test_a_wrong_type_does_not_use_up_the_question(mixed: Quiz) -> None:
    session = QuizSession(mixed)
    with pytest.raises(TypeError):
        session.submit(3)
    assert session.index == 0
    assert session.remaining == 3


@pytest.mark.parametrize(
    ("total", "needed"), [(1, 1), (2, 2), (3, 3), (4, 3), (5, 4), (10, 7), (20, 14), (90, 63)]
)
def test_seventy_percent_passes_exactly(total: int, needed: int) -> None:
    for right, passed in ((needed, True), (needed - 1, False)):
        session = QuizSession(numbered(total))
        answer_round(session, [True] * right + [False] * (total - right))
        assert session.passed == passed


@given(st.data())
def test_retries_ask_the_wrong_ones_only_and_a_restart_changes_nothing(data) -> None:
    """Against a model: a list of booleans. The session is rebuilt from its state at random."""
    total = data.draw(st.integers(1, 6))
    quiz = numbered(total)
    session = QuizSession(quiz)
    model: list[bool | None] = [None] * total
    for round_ in range(data.draw(st.integers(1, 4))):
        expected = [i for i, right in enumerate(model) if right is None or not right]
        if round_:
            assert session.retry() == len(expected)
        for index in expected:
            assert session.index == index
            model[index] = data.draw(st.booleans())
            session.submit("yes" if model[index] else "no")
            if data.draw(st.booleans()):
                session = QuizSession(quiz, state=json.loads(json.dumps(session.state())))
        assert session.finished
        assert session.correct == sum(map(bool, model))
        assert session.wrong() == [i for i, right in enumerate(model) if right is False]
    assert session.passed == (10 * sum(map(bool, model)) >= 7 * total)


def test_retry_waits_for_the_end_of_the_round() -> None:
    session = QuizSession(numbered(2))
    session.submit("no")
    with pytest.raises(ValueError, match="1 questions of this round are not answered yet"):
        session.retry()


def test_an_edited_quiz_starts_afresh() -> None:
    session = QuizSession(numbered(3))
    session.submit("yes")
    state = session.state()
    assert QuizSession(numbered(3), state=state).index == 1
    assert QuizSession(numbered(3, digest="edited"), state=state).index == 0
    assert QuizSession(numbered(4, digest="edited"), state=state).remaining == 4


@pytest.mark.parametrize(
    "change",
    [
        {"queue": [9]},
        {"queue": [-1]},
        {"queue": "x"},
        {"given": []},
        {"round": "one"},
        {"more": 1},
    ],
)
def test_a_malformed_state_is_an_error(change) -> None:
    state = QuizSession(numbered(2)).state() | change
    with pytest.raises(ValueError, match="Quiz state: "):
        QuizSession(numbered(2), state=state)


def test_the_same_seed_shows_the_same_order(mixed: Quiz) -> None:
    orders = [QuizSession(mixed, rng=random.Random(5)).options() for _ in range(2)]
    assert orders[0] == orders[1]
    assert len({tuple(QuizSession(mixed, rng=random.Random(n)).options()) for n in range(20)}) > 5
