"""The `grader` command: judge one submission, build the exercises, check a report, read grades."""

from __future__ import annotations

import enum
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["app", "main"]

EXIT_USAGE = 2
EXIT_TROUBLE = 70  # the grader's own trouble: no verdict was written

app = typer.Typer(
    help="Judge capstones: submitted code runs in a box, the verdict outside of it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Mode(enum.StrEnum):
    """What is judged."""

    SUBMIT = "submit"
    CHECK = "check"
    BENCH = "bench"


class Tier(enum.StrEnum):
    """Where the submission runs."""

    AUTO = "auto"
    BWRAP = "bwrap"
    RLIMITS = "rlimits"
    NONE = "none"


@app.command("run-one")
def run_one_command(
    capstone: Annotated[str, typer.Option(help="Key of the capstone, like database/01-storage.")],
    submission: Annotated[Path, typer.Option(help="Folder that holds the learner's package.")],
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
    with _trouble(), _progress(events) as on_event:
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
                on_event=on_event,
            )
        )
        on_event({"event": "report", "path": str(out / "report.json")})
        if record and mode is Mode.SUBMIT:
            _record(lab_root() / ".meridian", report)
    if not events:
        _summary(report, out)


@app.command()
def build(
    capstone: Annotated[str | None, typer.Argument(help="One capstone; all by default.")] = None,
    check: Annotated[bool, typer.Option(help="Only say whether something is out of date.")] = False,
    force: Annotated[bool, typer.Option(help="Overwrite files a learner has changed.")] = False,
) -> None:
    """Cut the exercises out of the solutions. With --check, exit status 1 when they differ."""
    from grader import build as builder

    with _trouble():
        raise typer.Exit(builder.main(capstone, check=check, force=force))


@app.command("verify-report")
def verify_report(
    report: Annotated[Path, typer.Argument(help="A report.json.")],
    key: Annotated[Path | None, typer.Option(help="Key file; the lab's by default.")] = None,
) -> None:
    """Check a report's signature. Exit status 0 when it is genuine, 1 when it is not."""
    from grader.report import lab_key, read_report
    from meridian.academy.curriculum import lab_root

    with _trouble():
        content = read_report(report)
        secret = lab_key(lab_root() / ".meridian") if key is None else key.read_bytes()
        genuine = content.verify(secret)
    typer.echo(f"{report}: {'genuine' if genuine else 'NOT genuine: changed, or another key'}")
    if not genuine:
        raise typer.Exit(1)


@app.command()
def gradebook(
    learner: Annotated[str | None, typer.Option(help="Only this learner.")] = None,
    capstone: Annotated[str | None, typer.Option(help="Only this capstone.")] = None,
    json: Annotated[bool, typer.Option(help="Print JSON.")] = False,
) -> None:
    """List the attempts in the gradebook, oldest first."""
    import msgspec

    from grader.gradebook import Gradebook
    from meridian.academy.curriculum import lab_root

    with _trouble(), Gradebook(lab_root() / ".meridian" / "gradebook.sqlite") as book:
        attempts = book.attempts(learner, capstone)
    if json:
        typer.echo(msgspec.json.encode(attempts).decode())
        return
    for entry in attempts:
        verdict = "passed" if entry.passed else "not passed"
        typer.echo(
            f"{entry.graded_at}  {entry.learner}  {entry.capstone}  attempt {entry.attempt}  "
            f"{entry.score:g} of {entry.max_score:g}  {verdict}  {entry.receipt}"
        )


def main() -> None:
    """Entry point of the `grader` command."""
    app()


def _look_at_folders(submission: Path, out: Path) -> None:
    """Say what is wrong with a folder before minutes are spent on judging. Exit status 2."""
    place = next(path for path in (out, *out.absolute().parents) if path.exists())
    problem = ""
    if not submission.is_dir():
        problem = f"--submission: There is no folder {submission}. Name the one with the package"
    elif not place.is_dir():
        problem = f"--out: {place} is not a folder. Name a folder for the report"
    elif not os.access(place, os.W_OK | os.X_OK):
        problem = f"--out: {place} may not be written. Name a folder that may"
    if problem:
        typer.echo(f"grader: {problem}", err=True)
        raise typer.Exit(EXIT_USAGE)


def _record(folder: Path, report: Any) -> None:
    from grader.gradebook import Gradebook
    from grader.report import lab_key

    with Gradebook(folder / "gradebook.sqlite") as book:
        typer.echo(f"Receipt: {book.record(report, lab_key(folder))}")


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


class _progress:  # noqa: N801 - used as a function
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


def _in_words(error: Exception) -> str:
    """The message; of the system's own errors, without their number."""
    from meridian.errors import MeridianError

    if isinstance(error, OSError) and not isinstance(error, MeridianError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error)


def _trouble() -> Any:
    """Turn the grader's own errors into one line and an exit status."""
    from contextlib import contextmanager

    from meridian.errors import MeridianError

    @contextmanager
    def turned() -> Iterator[None]:
        try:
            yield
        except (MeridianError, ValueError, OSError) as error:
            typer.echo(f"grader: {_in_words(error)}", err=True)
            raise typer.Exit(EXIT_TROUBLE) from None

    return turned()
