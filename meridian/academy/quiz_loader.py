"""Read a quiz file and refuse what the schema does not say.

mdbook-quiz ignores unknown keys, so a misspelt ``alternatives`` silently makes right answers
wrong. Here every key must be known, and an error names the file, the question, the nearest valid
key, and the place in the file.
"""

from __future__ import annotations

import difflib
import hashlib
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import msgspec

from meridian.academy.quiz_questions import (
    MultipleChoice,
    Question,
    Quiz,
    ShortAnswer,
    Tracing,
)
from meridian.errors import MeridianError

__all__ = ["QuizError", "load_quiz"]

_KINDS: dict[str, type] = {k.__name__: k for k in (MultipleChoice, ShortAnswer, Tracing)}


class QuizError(MeridianError, ValueError):
    """A quiz file is not valid: `question` counts from 1, `id` is the question's, if it has one."""

    def __init__(
        self,
        path: Path,
        reason: str,
        *,
        question: int | None = None,
        id: str | None = None,  # noqa: A002
    ) -> None:
        self.path = path
        self.reason = reason
        self.question = question
        self.id = id
        where = f": question {question}" if question else ""
        where += f" (id {id})" if id else ""
        super().__init__(f"{path}{where}: {reason}")


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    questions: tuple[Question, ...]
    multipart: dict[str, str] = {}


def load_quiz(path: str | PathLike[str]) -> Quiz:
    """Read the quiz at `path`. Raises `QuizError`, or `OSError` when it cannot be read."""
    path = Path(path)
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise QuizError(path, f"not valid TOML: {error}") from error
    for number, reason in _unknown_keys(raw):
        raise _error(path, raw, number, reason)
    try:
        file = msgspec.convert(raw, _File)
    except msgspec.ValidationError as error:
        raise _error(path, raw, _question_number(str(error)), str(error)) from error
    if not file.questions:
        raise QuizError(path, "Expected at least one question - at `$.questions`")
    for number, reason in _problems(file):
        raise _error(path, raw, number, reason)
    content = msgspec.json.encode(raw, order="deterministic")
    digest = hashlib.sha256(content).hexdigest()
    return Quiz(path.stem, path, digest, file.questions, file.multipart)


def _error(path: Path, raw: dict[str, Any], number: int | None, reason: str) -> QuizError:
    question = raw["questions"][number - 1] if number else None
    id_ = question.get("id") if isinstance(question, dict) else None
    return QuizError(path, reason, question=number, id=id_ if isinstance(id_, str) else None)


def _question_number(reason: str) -> int | None:
    """The number that msgspec's sentence names: ``$.questions[3]`` is question 4."""
    _, found, rest = reason.partition("$.questions[")
    index = rest.partition("]")[0]
    return int(index) + 1 if found and index.isdigit() else None


def _unknown_keys(raw: dict[str, Any]) -> Iterator[tuple[int | None, str]]:
    """Every key that the schema does not name, with the question it is in and the nearest key.

    Wrong types are left to msgspec, which says them better.
    """
    for reason in _strangers(raw, _names(_File), "$"):
        yield None, reason
    questions = raw.get("questions")
    for index, question in enumerate(questions if isinstance(questions, list) else ()):
        if not isinstance(question, dict):
            continue
        number, at = index + 1, f"$.questions[{index}]"
        kind = question.get("type")
        if isinstance(kind, str) and kind not in _KINDS:
            yield number, f"Unknown type `{kind}`{_nearest(kind, _KINDS)} - at `{at}.type`"
        if not isinstance(kind, str) or kind not in _KINDS:
            continue
        fields = {f.encode_name: f.type for f in msgspec.structs.fields(_KINDS[kind])}
        for reason in _strangers(question, ["type", *fields], at):
            yield number, reason
        for key in ("prompt", "answer", "meridian"):
            table = question.get(key)
            if isinstance(table, dict):
                for reason in _strangers(table, _names(fields[key]), f"{at}.{key}"):
                    yield number, reason


def _names(struct: type) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(struct)]


def _strangers(table: dict[str, Any], known: list[str], at: str) -> Iterator[str]:
    for key in table:
        if key not in known:
            yield f"Unknown key `{key}`{_nearest(key, known)} - at `{at}`"


def _nearest(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.0)
    return f", the nearest is `{close[0]}`" if close else ""


def _problems(file: _File) -> Iterator[tuple[int, str]]:
    """What the types cannot say."""
    ids = Counter(question.id for question in file.questions if question.id is not None)
    for index, question in enumerate(file.questions):
        number, at = index + 1, f"$.questions[{index}]"
        if question.id is not None and ids[question.id] > 1:
            yield number, f"id `{question.id}` is used {ids[question.id]} times - at `{at}.id`"
        if question.multipart is not None and question.multipart not in file.multipart:
            near = _nearest(question.multipart, file.multipart)
            yield (
                number,
                f"Unknown multipart group `{question.multipart}`{near} - at `{at}.multipart`",
            )
        if isinstance(question, MultipleChoice):
            reasons = _choice_problems(question, at)
        elif isinstance(question, Tracing):
            reasons = _tracing_problems(question, at)
        else:
            reasons = iter(())
        if question.meridian.error and not isinstance(question, Tracing):
            yield number, f"Only a Tracing question ends with an error - at `{at}.meridian.error`"
        for reason in reasons:
            yield number, reason


def _choice_problems(question: MultipleChoice, at: str) -> Iterator[str]:
    prompt = question.prompt
    if prompt.answer_index is not None and prompt.sort_answers is not None:
        yield f"Expected `answerIndex` or `sortAnswers`, got both - at `{at}.prompt`"
    if prompt.answer_index is not None and prompt.answer_index > len(prompt.distractors):
        yield (
            f"Expected `int` <= {len(prompt.distractors)}, got {prompt.answer_index}"
            f" - at `{at}.prompt.answerIndex`"
        )
    options = Counter((*question.right_answer, *prompt.distractors))
    for option, count in options.items():
        if count > 1:
            yield f"Option {option!r} is listed {count} times - at `{at}`"


def _tracing_problems(question: Tracing, at: str) -> Iterator[str]:
    answer = question.answer
    lines = len(question.program.splitlines())
    if answer.does_compile:
        if answer.stdout is None:
            yield f"A program that ends well needs `stdout` - at `{at}.answer`"
        if answer.line_number is not None:
            yield f"A program that ends well has no `lineNumber` - at `{at}.answer.lineNumber`"
        if question.meridian.error is not None:
            yield f"A program that ends well has no `error` - at `{at}.meridian.error`"
    else:
        if answer.stdout is not None:
            yield f"A program that fails has no `stdout` - at `{at}.answer.stdout`"
        if answer.line_number is None:
            yield f"A program that fails needs `lineNumber` - at `{at}.answer`"
        elif not 1 <= answer.line_number <= lines:
            yield (
                f"Expected a line from 1 to {lines}, got {answer.line_number}"
                f" - at `{at}.answer.lineNumber`"
            )
