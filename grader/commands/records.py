"""What was graded: `verify-report`, `gradebook`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from grader.commands.shared import trouble

__all__ = ["gradebook", "verify_report"]


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
    """List the attempts in the gradebook, oldest first."""
    import msgspec

    from grader.gradebook import Gradebook
    from meridian.academy.curriculum import lab_root

    with trouble(), Gradebook(lab_root() / ".meridian" / "gradebook.sqlite") as book:
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
