"""Everything about quizzes in one place: types, loader and the running of traced programs.

The module can be called: ``from meridian.academy import quiz; quiz("database/01-storage/1")``
shows the quiz in a notebook. A package cannot hold a module and a function of one name, and the
import of the module would replace the function, so the module answers for both.
"""

from __future__ import annotations

import sys
from types import ModuleType

from meridian.academy.quiz_loader import QuizError, load_quiz
from meridian.academy.quiz_questions import (
    Answer,
    MultipleChoice,
    Question,
    Quiz,
    ShortAnswer,
    Tracing,
    TracingAnswer,
)
from meridian.academy.quiz_tracing import TracingRun, verify_tracing

__all__ = [
    "Answer",
    "MultipleChoice",
    "Question",
    "Quiz",
    "QuizError",
    "ShortAnswer",
    "Tracing",
    "TracingAnswer",
    "TracingRun",
    "load_quiz",
    "verify_tracing",
]


class _CallableModule(ModuleType):
    def __call__(self, *args: object, **kwargs: object) -> object:
        from meridian.academy import widgets

        return widgets.quiz(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
