"""A report as a person reads it on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meridian.academy.outcomes import shown_outcome, was_judged
from meridian.academy.races import describe
from meridian.academy.story import CriterionStory, NotebookStory, Story, printable, tell
from meridian.academy.widgets.report import load_verdict

if TYPE_CHECKING:
    from rich.console import Console

    from meridian.academy.curriculum import Module
    from meridian.academy.progress import NextStep

__all__ = ["print_verdict", "printable", "race_lines", "succeeded"]

_STYLES = {"passed": "green", "not_run": "dim", "not_written": "dim", "blocked": "dim"}


def succeeded(mode: str, module: Module, report: dict[str, Any]) -> bool:
    """A submission must have passed; a check or race, every criterion it judged but a bonus."""
    if mode == "submit":
        return bool(report["passed"])
    bonus = {criterion.id for criterion in module.capstone.bonus}
    judged = [c["outcome"] for c in report["criteria"] if _judged(c) and c["id"] not in bonus]
    return bool(judged) and all(outcome == "passed" for outcome in judged)


def print_verdict(
    out: Console, mode: str, module: Module, report: dict[str, Any], folder: Path, step: NextStep
) -> None:
    """The verdict in one sentence, a table of criteria, what went wrong, and the next command."""
    facts = {**(report.get("environment") or {}), "mode": mode}
    verdict, _ = load_verdict({**report, "environment": facts})
    story = tell(verdict, module.capstone)
    _wrapped(out, story.headline, style="bold")
    if story.why:
        _wrapped(out, f"{story.why[:1].upper()}{story.why[1:]}.")
    for note in story.notes:
        _wrapped(out, note)
    out.print()
    if story.cause:
        _wrapped(out, story.cause)
        _wrapped(out, story.advice)
    else:
        _print_criteria(out, mode, story)
    _print_repairs(out, story.notebook)
    out.print()
    races = tuple(race_lines(report.get("benchmarks") or (), folder))
    if races:
        out.print("Benchmarks", style="bold")
    for line in races:
        out.print(line, markup=False, soft_wrap=True)
    if races:
        out.print()
    judged = f"Judged in box {verdict.box!r}, seed {verdict.seed}."
    feedback = folder / "feedback.html"
    page = feedback if feedback.exists() else folder / "report.json"
    for line in (judged, f"Feedback: {page}"):  # whole, to be copied
        out.print(_plain(line), soft_wrap=True)
    _wrapped(out, _next_command(mode, module, report, step), "Next:     ")


def _print_criteria(out: Console, mode: str, story: Story) -> None:
    shown = [c for c in story.criteria if mode != "bench" or c.outcome != "not_run"]
    out.print(_table(shown))
    missed = [c for c in story.criteria if c.missed]
    unwritten = [c for c in missed if c.outcome == "not_written"]
    for criterion in missed:
        # The next thing to write, not all there is to write; what waits for it says nothing new.
        if criterion not in unwritten[1:] and not (unwritten and criterion.outcome == "blocked"):
            _print_story(out, criterion)
    for criterion in story.criteria:
        if criterion.by_hand and not criterion.missed:
            _wrapped(out, f"marked by hand: {criterion.by_hand}", f"{criterion.id}  ")


def _table(criteria: Sequence[CriterionStory]) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, caption_justify="left")
    table.add_column("#", no_wrap=True)
    table.add_column("Criterion", overflow="fold")
    table.add_column("", no_wrap=True)
    table.add_column("Points", justify="right", no_wrap=True)
    table.add_column("Outcome", no_wrap=True)
    for criterion in criteria:
        style = _STYLES.get(criterion.outcome, "red")
        outcome = _plain(criterion.word)
        outcome.stylize(style)
        table.add_row(
            _plain(criterion.id),
            _plain(criterion.title),
            criterion.kind,
            criterion.points,
            outcome,
        )
    return table


def _print_story(out: Console, criterion: CriterionStory) -> None:
    """Why a criterion was not met, the smallest input that shows it, and what to do."""
    out.print()
    _wrapped(out, f"{criterion.id}  {criterion.title}", style="bold")
    bullet = "   - " if len(criterion.messages) > 1 else "   "
    for message in criterion.messages:
        _wrapped(out, message, bullet)
    if criterion.counterexample:
        out.print("   Smallest input that shows it:")
        _wrapped(out, criterion.counterexample, "      ")
    if criterion.replay:
        out.print(_plain(f"   See it happen: {criterion.replay}"), soft_wrap=True)
    if criterion.by_hand:
        _wrapped(out, f"Marked by hand: {criterion.by_hand}", "   ")


def _print_repairs(out: Console, notebook: NotebookStory | None) -> None:
    repaired = [cell for cell in notebook.cells if cell.repair] if notebook else []
    if repaired:
        out.print("\nRepaired in the notebook before it ran:")
    for cell in repaired:
        out.print(_plain(f"   cell {cell.id!r}: {cell.repair}"), soft_wrap=True)


def race_lines(races: Sequence[Mapping[str, Any]], folder: Path) -> Iterator[str]:
    """A sentence for each race, and the plot's file under the last that it shows."""
    for i, race in enumerate(races):
        yield printable(describe(race))
        if race["plot"] and race["plot"] not in (later["plot"] for later in races[i + 1 :]):
            yield printable(f"   {folder / race['plot']}")


def _wrapped(out: Console, text: str, first: str = "", style: str = "") -> None:
    """Print `text` after `first`; what is folded on a terminal goes on under its beginning.

    In a file each line stays whole, to be searched, and nothing is filled up with blanks.
    """
    room = max(20, out.width - len(first))
    lines = _plain(text).wrap(out, room) if out.is_terminal else _plain(text).split()
    for line in lines:
        line.rstrip()
        out.print(_plain(first) + line, style=style, soft_wrap=True)
        first = " " * len(first)


def _plain(text: str) -> Any:
    from rich.text import Text

    return Text(printable(text))


def _judged(criterion: Mapping[str, Any]) -> bool:
    return was_judged(criterion["outcome"], criterion.get("message") or "")


def _next_command(mode: str, module: Module, report: dict[str, Any], step: NextStep) -> str:
    if mode == "submit":
        return step.command
    if not succeeded(mode, module, report):
        missed = {
            shown_outcome(c["outcome"], c.get("message") or "")
            for c in report["criteria"]
            if _judged(c)
        }
        verb = "write" if missed - {"passed", "blocked"} == {"not_written"} else "mend"
        return f"{verb} {module.exercise}, then meridian {mode} {module.key}"
    if mode == "check":
        return f"meridian bench {module.key}, or meridian submit {module.key}"
    return f"meridian submit {module.key}"
