"""`check`, `bench`, `submit`: have the capstone judged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meridian.academy.commands.shared import AnywayOption, CapstoneKey, JsonOption

if TYPE_CHECKING:
    from meridian.academy.commands.judging import Mode

SubmissionOption = Annotated[
    Path | None,
    typer.Option(
        "--submission",
        metavar="DIR",
        help="Judge this folder instead of your exercise.",
        file_okay=False,
    ),
]
EventsOption = Annotated[
    bool, typer.Option("--events", help="Print progress as JSON lines, the last names the report.")
]


def check(
    key: CapstoneKey,
    submission: SubmissionOption = None,
    anyway: AnywayOption = False,
    json: JsonOption = False,
    events: EventsOption = False,
) -> None:
    """Check a capstone, as often as you like. Every criterion but notebook and benchmark.

    \b
    Example:    meridian check database/01-storage

    A failure shows the smallest input that went wrong. Exit status 1 means a criterion failed.
    What comes next: `meridian submit CAPSTONE` once all pass; `meridian bench CAPSTONE` for speed.
    """
    _judge("check", key, submission, anyway, json, events)


def bench(
    key: CapstoneKey,
    submission: SubmissionOption = None,
    anyway: AnywayOption = False,
    json: JsonOption = False,
    events: EventsOption = False,
) -> None:
    """Race your capstone. Against the reference and a tool of the trade, turn by turn.

    \b
    Example:    meridian bench database/01-storage

    Ratios count, not seconds: both sides run on this machine in the same minute. What comes next:
    the plots in the report; then `meridian submit CAPSTONE`.
    """
    _judge("bench", key, submission, anyway, json, events)


def submit(
    key: CapstoneKey,
    submission: SubmissionOption = None,
    anyway: AnywayOption = False,
    json: JsonOption = False,
    events: EventsOption = False,
) -> None:
    """Submit a capstone. Every criterion is judged, and the best submission counts.

    \b
    Example:    meridian submit database/01-storage

    The report is kept, with a hash of what you handed in. Exit status 1 means not passed.
    What comes next: read the feedback page; `meridian next` names the step after.
    """
    _judge("submit", key, submission, anyway, json, events)


def _judge(
    mode: Mode,
    key: str,
    submission: Path | None,
    anyway: bool,
    json: bool,
    events: bool,
) -> None:
    from meridian.academy.commands.judging import Output, judge

    output = Output.EVENTS if events else Output.JSON if json else Output.PERSON
    if not judge(mode, key, submission, anyway=anyway, output=output):
        raise typer.Exit(1)
