"""What several commands need: arguments with completion, the learner's record, output."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meridian.errors import MeridianError

if TYPE_CHECKING:
    from rich.console import Console

    from meridian.academy.curriculum import Curriculum
    from meridian.academy.progress import ProgressStore

__all__ = [
    "AnywayOption",
    "CapstoneKey",
    "JsonOption",
    "LessonKey",
    "UsageError",
    "console",
    "count",
    "open_lab",
    "print_json",
]


class UsageError(MeridianError, ValueError):
    """The command cannot do that; `fix` says what to do instead."""

    def __init__(self, problem: str, fix: str) -> None:
        self.problem = problem
        self.fix = fix
        super().__init__(f"{problem}. {fix}")


def _complete(kind: str) -> Callable[[str], list[str]]:
    def keys(incomplete: str) -> list[str]:
        from meridian.academy.curriculum import load

        modules = [module for module in load().modules() if module.available]
        found = [module.key for module in modules]
        if kind == "lesson":
            found = [lesson.key for module in modules for lesson in module.lessons]
        return [key for key in found if key.startswith(incomplete)]

    return keys


LessonKey = Annotated[
    str,
    typer.Argument(
        metavar="LESSON",
        help="Key of a lesson, such as database/01-storage/1.",
        autocompletion=_complete("lesson"),
    ),
]
CapstoneKey = Annotated[
    str,
    typer.Argument(
        metavar="CAPSTONE",
        help="Key of a module, such as database/01-storage.",
        autocompletion=_complete("module"),
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]
AnywayOption = Annotated[
    bool,
    typer.Option(
        "--anyway", help="Open a capstone whose lessons are not passed. Noted in your record."
    ),
]


def open_lab() -> tuple[Curriculum, ProgressStore]:
    """The course of this lab and the learner's record in it."""
    from meridian.academy.curriculum import load
    from meridian.academy.progress import ProgressStore

    course = load()
    return course, ProgressStore(curriculum=course)


def console(*, stderr: bool = False) -> Console:
    """A console that stays readable in a pipe, on a dumb terminal and without colour."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=False)


def count(number: int, thing: str) -> str:
    """``1 check``, ``2 checks``."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def print_json(value: Any) -> None:
    """Print `value` as indented JSON on standard output."""
    import msgspec

    encoded = msgspec.json.encode(value, enc_hook=str)
    sys.stdout.write(msgspec.json.format(encoded, indent=2).decode() + "\n")
