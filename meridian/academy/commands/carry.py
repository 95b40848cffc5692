"""Carry the record to another machine, and start an exercise again: `export`, `import`, `reset`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from meridian.academy.commands.shared import (
    CapstoneKey,
    UsageError,
    console,
    count,
    open_lab,
)

StampOption = Annotated[
    str | None,
    typer.Option("--restore", metavar="STAMP", help="Bring back a kept version by its stamp."),
]


def export(
    path: Annotated[Path, typer.Argument(help="File to write.", dir_okay=False)],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
) -> None:
    """Write your progress to one readable JSON file.

    \b
    Example:    meridian export my-progress.json

    What comes next: on the other machine, `meridian import my-progress.json`.
    """
    if path.exists() and not force:
        raise UsageError(f"{path} exists", "Name another file, or add --force to replace it")
    _, store = open_lab()
    store.export(path)
    console().print(f"Your progress is in {path}", markup=False, soft_wrap=True)


def import_(
    path: Annotated[Path, typer.Argument(help="A file that `meridian export` wrote.")],
) -> None:
    """Merge exported progress into yours. The better result of each step is kept.

    \b
    Example:    meridian import my-progress.json

    Your file is replaced only when the other one is valid in full. What comes next:
    `meridian status`.
    """
    _, store = open_lab()
    merged = store.import_(path)
    lessons = sum(lesson.passed_at is not None for lesson in merged.lessons.values())
    capstones = sum(capstone.passed for capstone in merged.capstones.values())
    console().print(
        f"Merged. You have passed {count(lessons, 'lesson')} and {count(capstones, 'capstone')}.",
        soft_wrap=True,
    )


def reset(
    key: CapstoneKey,
    restore: StampOption = None,
    list_: Annotated[bool, typer.Option("--list", help="List the kept versions.")] = False,
) -> None:
    """Start an exercise again. Your version is kept, and can be brought back.

    \b
    Example:    meridian reset database/01-storage
    Undo:       meridian reset database/01-storage --list
                meridian reset database/01-storage --restore STAMP

    Results so far stay in your record. What comes next: `meridian check CAPSTONE`.
    """
    from grader.authoring.build import write_exercise
    from meridian.academy.attic import Attic

    course, store = open_lab()
    module = course.available(key)
    attic = Attic(course.root, module, partial(write_exercise, course.root))
    out = console()
    if list_:
        stamps = attic.stamps()
        out.print("\n".join(stamps) if stamps else f"No version of {key} was kept yet.")
        return
    kept = attic.restore(restore) if restore else attic.reset()
    store.record_reset(key)
    if kept is not None:
        out.print(f"Your version is kept in {kept}", markup=False, soft_wrap=True)
    now = f"version {restore} again" if restore else "as it was at the start"
    out.print(f"{course.root / module.exercise} is {now}.", markup=False, soft_wrap=True)
    out.print(f"Next: meridian check {key}", markup=False)
