"""Questions and answers as the browser draws them: plain data, with HTML only from Markdown."""

from __future__ import annotations

from typing import Any

from meridian.academy.quiz_questions import (
    MultipleChoice,
    Question,
    Quiz,
    ShortAnswer,
    Tracing,
)
from meridian.academy.quiz_session import QuizSession
from meridian.academy.widgets.base import escape
from meridian.academy.widgets.markup import answer_html, block, inline

__all__ = ["explanation", "question_view", "questions_html", "result_rows"]


def explanation(context: str | None) -> str | None:
    """The explanation of an answer as HTML, if the question has one."""
    return block(context) if context else None


def question_view(session: QuizSession) -> dict[str, Any]:
    """The current question as a form, without its answer. There must be one."""
    question = session.current
    assert question is not None, "the round is over"
    shared = {
        "preamble_html": explanation(session.preamble),
        "text_html": inline(question.text),
        "asks_why": session.asks_explanation,
    }
    if isinstance(question, MultipleChoice):
        kind = "choices" if question.is_multi else "choice"
        return shared | {"kind": kind, "options_html": [inline(o) for o in session.options()]}
    if isinstance(question, Tracing):
        return shared | {"kind": "tracing", "program": _lines(question)}
    return shared | {"kind": question.prompt.response}


def result_rows(session: QuizSession, *, revealed: bool) -> list[dict[str, Any]]:
    """One row a question of a finished round; what was wrong is explained only if `revealed`."""
    rows = []
    for question, given in zip(session.quiz.questions, session.given, strict=True):
        assert given is not None, "a finished round has an answer to every question"
        told = given.correct or revealed
        tells_right = told and not given.correct
        rows.append(
            {
                "correct": given.correct,
                "text_html": inline(question.text),
                "program": _lines(question) if isinstance(question, Tracing) else None,
                "given_html": _shown(question, given.answer),
                "right_html": _shown(question, question.right_answer) if tells_right else None,
                "context_html": explanation(question.context) if told else None,
            }
        )
    return rows


def questions_html(quiz: Quiz) -> str:
    """Every question to read, without answers; options sorted, so that none stands out."""
    items = []
    for question in quiz.questions:
        body = (explanation(quiz.preamble(question)) or "") + block(question.text)
        if isinstance(question, MultipleChoice):
            options = sorted([*question.right_answer, *question.prompt.distractors])
            body += "<ul>" + "".join(f"<li>{inline(o)}</li>" for o in options) + "</ul>"
        elif isinstance(question, Tracing):
            program = "\n".join(_lines(question))
            body += f"<pre>{escape(program)}</pre>"
        items.append(f"<li>{body}</li>")
    return f"<ol>{''.join(items)}</ol>"


def _lines(question: Tracing) -> list[str]:
    return question.program.rstrip("\n").split("\n")


def _shown(question: Question, answer: Any) -> str:
    if isinstance(question, ShortAnswer):
        return f"<code>{escape(answer)}</code>"
    return answer_html(answer)
