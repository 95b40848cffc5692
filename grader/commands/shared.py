"""What the commands have in common: exit statuses, errors in one line, progress."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from grader.records.gradebook_reader import GradebookReader

__all__ = [
    "EXIT_TROUBLE",
    "EXIT_USAGE",
    "Progress",
    "look_at_out",
    "refuse_unknown",
    "trouble",
    "usage_error",
]

EXIT_USAGE = 2
EXIT_TROUBLE = 70  # the grader's own trouble: no verdict was written
_FIX = "Look at the room on the disk of .meridian, and at who may write there"


@contextmanager
def trouble() -> Iterator[None]:
    """Turn the grader's own errors into one line and exit status 70."""
    import sqlite3

    from meridian.errors import MeridianError

    try:
        yield
    except (MeridianError, ValueError, OSError, sqlite3.Error) as error:
        typer.echo(f"grader: {_in_words(error)}", err=True)
        raise typer.Exit(EXIT_TROUBLE) from None


def usage_error(problem: str) -> typer.Exit:
    """Say what is wrong with the call; raise the result for exit status 2."""
    typer.echo(f"grader: {problem}", err=True)
    return typer.Exit(EXIT_USAGE)


def look_at_out(out: Path) -> None:
    """Say why nothing can be written to `out` before minutes are spent. Exit status 2."""
    place = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not place.is_dir():
        raise usage_error(f"--out: {place} is not a folder. Name a folder for the results")
    if not os.access(place, os.W_OK | os.X_OK):
        raise usage_error(f"--out: {place} may not be written. Name a folder that may")


def _in_words(error: Exception) -> str:
    """The message; of the system's own errors, without their number."""
    import sqlite3

    from meridian.errors import MeridianError

    if isinstance(error, sqlite3.Error):
        return f"A database of the lab cannot be used ({error}). {_FIX}"
    if isinstance(error, OSError) and not isinstance(error, MeridianError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    if isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list):
        first, *others = error.args[0]  # source, target and reason of each file
        more = f", and so for {len(others)} more files" if others else ""
        return re.sub(r"^\[Errno \d+\] ", "", str(first[-1])) + more
    return str(error)


def refuse_unknown(book: GradebookReader, capstone: str | None, learner: str | None) -> None:
    """Tell a name that is nowhere from one that has no attempt yet.

    Raises `UnknownKey`, and `GradebookError` for a learner who has none.
    """
    from grader.records.gradebook_reader import GradebookError
    from meridian.academy.curriculum import lab_root, load

    if capstone is not None and not book.attempts(capstone=capstone):
        load(lab_root()).module(capstone)
    if learner is not None and not book.attempts(learner):
        raise GradebookError(book.path, f"no attempt of {learner!r}. See `grader gradebook`")


def _silent(event: dict[str, Any]) -> None:
    del event


class Progress:
    """Where events go: JSON lines, or a bar on a terminal."""

    def __init__(self, as_lines: bool) -> None:
        self._as_lines = as_lines
        self._bar: Any = None

    def __enter__(self) -> Callable[[dict[str, Any]], None]:
        if self._as_lines:
            return self._line
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        console = Console(stderr=True)
        if not console.is_terminal:  # it would leave an empty line
            return _silent
        self._bar = Progress(
            TextColumn("{task.description:<12}"),
            BarColumn(),
            TextColumn("{task.fields[message]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._bar.start()
        self._task = self._bar.add_task("start", total=1, message="")
        return self._move

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _move(self, event: dict[str, Any]) -> None:
        if event["event"] == "stage":
            self._bar.update(
                self._task,
                description=event["stage"],
                completed=event["done"],
                total=event["total"] or None,
                message=event["message"],
            )

    @staticmethod
    def _line(event: dict[str, Any]) -> None:
        import msgspec

        sys.stdout.write(msgspec.json.encode(event).decode() + "\n")
        sys.stdout.flush()
