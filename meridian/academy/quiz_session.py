"""Ask a quiz: one question at a time, then again only the wrong ones, until the learner stops.

The session holds no clock, no screen and no file. A terminal and a notebook drive it the same way:
show `current`, `submit` an answer, at the end show `score` and offer `retry`. `state()` is plain
data, so that a half-finished quiz survives a restart; it carries the quiz's digest, and an edited
quiz starts afresh.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import msgspec

from meridian.academy.quiz_questions import (
    Answer,
    MultipleChoice,
    Question,
    Quiz,
    TracingAnswer,
)
from meridian.errors import MeridianError

__all__ = ["PASS_PERCENT", "Given", "Outcome", "QuizOver", "QuizSession"]

PASS_PERCENT = 70


class QuizOver(MeridianError, IndexError):
    """Every question of this round has been answered."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"Quiz {name} has no further question; retry() asks the wrong ones again")


class Outcome(msgspec.Struct, frozen=True):
    """What became of one answer. A screen shows the rest once it was right, or on giving up."""

    correct: bool
    context: str | None
    right_answer: Answer


class Given(msgspec.Struct, frozen=True):
    """The latest answer to one question, and the learner's reason when the question asks for it."""

    answer: Any
    correct: bool
    explanation: str | None = None


class _State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    quiz: str
    digest: str
    round: int
    given: tuple[Given | None, ...]
    queue: tuple[int, ...]


class QuizSession:
    """One learner's way through one quiz.

    `rng` shuffles the options; `state` is what an earlier session's `state()` returned. A state of
    another quiz or of another edition of this one is ignored, a malformed one raises `ValueError`.
    """

    def __init__(
        self,
        quiz: Quiz,
        *,
        rng: random.Random | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        self.quiz = quiz
        self._rng = rng or random.Random()
        self._round = 0
        self._given: list[Given | None] = [None] * len(quiz.questions)
        self._queue = list(range(len(quiz.questions)))
        self._options: dict[int, list[str]] = {}
        self._titles = quiz.titles()
        if state is not None:
            self._restore(state)

    # -- the question at hand ------------------------------------------------------------------

    @property
    def index(self) -> int | None:
        """Which of the quiz's questions is asked now, from 0; ``None`` when the round is over."""
        return self._queue[0] if self._queue else None

    @property
    def current(self) -> Question | None:
        """The question to answer now; ``None`` when the round is over."""
        return None if self.index is None else self.quiz.questions[self.index]

    @property
    def title(self) -> str | None:
        """The title of the current question: ``3``, or ``3a`` within a group."""
        return None if self.index is None else self._titles[self.index]

    @property
    def preamble(self) -> str | None:
        """The Markdown shared by the current question's group, if it is in one."""
        return None if self.current is None else self.quiz.preamble(self.current)

    @property
    def asks_explanation(self) -> bool:
        """Whether to ask for a sentence of reasoning with this answer: on the first round only."""
        return self.current is not None and self.current.prompt_explanation and self._round == 0

    def options(self) -> list[str]:
        """The options of the current question, in one order for the whole session; else empty."""
        if self.index is None or not isinstance(self.current, MultipleChoice):
            return []
        if self.index not in self._options:
            self._options[self.index] = self.current.options(self._rng)
        return list(self._options[self.index])

    def submit(self, answer: Answer, explanation: str | None = None) -> Outcome:
        """Judge `answer` and move on. Raises `QuizOver`, or `TypeError` for no possible answer."""
        question = self.current
        if question is None:
            raise QuizOver(self.quiz.name)
        correct = question.is_correct(answer)
        self._given[self._queue.pop(0)] = Given(_plain(answer), correct, explanation)
        return Outcome(correct, question.context, question.right_answer)

    # -- the result ----------------------------------------------------------------------------

    @property
    def round(self) -> int:
        """0 while every question is asked, then the number of retries."""
        return self._round

    @property
    def remaining(self) -> int:
        """Questions left in this round."""
        return len(self._queue)

    @property
    def finished(self) -> bool:
        return not self._queue

    @property
    def total(self) -> int:
        return len(self.quiz.questions)

    @property
    def correct(self) -> int:
        """Questions whose latest answer is right."""
        return sum(given is not None and given.correct for given in self._given)

    @property
    def score(self) -> float:
        """Right answers as a share of all questions, 0 to 1."""
        return self.correct / self.total

    @property
    def passed(self) -> bool:
        """Whether at least 70 % of all questions are right."""
        return 100 * self.correct >= PASS_PERCENT * self.total

    @property
    def given(self) -> list[Given | None]:
        """The latest answer to each question, in the quiz's order."""
        return list(self._given)

    def wrong(self) -> list[int]:
        """Indices of the questions whose latest answer is wrong."""
        return [i for i, given in enumerate(self._given) if given and not given.correct]

    def retry(self) -> int:
        """Ask the wrong ones again; return how many there are. Raises `ValueError` mid-round."""
        if self._queue:
            raise ValueError(f"{len(self._queue)} questions of this round are not answered yet")
        self._queue = self.wrong()
        self._round += bool(self._queue)
        return len(self._queue)

    # -- keeping it ----------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything to resume from, as plain data that JSON can hold."""
        state = _State(
            self.quiz.name, self.quiz.digest, self._round, tuple(self._given), tuple(self._queue)
        )
        plain: dict[str, Any] = msgspec.to_builtins(state)
        return plain

    def _restore(self, raw: Mapping[str, Any]) -> None:
        try:
            state = msgspec.convert(dict(raw), _State)
        except msgspec.ValidationError as error:
            raise ValueError(f"Quiz state: {error}") from error
        if (state.quiz, state.digest) != (self.quiz.name, self.quiz.digest):
            return
        if len(state.given) != self.total or not set(state.queue) <= set(range(self.total)):
            raise ValueError(f"Quiz state: expected answers to {self.total} questions")
        self._round = state.round
        self._given = list(state.given)
        self._queue = sorted(set(state.queue))


def _plain(answer: Answer) -> Any:
    """The answer as JSON would hold it."""
    if isinstance(answer, TracingAnswer):
        return msgspec.to_builtins(answer)
    if isinstance(answer, str):
        return answer
    return dict(answer) if isinstance(answer, Mapping) else sorted(answer)
