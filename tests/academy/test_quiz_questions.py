"""How answers are judged, against the rules of mdbook-quiz restated here."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meridian.academy.quiz import MultipleChoice, ShortAnswer, Tracing, TracingAnswer
from meridian.academy.quiz_questions import (
    MultipleChoiceAnswer,
    MultipleChoicePrompt,
    ShortAnswerAnswer,
    ShortAnswerPrompt,
    TracingPrompt,
)

TEXTS = st.text(st.sampled_from("aAbBßİ \t"), max_size=4)


def choice(right, wrong, **prompt) -> MultipleChoice:
    return MultipleChoice(
        prompt=MultipleChoicePrompt(prompt="?", distractors=tuple(wrong), **prompt),
        answer=MultipleChoiceAnswer(answer=right),
    )


def short(answer: str, *alternatives: str) -> ShortAnswer:
    return ShortAnswer(
        prompt=ShortAnswerPrompt(prompt="?"),
        answer=ShortAnswerAnswer(answer=answer, alternatives=alternatives),
    )


def tracing(**answer) -> Tracing:
    return Tracing(prompt=TracingPrompt(program="a\nb\nc"), answer=TracingAnswer(**answer))


@given(st.lists(TEXTS, min_size=1, max_size=4, unique=True), st.lists(TEXTS, max_size=4))
def test_choices_are_right_when_they_are_the_same_list_sorted(right, given_) -> None:
    question = choice(tuple(right), ())
    assert question.is_correct(given_) == (sorted(given_) == sorted(right))
    assert question.is_correct(tuple(reversed(right)))
    assert not question.is_correct([*right, right[0]])
    assert not question.is_correct(right[1:])


def test_one_right_option_may_be_given_bare_or_in_a_list() -> None:
    question = choice("17", ["16", "18"])
    assert question.is_correct("17")
    assert question.is_correct(["17"])
    assert question.is_correct({"17"})
    assert not question.is_correct("17 ")
    assert not question.is_correct([])
    assert not question.is_correct(["16", "17"])


@pytest.mark.parametrize("answer", [None, 17, b"17", [17], {"17": 1}, TracingAnswer(True)])
def test_a_choice_of_another_type_is_an_error(answer) -> None:
    with pytest.raises(TypeError, match="Expected `str or a list of str`, got"):
        choice("17", ["16"]).is_correct(answer)


@given(TEXTS, TEXTS, TEXTS)
def test_short_answers_ignore_case_and_space_around(answer, alternative, given_) -> None:
    question = short(answer, alternative)
    clean = [text.lower().strip() for text in (answer, alternative)]
    assert question.is_correct(given_) == (given_.lower().strip() in clean)
    assert question.is_correct(f"  {alternative.upper().lower()}\n") == (
        alternative.upper().lower().lower().strip() in clean
    )


@pytest.mark.parametrize("answer", [None, 4079, b"4079", ["4079"]])
def test_a_short_answer_of_another_type_is_an_error(answer) -> None:
    with pytest.raises(TypeError, match="Expected `str`, got"):
        short("4079").is_correct(answer)


def test_a_program_that_ends_is_judged_by_its_trimmed_output() -> None:
    question = tracing(does_compile=True, stdout="1\n2\n")
    assert question.is_correct(TracingAnswer(True, "\n1\n2"))
    assert question.is_correct({"doesCompile": True, "stdout": "1\n2  "})
    assert not question.is_correct({"doesCompile": True, "stdout": "1 2"})
    assert not question.is_correct({"doesCompile": True})
    assert not question.is_correct({"doesCompile": False, "lineNumber": 1})
    assert tracing(does_compile=True, stdout="").is_correct({"doesCompile": True})


def test_a_program_that_fails_is_judged_by_the_line() -> None:
    question = tracing(does_compile=False, line_number=2)
    assert question.is_correct({"doesCompile": False, "lineNumber": 2})
    assert question.is_correct(TracingAnswer(False, None, 2))
    assert not question.is_correct({"doesCompile": False, "lineNumber": 3})
    assert not question.is_correct({"doesCompile": False})
    assert not question.is_correct({"doesCompile": True, "stdout": "", "lineNumber": 2})


@pytest.mark.parametrize(
    "answer", [None, "7", 7, {"does_compile": True}, {}, {"doesCompile": 1}, {"stdout": "7"}]
)
def test_a_trace_of_another_type_is_an_error(answer) -> None:
    with pytest.raises(TypeError):
        tracing(does_compile=True, stdout="7").is_correct(answer)


@given(
    right=st.lists(TEXTS, min_size=1, max_size=3, unique=True),
    wrong=st.lists(TEXTS, max_size=4, unique=True),
    seed=st.integers(0, 2**32),
)
def test_options_are_all_there_once_in_the_order_asked(right, wrong, seed) -> None:
    wrong = [text for text in wrong if text not in right]
    everything = sorted([*right, *wrong])
    free = choice(tuple(right), wrong).options(random.Random(seed))
    assert sorted(free) == everything
    assert free == choice(tuple(right), wrong).options(random.Random(seed))
    assert choice(tuple(right), wrong, sort_answers=True).options(random.Random(seed)) == everything
    for place in range(len(wrong) + 1):
        options = choice(tuple(right), wrong, answer_index=place).options(random.Random(seed))
        assert options == wrong[:place] + right + wrong[place:]


def test_shuffling_reaches_every_order() -> None:
    question = choice("a", ["b", "c"])
    rng = random.Random(7)
    assert len({tuple(question.options(rng)) for _ in range(200)}) == 6
