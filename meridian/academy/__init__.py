"""The training lab: course index, quizzes, progress, plots, widgets and the command line.

``from meridian.academy import quiz, course_map, capstone`` is all a notebook needs. Names are
loaded on first use, because widgets and plots are heavy and the command line must start at once.
"""

from __future__ import annotations

from importlib import import_module

__all__ = [
    "Curriculum",
    "ProgressStore",
    "QuizSession",
    "best_awaited_s",
    "best_s",
    "capstone",
    "course_map",
    "lab_root",
    "load",
    "load_quiz",
    "progress_bar",
    "quiz",
    "verdict_card",
]

_HOME = {
    "Curriculum": "curriculum",
    "ProgressStore": "progress",
    "QuizSession": "quiz_session",
    "best_awaited_s": "timing",
    "best_s": "timing",
    "capstone": "widgets",
    "course_map": "widgets",
    "lab_root": "curriculum",
    "load": "curriculum",
    "load_quiz": "quiz",
    "progress_bar": "widgets",
    "quiz": "widgets",
    "verdict_card": "widgets",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
