"""A lesson's quiz in the notebook: one question at a time, then only the wrong ones again."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Mapping
from typing import Any

import anywidget
import traitlets

from meridian.academy import curriculum as index
from meridian.academy.curriculum import Curriculum, Lesson
from meridian.academy.progress import ProgressStore
from meridian.academy.quiz_loader import load_quiz
from meridian.academy.quiz_questions import MultipleChoice, Question, ShortAnswer, Tracing
from meridian.academy.quiz_session import PASS_PERCENT, Outcome, QuizSession
from meridian.academy.widgets.base import StaticMixin, escape
from meridian.academy.widgets.frontend import STYLE, script
from meridian.academy.widgets.lab_paths import server_path
from meridian.academy.widgets.markup import answer_html, block, inline
from meridian.errors import MeridianError

__all__ = ["QuizPanel", "quiz"]


def quiz(
    key: str,
    *,
    curriculum: Curriculum | None = None,
    store: ProgressStore | None = None,
    rng: random.Random | None = None,
) -> QuizPanel:
    """The quiz of lesson `key` (``"database/01-storage/1"``), resumed where the learner left it.

    `rng` shuffles the options. Raises `UnknownKey`, `QuizError`, `LabNotFound`.
    """
    if not isinstance(key, str):
        raise TypeError(f"Expected `str`, got `{type(key).__name__}` - at the key of the lesson")
    curriculum = curriculum or index.load()
    lesson = curriculum.lesson(key)
    return QuizPanel(curriculum, lesson, store or ProgressStore(curriculum=curriculum), rng)


class QuizPanel(StaticMixin, anywidget.AnyWidget):  # type: ignore[misc]
    """Drives a `QuizSession` from the browser and keeps every answer in the learner's record.

    The browser only draws `view` and reports what was done; right answers never reach it before
    the learner has earned or asked for them. Messages: ``submit`` (an answer), ``next``,
    ``retry``, ``reveal`` (show the answers), ``restart``.
    """

    _esm = script("quiz.js")
    _css = STYLE
    view = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        curriculum: Curriculum,
        lesson: Lesson,
        store: ProgressStore,
        rng: random.Random | None = None,
    ) -> None:
        super().__init__()
        self.lesson = lesson
        self.curriculum = curriculum
        self.store = store
        self._rng = rng
        self.quiz = load_quiz(curriculum.root / lesson.quiz)
        self._problem: str | None = None
        self._outcome: Outcome | None = None
        self._revealed = False
        self.session = self._resume()
        self._asked = self.session.remaining
        self.on_msg(self._on_message)
        self._draw()

    # -- what the learner does -----------------------------------------------------------------

    def handle(self, message: Any) -> None:
        """Act on one message of the browser and draw what came of it.

        A message that makes no sense now (a double click, a stale page) is said in the panel and
        changes nothing.
        """
        self._problem = None
        try:
            kind = message["type"]
            if kind == "submit":
                self._submit(message)
            elif kind == "next":
                self._outcome = None
            elif kind == "retry":
                self._retry()
            elif kind == "reveal" and self.session.finished:
                self._revealed = True
            elif kind == "restart" and self.session.finished:
                self._start(QuizSession(self.quiz, rng=self._rng))
            else:
                raise ValueError(f"{kind!r} is not possible now")
        except (MeridianError, OSError) as error:
            self._problem = f"Your progress could not be written: {error}"
        except (LookupError, TypeError, ValueError) as error:
            self._problem = f"That answer was not understood: {error}. Run the cell again."
        self._draw()

    def _on_message(self, _widget: object, message: object, _buffers: object) -> None:
        self.handle(message)

    def _submit(self, message: Mapping[str, Any]) -> None:
        question = self.session.current
        if question is None or self._outcome is not None:
            raise ValueError("this question has been answered")
        given = message["answer"]
        if isinstance(question, MultipleChoice):
            options = self.session.options()
            answer: Any = [options[_index(i, len(options))] for i in given["picked"]]
        elif isinstance(question, ShortAnswer):
            answer = given["text"]
        elif given["runs"] is True:
            answer = {"doesCompile": True, "stdout": given["stdout"]}
        else:
            answer = {"doesCompile": False, "lineNumber": given["line"]}
        why = message.get("why") or None
        self._outcome = self.session.submit(answer, why)
        self._record()

    def _record(self) -> None:
        """Keep the round so far; at its end the result, and the wrong ones to go on with."""
        session, key = self.session, self.lesson.key
        if not session.finished:
            self.store.save_session(key, session.state())
            return
        self.store.record_quiz(key, session.correct, session.total, self.quiz.digest)
        ahead = QuizSession(self.quiz, state=session.state())
        if ahead.retry():
            self.store.save_session(key, ahead.state())

    def _retry(self) -> None:
        if not self.session.retry():
            raise ValueError("every answer is right")
        self._start(self.session)

    def _start(self, session: QuizSession) -> None:
        self.session = session
        self._asked = session.remaining
        self._outcome = None
        self._revealed = False

    def _resume(self) -> QuizSession:
        try:
            state = self.store.session(self.lesson.key)
            return QuizSession(self.quiz, rng=self._rng, state=state)
        except (MeridianError, OSError) as error:
            self._problem = f"Your progress cannot be read: {error}"
        except ValueError as error:
            self._problem = f"What was kept of this quiz cannot be used ({error}); it starts afresh"
        return QuizSession(self.quiz, rng=self._rng)

    # -- what the browser shows ----------------------------------------------------------------

    @property
    def pass_mark(self) -> str:
        needed = math.ceil(self.session.total * PASS_PERCENT / 100)
        return f"{needed} of {self.session.total} pass ({PASS_PERCENT} %)"

    def _draw(self) -> None:
        session = self.session
        view: dict[str, Any] = {
            "title": self.lesson.title,
            "pass_mark": self.pass_mark,
            "problem": self._problem,
        }
        if self._outcome is not None:
            view |= self._position(self._asked - session.remaining)
            view |= {
                "phase": "outcome",
                "last": session.finished,
                "outcome": {
                    "correct": self._outcome.correct,
                    # The explanation gives the answer away: first earn it, or ask for it.
                    "context_html": _context(self._outcome) if self._outcome.correct else None,
                },
            }
        elif session.current is not None:
            view |= self._position(self._asked - session.remaining)
            view |= {"phase": "question", "question": self._question(session.current)}
        else:
            view |= {"phase": "result", "result": self._result()}
        self.view = view

    def _position(self, done: int) -> dict[str, Any]:
        number = done if self._outcome is not None else done + 1
        kind = "Wrong ones again, question" if self.session.round else "Question"
        position = f"{kind} {number} of {self._asked}"
        return {"position": position, "total": self._asked, "done": done}

    def _question(self, question: Question) -> dict[str, Any]:
        shared = {
            "preamble_html": block(self.session.preamble) if self.session.preamble else None,
            "text_html": inline(question.text),
            "asks_why": self.session.asks_explanation,
        }
        if isinstance(question, MultipleChoice):
            kind = "choices" if question.is_multi else "choice"
            options = [inline(option) for option in self.session.options()]
            return shared | {"kind": kind, "options_html": options}
        if isinstance(question, Tracing):
            return shared | {"kind": "tracing", "program": _lines(question)}
        return shared | {"kind": question.prompt.response}

    def _result(self) -> dict[str, Any]:
        session = self.session
        wrong = bool(session.wrong())
        headline = f"{session.correct} of {session.total} right: " + (
            "passed." if session.passed else "not passed yet."
        )
        return {
            "passed": session.passed,
            "headline": headline,
            "next": self._after(),
            "rows": [self._row(i) for i in range(session.total)],
            "can_retry": wrong,
            "can_reveal": wrong and not self._revealed,
            "can_restart": not wrong,
            "open": self._open() if session.passed else None,
        }

    def _row(self, i: int) -> dict[str, Any]:
        question, given = self.quiz.questions[i], self.session.given[i]
        assert given is not None, "a finished round has an answer to every question"
        told = given.correct or self._revealed
        return {
            "correct": given.correct,
            "text_html": inline(question.text),
            "program": _lines(question) if isinstance(question, Tracing) else None,
            "given_html": _shown(question, given.answer),
            "right_html": _shown(question, question.right_answer)
            if told and not given.correct
            else None,
            "context_html": block(question.context) if told and question.context else None,
        }

    def _after(self) -> str | None:
        if not self.session.passed:
            return "Retry asks only what was wrong; the best result counts."
        try:
            return f"Next: {self.store.next_step(self.curriculum).title}."
        except (MeridianError, OSError):
            return None

    def _open(self) -> dict[str, str] | None:
        """The file to go on with, as JupyterLab names it, if it is in the server's folder."""
        try:
            step = self.store.next_step(self.curriculum)
        except (MeridianError, OSError):
            return None
        path = server_path(self.curriculum.root / step.path, self.curriculum.root)
        return {"path": path, "label": f"Open {step.title}"} if path else None

    # -- the picture ---------------------------------------------------------------------------

    def static_html(self) -> str:
        """Every question to read, without its answer; options sorted, so that none stands out."""
        items = []
        for question in self.quiz.questions:
            preamble = self.quiz.preamble(question)
            body = block(preamble) if preamble else ""
            body += block(question.text)
            if isinstance(question, MultipleChoice):
                options = sorted([*question.right_answer, *question.prompt.distractors])
                body += "<ul>" + "".join(f"<li>{inline(o)}</li>" for o in options) + "</ul>"
            elif isinstance(question, Tracing):
                body += f"<pre>{escape(os.linesep.join(_lines(question)))}</pre>"
            items.append(f"<li>{body}</li>")
        return (
            f"<p><b>Quiz: {escape(self.lesson.title)}</b> ({escape(self.pass_mark)})</p>"
            f"<ol>{''.join(items)}</ol>"
        )

    def static_text(self) -> str:
        questions = len(self.quiz.questions)
        return f"Quiz {self.lesson.key}: {questions} questions, {self.pass_mark}"


def _lines(question: Tracing) -> list[str]:
    return question.program.rstrip("\n").split("\n")


def _shown(question: Question, answer: Any) -> str:
    if isinstance(question, ShortAnswer):
        return f"<code>{escape(answer)}</code>"
    return answer_html(answer)


def _context(outcome: Outcome) -> str | None:
    return block(outcome.context) if outcome.context else None


def _index(value: Any, length: int) -> int:
    if type(value) is not int or not 0 <= value < length:
        raise ValueError(f"expected an option from 0 to {length - 1}, got {value!r}")
    return value
