"""For instructors: `cohort run`."""

from __future__ import annotations

import enum
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grader.commands.run_one import Tier
from grader.commands.shared import look_at_out, trouble, usage_error

if TYPE_CHECKING:
    from grader.cohort.summary import Summary

__all__ = ["app"]

EXIT_PERSON = 1
EXIT_INTERRUPTED = 130

app = typer.Typer(
    help="Grade many submissions at once.", no_args_is_help=True, pretty_exceptions_enable=False
)


class Only(enum.StrEnum):
    """Which submissions are looked at again."""

    CHANGED = "changed"


class CohortMode(enum.StrEnum):
    """What is judged."""

    SUBMIT = "submit"
    CHECK = "check"


@app.callback()
def cohort() -> None:
    """Grade many submissions at once."""


@app.command("run")
def run_command(
    submissions: Annotated[Path, typer.Argument(help="Folder with what was handed in.")],
    capstone: Annotated[str, typer.Option(help="Key of the capstone, like database/01-storage.")],
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Jobs at once; one less than there are cores by default."),
    ] = None,
    mode: Annotated[
        CohortMode, typer.Option(help="Judge all and enter the gradebook, or the quick part.")
    ] = CohortMode.SUBMIT,
    attempts: Annotated[
        int | None,
        typer.Option(min=1, help="How many of a learner, the highest numbers; 5 by default."),
    ] = None,
    only: Annotated[
        Only | None, typer.Option(help="Leave alone what is graded and unchanged.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for reports and feedback; graded/CAPSTONE, a check's in check/ there."
        ),
    ] = None,
    trusted: Annotated[
        bool, typer.Option(help="Skip the import audit, allow a weak box. For our own code.")
    ] = False,
    box: Annotated[Tier, typer.Option(help="Box tier; 'none' needs --trusted.")] = Tier.AUTO,
    queue: Annotated[
        Path | None, typer.Option(help="The queue's file; .meridian/cohort.sqlite of the lab.")
    ] = None,
    scheduler: Annotated[
        str, typer.Option(help="Address of a Dask scheduler, like tcp://10.0.0.5:8786.")
    ] = "",
    events: Annotated[bool, typer.Option(help="Print JSON lines instead of a bar.")] = False,
    json: Annotated[bool, typer.Option(help="Print the summary as JSON.")] = False,
) -> None:
    """Grade every submission in a folder. The same command goes on after an interruption.

    Exit status 0 when all are graded, 1 when some need a person, 130 when interrupted.
    """
    from grader.cohort import default_out, run

    if not submissions.is_dir():
        raise usage_error(f"There is no folder {submissions}. Name the one with the submissions")
    look_at_out(out or default_out(capstone, mode.value))
    with trouble(), _stoppable(), _shown(events) as on_event:
        try:
            summary = run(
                submissions,
                capstone=capstone,
                out=out,
                mode=mode.value,
                workers=workers,
                attempts=attempts,
                only_changed=only is Only.CHANGED,
                trusted=trusted,
                box=box.value,
                queue=queue,
                scheduler=scheduler,
                on_event=on_event,
            )
        except KeyboardInterrupt:
            typer.echo("Interrupted. What is graded is kept; the same command goes on.", err=True)
            raise typer.Exit(EXIT_INTERRUPTED) from None
    if json:
        typer.echo(summary.path.read_text(encoding="utf-8"), nl=False)
    elif not events:
        _print(summary)
    if summary.needs_a_person:
        raise typer.Exit(EXIT_PERSON)


def _shown(events: bool) -> AbstractContextManager[Any]:
    import sys

    from rich.console import Console

    from grader.cohort import progress

    if events:
        return nullcontext(progress.json_lines(sys.stdout))
    console = Console(stderr=True)
    if console.is_terminal:
        return progress.terminal_bar(console)
    return nullcontext(progress.lines(sys.stderr))


def _stoppable() -> AbstractContextManager[None]:
    """SIGTERM, as engines send it, ends a run like Ctrl+C does."""
    import contextlib
    import signal
    import threading
    from collections.abc import Iterator

    @contextlib.contextmanager
    def handled() -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    return handled()


def _print(summary: Summary) -> None:
    from rich.console import Console

    from grader.cohort.progress import summary_lines

    console = Console(highlight=False)
    for line in summary_lines(summary):
        console.print(line, markup=False, soft_wrap=True)


@app.command("enter")
def enter_command(
    reports: Annotated[Path, typer.Argument(help="Folder with reports made elsewhere.")],
) -> None:
    """Enter reports made elsewhere, under this lab's key, into the gradebook.

    Exit status 0 when all are entered, 1 when some are not.
    """
    from grader.cohort.enter import enter_reports
    from meridian.academy.curriculum import lab_root

    if not reports.is_dir():
        raise usage_error(f"There is no folder {reports}. Name the one with the reports")
    with trouble():
        entered = enter_reports(reports, lab_root())
    for entry in entered:
        typer.echo(f"{entry.path}: {entry.receipt or entry.problem}")
    if not entered:
        typer.echo(f"No report.json below {reports}")
    if any(entry.problem for entry in entered):
        raise typer.Exit(EXIT_PERSON)
