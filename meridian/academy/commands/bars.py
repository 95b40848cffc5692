"""How far a job is: bars on a terminal, one line a stage in a log, JSON lines for a program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from meridian.academy.commands.shared import console
from meridian.academy.widgets.stages import STAGES

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["OnEvent", "bars_or_lines", "stage_bars", "stage_lines"]

OnEvent: TypeAlias = Callable[[dict[str, Any]], None]


@contextmanager
def stage_bars(out: Console) -> Iterator[OnEvent]:
    """One bar, in place, for the stage at hand; gone when the job is done.

    The first event of a stage only announces it; those that follow count its parts.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[message]}", markup=False),
    )
    with Progress(*columns, console=out, transient=True) as bars:
        task = bars.add_task("Starting", total=None, message="")
        at: str | None = None

        def on_event(event: dict[str, Any]) -> None:
            nonlocal at
            stage = event.get("stage")
            if event.get("event") != "stage" or not isinstance(stage, str):
                return
            message = event.get("message") or ""
            if stage != at:
                at = stage
                title = STAGES.get(stage, stage)
                bars.reset(task, total=None, description=title, message=message)
            else:
                done, total = event.get("done", 0), event.get("total") or None
                bars.update(task, completed=done, total=total, message=message)

        yield on_event


@contextmanager
def stage_lines(out: Console) -> Iterator[OnEvent]:
    """One line when a stage begins: readable in a log and on a dumb terminal."""
    seen: set[str] = set()

    def on_event(event: dict[str, Any]) -> None:
        stage = event.get("stage")
        if event.get("event") == "stage" and isinstance(stage, str) and stage not in seen:
            seen.add(stage)
            out.print(f"{STAGES.get(stage, stage)} ...", markup=False)

    yield on_event


@contextmanager
def bars_or_lines() -> Iterator[OnEvent]:
    """Bars where they can be drawn, else lines; on standard error, which is not the result."""
    out = console(stderr=True)
    animated = out.is_terminal and not out.is_dumb_terminal
    with (stage_bars if animated else stage_lines)(out) as on_event:
        yield on_event
