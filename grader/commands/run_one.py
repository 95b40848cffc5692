"""`run-one`: the pure command that everything else is made of."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated, Any

import typer

from grader.commands.shared import Progress, look_at_out, trouble, usage_error

__all__ = ["run_one_command"]


class Mode(enum.StrEnum):
    """What is judged."""

    SUBMIT = "submit"
    CHECK = "check"
    BENCH = "bench"


class Tier(enum.StrEnum):
    """Where the submission runs."""

    AUTO = "auto"
    BWRAP = "bwrap"
    LANDLOCK = "landlock"
    RLIMITS = "rlimits"
    NONE = "none"


def run_one_command(
    capstone: Annotated[str, typer.Option(help="Key of the capstone, like database/01-storage.")],
    submission: Annotated[Path, typer.Option(help="Folder, or archive, with the package.")],
    out: Annotated[Path, typer.Option(help="Folder for report.json, feedback.html and plots.")],
    mode: Annotated[Mode, typer.Option(help="Judge all, the quick part, or the races.")] = (
        Mode.SUBMIT
    ),
    learner: Annotated[str, typer.Option(help="Whose work it is; part of the seed.")] = "local",
    attempt: Annotated[int, typer.Option(min=1, help="Which attempt; part of the seed.")] = 1,
    seed: Annotated[str | None, typer.Option(help="Replay a report's seed.")] = None,
    box: Annotated[Tier, typer.Option(help="Box tier; 'none' needs --trusted.")] = Tier.AUTO,
    trusted: Annotated[bool, typer.Option(help="Skip the import audit. For our own code.")] = False,
    record: Annotated[bool, typer.Option(help="Enter a submission into the gradebook.")] = False,
    events: Annotated[bool, typer.Option(help="Print JSON lines instead of a bar.")] = False,
) -> None:
    """Judge one submission. Exit status 0 means that a verdict was written, whatever it says."""
    from grader.job import JobSpec, run_one
    from meridian.academy.curriculum import lab_root

    _look_at_folders(submission, out)
    with trouble(), Progress(events) as on_event:
        entered = record and mode is Mode.SUBMIT
        if entered:
            _look_at_gradebook(lab_root() / ".meridian", learner, capstone, attempt)
        report = run_one(
            JobSpec(
                capstone=capstone,
                submission=submission,
                out=out,
                mode=mode.value,
                learner=learner,
                attempt=attempt,
                seed=seed,
                box=box.value,
                trusted=trusted,
                keep=lab_root() / ".meridian" / "submissions" if entered else None,
                on_event=on_event,
            )
        )
        on_event({"event": "report", "path": str(out / "report.json")})
        if entered:
            _record(lab_root() / ".meridian", report, out)
    if not events:
        _summary(report, out)


def _look_at_folders(submission: Path, out: Path) -> None:
    """Say what is wrong with a folder before minutes are spent on judging. Exit status 2."""
    from grader.intake.unpack import is_archive

    if not submission.is_dir() and not is_archive(submission):
        problem = f"--submission: There is no folder or archive {submission}. Name the one with"
        raise usage_error(f"{problem} the package")
    look_at_out(out)


def _look_at_gradebook(folder: Path, learner: str, capstone: str, attempt: int) -> None:
    """Say why nothing could be entered before minutes are spent on judging. Exit status 2 or 70."""
    from grader.cohort.discover import learner_problem
    from grader.records.gradebook import Gradebook

    problem = "" if learner == "local" else learner_problem(learner)
    if problem:
        raise usage_error(f"--learner: {problem}")
    with Gradebook(folder / "gradebook.sqlite") as book:
        book.refuse_entered(learner, capstone, attempt)


def _record(folder: Path, report: Any, out: Path) -> None:
    from grader.records.gradebook import Gradebook
    from grader.records.pages import keep_plots
    from grader.report import lab_key

    with Gradebook(folder / "gradebook.sqlite") as book:
        receipt = book.record(report, lab_key(folder))
        keep_plots(book, report, out)
    typer.echo(f"Receipt: {receipt}")


def _summary(report: Any, out: Path) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for name in ("#", "Criterion", "Points", "Outcome"):
        table.add_column(name)
    for entry in report.criteria:
        points = f"{entry.score:g} of {entry.points:g}"
        table.add_row(Text(entry.id), Text(entry.title), points, entry.outcome)
    console = Console(stderr=False, highlight=False)
    console.print(table)
    points = f"{report.score:g} of {report.max_score:g} points in box {report.box}"
    console.print(f"{points}: {out / 'report.json'}")
