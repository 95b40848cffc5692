"""Three kinds of question and how an answer to each is judged.

The types mirror the TOML schema of mdbook-quiz 0.4 field by field (``camelCase`` in the file,
``snake_case`` here), so that a quiz written for one tool can be read by the other. Where Python
must differ: a Tracing program has no compiler, so ``doesCompile = true`` means that it ends
without an uncaught exception; for ``false`` the line of the error is asked for and compared.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

__all__ = [
    "Answer",
    "Extras",
    "MultipleChoice",
    "MultipleChoiceAnswer",
    "MultipleChoicePrompt",
    "Question",
    "Quiz",
    "ShortAnswer",
    "ShortAnswerAnswer",
    "ShortAnswerPrompt",
    "Tracing",
    "TracingAnswer",
    "TracingPrompt",
]


class _Table(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A table of the file: no key that the schema does not name."""


class Extras(_Table, frozen=True):
    """What only this course reads; other tools see one table that they do not know."""

    error: str | None = None  # exception class that a Tracing program must end with


class MultipleChoicePrompt(_Table, frozen=True):
    prompt: str
    distractors: tuple[str, ...]
    answer_index: Annotated[int, msgspec.Meta(ge=0)] | None = None
    sort_answers: bool | None = None


class MultipleChoiceAnswer(_Table, frozen=True):
    answer: str | Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


class ShortAnswerPrompt(_Table, frozen=True):
    prompt: str
    response: Literal["short", "long", "code"] = "short"


class ShortAnswerAnswer(_Table, frozen=True):
    answer: str
    alternatives: tuple[str, ...] = ()


class TracingPrompt(_Table, frozen=True):
    program: str


class TracingAnswer(_Table, frozen=True):
    """What a program does: what it prints, or on which of its lines it fails (counted from 1)."""

    does_compile: bool
    stdout: str | None = None
    line_number: Annotated[int, msgspec.Meta(ge=0)] | None = None


Answer: TypeAlias = str | Sequence[str] | TracingAnswer | Mapping[str, Any]


class _Fields(_Table, frozen=True, tag_field="type", kw_only=True):
    """What every question has. `context` explains the answer, once it is known."""

    id: str | None = None
    multipart: str | None = None
    context: str | None = None
    prompt_explanation: bool = False
    meridian: Extras = Extras()


class MultipleChoice(_Fields, frozen=True, tag="MultipleChoice", kw_only=True):
    """Pick the right option, or every right option when the answer is a list."""

    prompt: MultipleChoicePrompt
    answer: MultipleChoiceAnswer

    @property
    def text(self) -> str:
        return self.prompt.prompt

    @property
    def is_multi(self) -> bool:
        """Whether several options may be right: checkboxes rather than radio buttons."""
        return not isinstance(self.answer.answer, str)

    @property
    def right_answer(self) -> tuple[str, ...]:
        answer = self.answer.answer
        return (answer,) if isinstance(answer, str) else answer

    def options(self, rng: random.Random) -> list[str]:
        """Every option in the order to show: placed, sorted, or else shuffled by `rng`."""
        right, wrong, place = self.right_answer, self.prompt.distractors, self.prompt.answer_index
        if place is not None:
            return [*wrong[:place], *right, *wrong[place:]]
        options = [*right, *wrong]
        if self.prompt.sort_answers:
            options.sort()
        else:
            rng.shuffle(options)
        return options

    def is_correct(self, answer: Answer) -> bool:
        """Whether `answer`, one option or a list of them, is exactly what is right.

        Raises `TypeError` for anything else.
        """
        given = [answer] if isinstance(answer, str) else answer
        if isinstance(given, (Mapping, TracingAnswer)) or not _all_text(given):
            raise _wrong_type("str or a list of str", answer)
        return sorted(given) == sorted(self.right_answer)


class ShortAnswer(_Fields, frozen=True, tag="ShortAnswer", kw_only=True):
    """Type the answer. Upper case and space around it do not matter."""

    prompt: ShortAnswerPrompt
    answer: ShortAnswerAnswer

    @property
    def text(self) -> str:
        return self.prompt.prompt

    @property
    def right_answer(self) -> str:
        return self.answer.answer

    def is_correct(self, answer: Answer) -> bool:
        """Whether `answer` is the answer or one of the alternatives. Raises `TypeError`."""
        if not isinstance(answer, str):
            raise _wrong_type("str", answer)
        accepted = (self.answer.answer, *self.answer.alternatives)
        return answer.strip().lower() in {text.strip().lower() for text in accepted}


class Tracing(_Fields, frozen=True, tag="Tracing", kw_only=True):
    """Read a program and say what it prints, or where it fails."""

    prompt: TracingPrompt
    answer: TracingAnswer

    @property
    def text(self) -> str:
        return "What does this program do?"

    @property
    def program(self) -> str:
        return self.prompt.program

    @property
    def right_answer(self) -> TracingAnswer:
        return self.answer

    def is_correct(self, answer: Answer) -> bool:
        """Whether `answer` says what happens. Raises `TypeError`.

        `answer` is a `TracingAnswer` or a mapping with the keys of the file, such as
        ``{"doesCompile": False, "lineNumber": 3}``.
        """
        if isinstance(answer, Mapping):
            try:
                answer = msgspec.convert(dict(answer), TracingAnswer)
            except msgspec.ValidationError as error:
                raise TypeError(str(error)) from error
        if not isinstance(answer, TracingAnswer):
            raise _wrong_type("TracingAnswer or a mapping", answer)
        right = self.answer
        if answer.does_compile != right.does_compile:
            return False
        if right.does_compile:
            return (answer.stdout or "").strip() == (right.stdout or "").strip()
        return answer.line_number == right.line_number


Question: TypeAlias = MultipleChoice | ShortAnswer | Tracing


class Quiz(msgspec.Struct, frozen=True):
    """The questions of one lesson. `digest` changes when their content does, not their layout."""

    name: str
    path: Path
    digest: str
    questions: tuple[Question, ...]
    multipart: dict[str, str] = {}

    def titles(self) -> list[str]:
        """One title a question: ``1``, ``2``, and ``3a``, ``3b`` for neighbours of one group."""
        groups: list[list[Question]] = []
        for question in self.questions:
            if question.multipart and groups and groups[-1][0].multipart == question.multipart:
                groups[-1].append(question)
            else:
                groups.append([question])
        titles = []
        for number, group in enumerate(groups, 1):
            if len(group) == 1:
                titles.append(str(number))
            else:
                titles += [f"{number}{_letters(i)}" for i in range(len(group))]
        return titles

    def preamble(self, question: Question) -> str | None:
        """The Markdown that a multipart group shares, if `question` is in one."""
        return self.multipart[question.multipart] if question.multipart else None


def _letters(index: int) -> str:
    """``a`` .. ``z``, ``aa`` ..: the 27th part still has a title."""
    text = ""
    index += 1
    while index:
        index, digit = divmod(index - 1, 26)
        text = chr(ord("a") + digit) + text
    return text


def _all_text(given: object) -> bool:
    try:
        return all(isinstance(option, str) for option in given)  # type: ignore[attr-defined]
    except TypeError:
        return False


def _wrong_type(expected: str, got: object) -> TypeError:
    return TypeError(f"Expected `{expected}`, got `{type(got).__name__}` - at the answer")
