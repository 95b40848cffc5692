"""For authors of capstones: `build`."""

from __future__ import annotations

from typing import Annotated

import typer

from grader.commands.shared import trouble

__all__ = ["build"]


def build(
    capstone: Annotated[str | None, typer.Argument(help="One capstone; all by default.")] = None,
    check: Annotated[bool, typer.Option(help="Only say whether something is out of date.")] = False,
    force: Annotated[bool, typer.Option(help="Overwrite files a learner has changed.")] = False,
) -> None:
    """Cut the exercises out of the solutions. With --check, exit status 1 when they differ."""
    from grader import build as builder

    with trouble():
        raise typer.Exit(builder.main(capstone, check=check, force=force))
