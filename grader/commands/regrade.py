"""After grading: `regrade`, `adjust`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from grader.commands.shared import Progress, refuse_unknown, trouble, usage_error

if TYPE_CHECKING:
    from grader.records.regraded import Regraded

__all__ = ["adjust", "regrade_command"]

AuthorOption = Annotated[
    str | None, typer.Option(help="Who says so, for the record; your user name by default.")
]


def regrade_command(
    capstone: Annotated[str | None, typer.Option(help="Only this capstone.")] = None,
    learner: Annotated[str | None, typer.Option(help="Only this learner.")] = None,
    explain: Annotated[
        bool, typer.Option(help="Say which criterion did it, and what changed since.")
    ] = False,
    dry_run: Annotated[bool, typer.Option(help="Only say it: nothing is written.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Enter without asking.")] = False,
    why: Annotated[str, typer.Option(help="Why, for the record.")] = "judged again",
    author: AuthorOption = None,
    races: Annotated[
        bool, typer.Option(help="Run the benchmarks again; their verdicts stand otherwise.")
    ] = False,
    force: Annotated[bool, typer.Option(help="Judge again even what cannot have changed.")] = False,
    latest: Annotated[bool, typer.Option(help="Only the last attempt of each learner.")] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; as many as cores by default.")
    ] = None,
    box: Annotated[str, typer.Option(help="Box tier; 'none' needs --trusted.")] = "auto",
    trusted: Annotated[bool, typer.Option(help="Skip the import audit. For our own code.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON; enters only with --yes.")] = (
        False
    ),
) -> None:
    """Judge what was handed in again, say who changes, and enter it once you agree.

    Every attempt is judged on the files and hidden inputs it had. What is entered is appended:
    the verdicts before it stay readable. Exit status 1 when nothing was entered that could be.
    """
    import os

    from grader.records.gradebook import Gradebook
    from grader.records.gradebook_reader import GradebookReader
    from grader.records.regrade import Settings, enter, regrade
    from grader.records.store import SubmissionStore
    from grader.report import lab_key
    from grader.spec import JobSpec
    from meridian.academy.curriculum import lab_root

    if box == "none" and not trusted:
        raise usage_error("--box none: Only trusted code may run without a box. Add --trusted")
    with trouble():
        home = lab_root() / ".meridian"
        settings = Settings(
            key=b"a dry run signs for nobody".ljust(32) if dry_run else lab_key(home),
            store=SubmissionStore(home / "submissions"),
            spec=JobSpec(capstone="", submission=home, out=home, box=box, trusted=trusted),
            races=races,
            force=force,
            latest=latest,
            workers=workers or os.cpu_count() or 1,
            cache=None if dry_run else home / "regrades",
        )
        path = home / "gradebook.sqlite"
        with GradebookReader(path, read_only=True) as book, Progress(as_lines=False) as on_event:
            refuse_unknown(book, capstone, learner)

            def tell(done: int, total: int, result: Regraded) -> None:
                where = {"event": "stage", "stage": "regrade", "done": done, "total": total}
                on_event({**where, "message": result.attempt.learner})

            results = regrade(book, settings, capstone=capstone, learner=learner, on_done=tell)
    _say(results, explain=explain or dry_run, as_json=json)
    todo = sum(result.report is not None for result in results)
    if dry_run or not todo:
        if not (dry_run or json):
            typer.echo("Nothing is to be entered")
        return
    if not yes and (json or not typer.confirm(f"Enter {todo} new {_plural(todo, 'verdict')}?")):
        raise typer.Exit(1)
    with trouble(), Gradebook(path) as writable:
        count = enter(writable, results, settings, author=author or _user(), why=why)
    if not json:
        typer.echo(f"{count} {_plural(count, 'verdict')} entered")


def adjust(
    learner: Annotated[str, typer.Option(help="Whose mark.")],
    capstone: Annotated[str, typer.Option(help="Key of the capstone.")],
    attempt: Annotated[int, typer.Option(min=1, help="Which attempt.")],
    criterion: Annotated[str, typer.Option(help="Which criterion, by its id.")],
    why: Annotated[str, typer.Option(help="The reason; the learner reads it.")],
    points: Annotated[
        float | None, typer.Option(min=0, help="What this criterion gives from now on.")
    ] = None,
    withdraw: Annotated[
        bool, typer.Option("--withdraw", help="Take an earlier mark back; the grader's counts.")
    ] = False,
    author: AuthorOption = None,
) -> None:
    """Give the points of one criterion by hand. They stand, whatever a later regrade says."""
    from grader.records.gradebook import Gradebook
    from meridian.academy.curriculum import lab_root, load

    if withdraw == (points is not None):
        raise usage_error("--points: Say how many, or --withdraw to take an earlier mark back")
    with trouble():
        root = lab_root()
        definition = load(root).capstone(capstone)
        with Gradebook(root / ".meridian" / "gradebook.sqlite") as book:
            entry = book.adjust(
                *(learner, capstone, attempt, criterion, points),
                capstone=definition,
                author=author or _user(),
                why=why,
            )
    verdict = "passed" if entry.passed else "not passed"
    typer.echo(
        f"{learner}, {capstone}, attempt {attempt}: {entry.score:g} of {entry.max_score:g}, "
        f"{verdict}. The page for the learner: grader feedback {entry.receipt}"
    )


def _say(results: Sequence[Regraded], *, explain: bool, as_json: bool) -> None:
    import msgspec

    if as_json:
        plain = []
        for result in results:
            row = msgspec.to_builtins(result)
            row.pop("report")
            plain.append({**row, "changed": result.changed})
        typer.echo(msgspec.json.encode(plain).decode())
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for line in _lines(results, explain):
        console.print(Text(line), soft_wrap=True)


def _lines(results: Sequence[Regraded], explain: bool) -> Iterator[str]:
    from meridian.academy.story import printable

    def show(text: object) -> str:
        return printable(text).replace("\n", " ")

    for result in results:
        entry = result.attempt
        who = show(f"{entry.learner}, {entry.capstone}, attempt {entry.attempt}")
        if result.problem:
            yield f"{who}: not judged again, {show(result.problem)}"
        elif result.changed:
            yield f"{who}: {_difference(result)}"
            yield from _causes(result) if explain else ()
    changed = sum(result.changed for result in results)
    cached = sum(result.cached for result in results)
    failed = sum(bool(result.problem) for result in results)
    yield (
        f"{len(results)} {_plural(len(results), 'attempt')}: {changed} changed, {cached} not "
        f"judged again because nothing changed for them, {failed} could not be judged"
    )


def _difference(result: Regraded) -> str:
    before, verdict = result.attempt, ""
    if before.passed != result.passed:
        verdict = ", now passed" if result.passed else ", no longer passed"
    if before.score == result.score:
        return f"{result.score:g} as before{verdict}"
    return f"{before.score:g} to {result.score:g} ({result.score - before.score:+g}){verdict}"


def _causes(result: Regraded) -> Iterator[str]:
    from meridian.academy.story import printable

    for change in result.changes:
        where = "notebook" if change.criterion == "notebook" else f"criterion {change.criterion}"
        race = ", a race: another measurement" if change.benchmark else ""
        yield printable(
            f"   {where} {change.title}: {change.before:g} to {change.after:g} of "
            f"{change.points:g}, {change.outcome_before} to {change.outcome_after}{race}"
        )
        for line in change.says.splitlines()[:1]:
            yield printable(f"      now: {line}")
    for reason in result.because:
        yield f"   changed since: {printable(reason)}"
    if not result.because:
        yield "   nothing changed since: the suite or the submission does not repeat itself"


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no name for this uid
        return "unknown"
