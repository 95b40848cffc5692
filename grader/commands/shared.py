"""What the commands have in common: exit statuses, errors in one line, progress."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

__all__ = ["EXIT_TROUBLE", "EXIT_USAGE", "Progress", "look_at_out", "trouble", "usage_error"]

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
    return str(error)


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

        self._bar = Progress(
            TextColumn("{task.description:<12}"),
            BarColumn(),
            TextColumn("{task.fields[message]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
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
