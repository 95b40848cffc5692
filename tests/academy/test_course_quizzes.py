"""Every quiz of the course: complete, true (its programs are run), and not to be guessed."""

from __future__ import annotations

import uuid
from collections import Counter
from pathlib import Path

import pytest

from meridian.academy.curriculum import load
from meridian.academy.quiz import MultipleChoice, Quiz, Tracing, load_quiz, verify_tracing

COURSE = load(Path(__file__).resolve().parents[2])
MODULES = [module for module in COURSE.modules() if module.available]
LESSONS = [lesson for module in MODULES for lesson in module.lessons]
TYPES = {"MultipleChoice", "ShortAnswer", "Tracing"}


def quiz_of(lesson) -> Quiz:
    return load_quiz(COURSE.root / lesson.quiz)


def tracings() -> list:
    cases = []
    for path in sorted((COURSE.root / "notebooks").glob("**/*-quiz.toml")):
        quiz = load_quiz(path)
        cases += [
            pytest.param(question, id=f"{path.parent.name}/{quiz.name}/{title}")
            for title, question in zip(quiz.titles(), quiz.questions, strict=True)
            if isinstance(question, Tracing)
        ]
    return cases


@pytest.mark.parametrize("question", tracings())
def test_the_program_does_what_the_quiz_says(question: Tracing) -> None:
    run = verify_tracing(question)
    assert run.agrees_with(question), f"recorded {question.answer}, happened {run}"


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.key)
def test_a_lesson_has_five_questions_and_each_explains_its_answer(lesson) -> None:
    quiz = quiz_of(lesson)
    assert len(quiz.questions) == 5
    assert all(question.context and question.context.strip() for question in quiz.questions)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.key)
def test_a_module_uses_all_three_types(module) -> None:
    used = {type(q).__name__ for lesson in module.lessons for q in quiz_of(lesson).questions}
    assert used == TYPES


def test_every_id_is_a_uuid4_and_unique() -> None:
    ids = [question.id for lesson in LESSONS for question in quiz_of(lesson).questions]
    assert [id_ for id_, count in Counter(ids).items() if count > 1] == []
    for id_ in ids:
        assert id_ is not None
        assert str(uuid.UUID(id_)) == id_
        assert uuid.UUID(id_).version == 4


def length_gives_it_away(question: MultipleChoice) -> bool:
    """Whether picking the longest option would be right."""
    longest_wrong = max(map(len, question.prompt.distractors), default=0)
    return all(len(right) > longest_wrong for right in question.right_answer)


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.key)
def test_the_longest_option_is_not_the_way_to_pass(lesson) -> None:
    choices = [q for q in quiz_of(lesson).questions if isinstance(q, MultipleChoice)]
    guessed = sum(map(length_gives_it_away, choices))
    assert choices
    assert 2 * guessed <= len(choices), f"the longest option is right in {guessed}"


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.key)
def test_a_choice_has_enough_to_choose_from(lesson) -> None:
    for question in quiz_of(lesson).questions:
        if isinstance(question, MultipleChoice):
            assert len(question.prompt.distractors) >= 2
