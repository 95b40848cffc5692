"""Where the cohort stands: `board`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grader.commands.shared import refuse_unknown, trouble

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from grader.records.board import Board, CapstoneBoard

__all__ = ["board_command"]

_MOST = 20


def board_command(
    capstone: Annotated[str | None, typer.Option(help="Only this capstone.")] = None,
    roster: Annotated[
        Path | None, typer.Option(help="A file with a learner a line, to see who is missing.")
    ] = None,
    stuck: Annotated[int, typer.Option(min=1, help="Stuck means so many judged attempts.")] = 3,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    serve: Annotated[bool, typer.Option("--serve", help="Serve it as a local page.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Its port; a free one if 0.")] = 0,
) -> None:
    """Who is stuck where: counts for each criterion, long tries, common messages, last activity.

    With --serve the same is a page on this machine that only reads; its address holds a token,
    because it shows names. Ctrl+C ends it.
    """
    import msgspec

    from grader.export.counted import definitions
    from grader.records.board import board
    from grader.records.board_server import BoardServer
    from grader.records.gradebook_reader import GradebookReader
    from meridian.academy.curriculum import lab_root

    with trouble():
        root = lab_root()
        path, find = root / ".meridian" / "gradebook.sqlite", definitions(root)
        names = tuple(_names(roster))
        if serve:
            with BoardServer(path, find, roster=names, stuck_after=stuck, port=port) as server:
                typer.echo(f"The board is at {server.url}\nCtrl+C ends it")
                try:
                    server.serve()
                except KeyboardInterrupt:
                    return
        with GradebookReader(path, read_only=True) as book:
            refuse_unknown(book, capstone, None)
            made = board(book, find, roster=names, capstone=capstone, stuck_after=stuck)
    if json:
        typer.echo(msgspec.json.encode(made).decode())
    else:
        _print(made)


def _names(roster: Path | None) -> Iterator[str]:
    """Learners of a roster: the first column of each line, without a header."""
    if roster is not None:
        for line in roster.read_text(encoding="utf-8-sig").splitlines():
            name = line.split(",")[0].strip().strip('"')
            if name and name not in ("learner", "student_id"):
                yield name


def _print(made: Board) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=200)
    if not made.capstones:
        console.print("No attempt is in the gradebook")
        return
    for capstone in made.capstones:
        _print_capstone(console, capstone)
    if made.stuck:
        which = ("Capstone",) if len(made.capstones) > 1 else ()
        table = _table("Learner", *which, "Criterion", "Attempts", "What they were told")
        for s in made.stuck[:_MOST]:
            at = (s.capstone,) if which else ()
            _row(table, s.learner, *at, _name(s.criterion, s.title), s.attempts, s.says)
        _titled(console, f"Stuck ({len(made.stuck)})", table)
    table = _table("Learner", "Passed", "Submitted", "Attempts", "Last seen")
    for row in made.learners[:_MOST]:
        _row(table, row.learner, row.passed, row.submitted, row.attempts, row.last_at or "never")
    _titled(console, f"Longest not seen, of {len(made.learners)}", table)


def _print_capstone(console: Console, capstone: CapstoneBoard) -> None:
    table = _table("Criterion", "Passed", "Failed", "Not written", "Waiting", "Nothing judged")
    for t in capstone.criteria:
        counts = (t.passed, t.failed, t.not_written, t.waiting, t.not_submitted)
        _row(table, _name(t.criterion, t.title), *counts)
    median = "" if capstone.median_score is None else f", median {capstone.median_score:g}"
    said = f"{capstone.passed} of {capstone.submitted} passed{median}"
    _titled(console, f"{capstone.key}, {capstone.title}: {said}", table)
    if capstone.messages:
        table = _table("Told last", "Criterion", "Learners")
        for message in capstone.messages:
            _row(table, message.says, message.criterion, message.learners)
        console.print(table)
        console.print()


def _name(criterion: str, title: str) -> str:
    return f"{criterion}. {title}" if criterion.isdigit() else f"Bonus: {title}"


def _table(*heads: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    numbers = ("Passed", "Failed", "Not written", "Waiting", "Nothing judged", "Attempts")
    for head in heads:
        right = head in (*numbers, "Submitted", "Learners")
        table.add_column(head, justify="right" if right else "left", overflow="fold")
    return table


def _row(table: Table, *cells: object) -> None:
    from rich.text import Text

    from meridian.academy.story import printable

    table.add_row(*(Text(printable(cell).replace("\n", " ")) for cell in cells))


def _titled(console: Console, title: str, table: Table) -> None:
    from rich.text import Text

    from meridian.academy.story import printable

    console.print(Text(printable(title), style="bold"), soft_wrap=True)
    console.print(table)
    console.print()
