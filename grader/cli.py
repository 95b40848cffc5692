"""The `grader` command, put together from `grader.commands`."""

from __future__ import annotations

import typer

from grader.commands import authoring, board, cohort, prove, records, regrade, run_one

__all__ = ["app", "main"]

app = typer.Typer(
    help="Judge capstones: submitted code runs in a box, the verdict outside of it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command("run-one")(run_one.run_one_command)
app.command("build")(authoring.build)
app.command("import")(authoring.import_assignment)
app.command("prove")(prove.prove_command)
app.command("verify-report")(records.verify_report)
app.command("gradebook")(records.gradebook)
app.command("feedback")(records.feedback)
app.command("export")(records.export)
app.command("board")(board.board_command)
app.command("regrade")(regrade.regrade_command)
app.command("adjust")(regrade.adjust)
app.add_typer(cohort.app, name="cohort")


def main() -> None:
    """Entry point of the `grader` command."""
    app()
