"""For authors of capstones: `build`, `import`."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from grader.commands.shared import trouble

__all__ = ["build", "import_assignment"]


class Origin(enum.StrEnum):
    """Which grader an assignment was written for."""

    AUTO = "auto"
    NBGRADER = "nbgrader"
    OTTER = "otter"


def build(
    capstone: Annotated[str | None, typer.Argument(help="One capstone; all by default.")] = None,
    check: Annotated[bool, typer.Option(help="Only say whether something is out of date.")] = False,
    force: Annotated[bool, typer.Option(help="Overwrite files a learner has changed.")] = False,
) -> None:
    """Cut the exercises out of the solutions. With --check, exit status 1 when they differ."""
    from grader.authoring import build as builder

    with trouble():
        raise typer.Exit(builder.main(capstone, check=check, force=force))


def import_assignment(
    notebook: Annotated[Path, typer.Argument(help="A master notebook, with its solutions.")],
    out: Annotated[Path, typer.Option(help="New folder for the capstone.")],
    origin: Annotated[Origin, typer.Option("--from", help="What it was written for.")] = (
        Origin.AUTO
    ),
    capstone: Annotated[str | None, typer.Option(help="Its key; from the file by default.")] = None,
    package: Annotated[str | None, typer.Option(help="The package to write; from the key.")] = None,
) -> None:
    """Turn an assignment for nbgrader or otter into a capstone, and list what is left to do."""
    from grader.markers import read_assignment, write_layout
    from grader.markers.layout import slug_of

    with trouble():
        found = read_assignment(notebook, origin.value)
        key = capstone or f"imported/{slug_of(notebook)}"
        name = package or key.rpartition("/")[2].partition("-")[2].replace("-", "_")
        files = write_layout(found, notebook, out, key, name)
    for path in files:
        typer.echo(str(path))
    for loss in found.losses:
        typer.echo(f"Not carried over: {loss.where}: {loss.what}", err=True)
