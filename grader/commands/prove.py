"""For authors of capstones: `prove`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grader.commands.shared import Progress, trouble

if TYPE_CHECKING:
    from grader.authoring.prove import Proven

__all__ = ["prove_command"]

_TOLD_LINES = 12


def prove_command(
    capstone: Annotated[str, typer.Argument(help="Key of the capstone, like database/01-storage.")],
    repeats: Annotated[
        int | None, typer.Option(min=1, help="Judge the model answer so often; 20, or 2 if quick.")
    ] = None,
    races: Annotated[bool, typer.Option(help="Run the benchmarks too, one at a time.")] = False,
    quick: Annotated[
        bool, typer.Option(help="Few repeats, mutants without a box: for a test suite.")
    ] = False,
    only: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only mutants with this in their name.")
    ] = None,
    box: Annotated[str, typer.Option(help="Box tier for what is judged in one.")] = "auto",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; as many as cores by default.")
    ] = None,
    seed: Annotated[str | None, typer.Option(help="Repeat a proof with its hidden inputs.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Prove that a capstone judges well. Exit status 0 when it does, 1 when it does not.

    The model answer passes every time, the skeleton fails and says what to write, every listed
    mutant fails its criterion and no other, the course's own system passes.
    """
    import msgspec

    from grader.authoring.prove import prove

    with trouble(), Progress(as_lines=False) as on_event:

        def tell(done: int, total: int, finding: Any) -> None:
            message = f"{finding.name}{': ' + finding.problem if finding.problem else ''}"
            on_event(
                {"event": "stage", "stage": "prove", "done": done, "total": total}
                | {"message": message}
            )

        proven = prove(
            capstone,
            repeats=repeats,
            races=races,
            quick=quick,
            only=only,
            box=box,
            workers=workers or os.cpu_count() or 1,
            seed=seed,
            on_finding=tell,
        )
    if json:
        plain = {"holds": proven.holds, **msgspec.to_builtins(proven)}
        typer.echo(msgspec.json.encode(plain).decode())
    else:
        _print(proven, told=only is not None)
    if not proven.holds:
        raise typer.Exit(1)


def _print(proven: Proven, *, told: bool) -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False)
    for name in ("What", "Name", "Criterion", "Points", "Seconds", "Verdict"):
        table.add_column(name, justify="right" if name == "Seconds" else "left", overflow="fold")
    for finding in proven.findings:
        points = f"{finding.score:g} of {finding.max_score:g}" if finding.max_score else ""
        verdict = Text(finding.problem or "as it should be")
        verdict.stylize("red" if finding.problem else "green")
        seconds = f"{finding.duration_s:.1f}"
        table.add_row(finding.kind, Text(finding.name), finding.criterion, points, seconds, verdict)
    console.print(table)
    for finding in proven.findings:
        if finding.told and (told or finding.problem):
            console.print(Text(f"\n{finding.name}, seed {finding.seed}: a learner reads"))
            lines = finding.told.splitlines()
            console.print(Padding(Text("\n".join(lines[:_TOLD_LINES])), (0, 0, 0, 3)))
    wrong = sum(bool(finding.problem) for finding in proven.findings)
    said = "proven" if proven.holds else f"NOT proven, {wrong} of {len(proven.findings)} wrong"
    console.print(
        Text(f"{proven.capstone}: {said} (box {proven.box}, seed {proven.seed})"), soft_wrap=True
    )
