"""A lesson's quiz in the notebook: one question at a time, then only the wrong ones again."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Any

import anywidget
import traitlets

from meridian.academy import curriculum as index
from meridian.academy.curriculum import Curriculum, Lesson
from meridian.academy.progress import ProgressStore
from meridian.academy.quiz_loader import load_quiz
from meridian.academy.quiz_questions import MultipleChoice, ShortAnswer
from meridian.academy.quiz_session import PASS_PERCENT, Outcome, QuizSession
from meridian.academy.widgets.base import StaticMixin, escape
from meridian.academy.widgets.frontend import STYLE, script
from meridian.academy.widgets.lab_paths import server_path
from meridian.academy.widgets.quiz_view import (
    explanation,
    question_view,
    questions_html,
    result_rows,
)
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
            "passed_before": self._passed_before(),
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
                    "context_html": explanation(self._outcome.context)
                    if self._outcome.correct
                    else None,
                },
            }
        elif session.current is not None:
            view |= self._position(self._asked - session.remaining)
            view |= {"phase": "question", "question": question_view(session)}
        else:
            view |= {"phase": "result", "result": self._result()}
        self.view = view

    def _position(self, done: int) -> dict[str, Any]:
        number = done if self._outcome is not None else done + 1
        kind = "Wrong ones again, question" if self.session.round else "Question"
        position = f"{kind} {number} of {self._asked}"
        return {"position": position, "total": self._asked, "done": done}

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
            "rows": result_rows(session, revealed=self._revealed),
            "can_retry": wrong,
            "can_reveal": wrong and not self._revealed,
            "can_restart": not wrong,
            "open": self._open() if session.passed else None,
        }

    def _passed_before(self) -> str | None:
        """Said while a passed quiz is open again, so that nobody thinks the result is lost."""
        if self.session.finished:
            return None
        try:
            known = self.store.record().lessons.get(self.lesson.key)
        except (MeridianError, OSError):
            return None
        if known is None or known.passed_at is None:
            return None
        return f"✓ Passed already, best result {known.correct} of {known.total}."

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
        return (
            f"<p><b>Quiz: {escape(self.lesson.title)}</b> ({escape(self.pass_mark)})</p>"
            f"{questions_html(self.quiz)}"
        )

    def static_text(self) -> str:
        questions = len(self.quiz.questions)
        return f"Quiz {self.lesson.key}: {questions} questions, {self.pass_mark}"


def _index(value: Any, length: int) -> int:
    if type(value) is not int or not 0 <= value < length:
        raise ValueError(f"expected an option from 0 to {length - 1}, got {value!r}")
    return value
