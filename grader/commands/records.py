"""What was graded: `verify-report`, `gradebook`, `feedback`, `export`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grader.commands.shared import look_at_out, refuse_unknown, trouble, usage_error

if TYPE_CHECKING:
    from grader.records.gradebook_reader import Attempt

__all__ = ["export", "feedback", "gradebook", "verify_report"]


def verify_report(
    report: Annotated[Path, typer.Argument(help="A report.json.")],
    key: Annotated[Path | None, typer.Option(help="Key file; the lab's by default.")] = None,
) -> None:
    """Check a report's signature. Exit status 0 when it is genuine, 1 when it is not."""
    from grader.report import lab_key, read_report
    from meridian.academy.curriculum import lab_root

    with trouble():
        content = read_report(report)
        secret = lab_key(lab_root() / ".meridian") if key is None else key.read_bytes()
        genuine = content.verify(secret)
    typer.echo(f"{report}: {'genuine' if genuine else 'NOT genuine: changed, or another key'}")
    if not genuine:
        raise typer.Exit(1)


def gradebook(
    learner: Annotated[str | None, typer.Option(help="Only this learner.")] = None,
    capstone: Annotated[str | None, typer.Option(help="Only this capstone.")] = None,
    json: Annotated[bool, typer.Option(help="Print JSON.")] = False,
) -> None:
    """List the attempts in the gradebook, oldest first, with the marks that count now."""
    import msgspec

    from grader.records.gradebook_reader import GradebookReader
    from meridian.academy.curriculum import lab_root

    with trouble(), GradebookReader(lab_root() / ".meridian" / "gradebook.sqlite") as book:
        attempts = book.attempts(learner, capstone)
    if json:
        typer.echo(msgspec.json.encode(attempts).decode())
    elif attempts:
        _print(attempts)


def feedback(
    receipt: Annotated[str, typer.Argument(help="The receipt of an attempt.")],
    out: Annotated[Path | None, typer.Option(help="The file; RECEIPT.html by default.")] = None,
) -> None:
    """Write a learner's page anew, with marks given by hand and later regrades."""
    from grader.records.gradebook_reader import GradebookReader
    from grader.records.pages import learner_page_of
    from grader.report import write_file
    from meridian.academy.curriculum import lab_root, load

    with trouble():
        root = lab_root()
        with GradebookReader(root / ".meridian" / "gradebook.sqlite", read_only=True) as book:
            definition = load(root).capstone(book.report(receipt).capstone)
            page = learner_page_of(book, receipt, definition)
        path = out or Path(f"{receipt}.html")
        write_file(path, page.encode())
    typer.echo(path)


def export(
    kind: Annotated[
        str, typer.Argument(metavar="FORMAT", help="csv, gradescope, nbgrader or prairielearn.")
    ],
    out: Annotated[Path, typer.Option(help="The folder to write to.")],
    learner: Annotated[str | None, typer.Option(help="Only this learner.")] = None,
    capstone: Annotated[str | None, typer.Option(help="Only this capstone.")] = None,
) -> None:
    """Write the grades in the format of another tool: the attempt that counts of each learner."""
    from grader.export import FORMATS, export
    from grader.export.counted import counted, definitions
    from grader.records.gradebook_reader import GradebookReader
    from grader.records.store import SubmissionStore
    from meridian.academy.curriculum import lab_root

    if kind not in FORMATS:
        raise usage_error(f"There is no format {kind!r}: ask for {', '.join(FORMATS)}")
    look_at_out(out)
    with trouble():
        root = lab_root()
        home = root / ".meridian"
        with GradebookReader(home / "gradebook.sqlite", read_only=True) as book:
            refuse_unknown(book, capstone, learner)
            graded = counted(book, definitions(root), learner=learner, capstone=capstone)
        paths = export(graded, kind, out, SubmissionStore(home / "submissions"))
    typer.echo(f"Exported {len(graded)} marks to {out}: {len(paths)} files and folders")


def _print(attempts: Sequence[Attempt]) -> None:
    """A table; a line for each attempt where no terminal has a width."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from meridian.academy.story import printable

    table = Table(box=None, pad_edge=False)
    for name in ("Graded", "Learner", "Capstone", "Attempt", "Score", "Verdict", "Receipt"):
        table.add_column(name, no_wrap=True, justify="right" if name == "Attempt" else "left")
    for entry in attempts:
        verdict = ("passed" if entry.passed else "not passed") if entry.judged else "not judged"
        revised = f", revised {entry.revisions}x" if entry.revisions else ""
        table.add_row(
            entry.graded_at,
            Text(printable(entry.learner).replace("\n", " ")),
            Text(printable(entry.capstone)),
            str(entry.attempt),
            f"{entry.score:g} of {entry.max_score:g}",
            f"{verdict}{revised}",
            entry.receipt,
        )
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=10_000)
    console.print(table)
