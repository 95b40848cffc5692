"""A report as a person reads it on a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from meridian.academy.curriculum import Module
    from meridian.academy.progress import NextStep

__all__ = ["print_verdict", "printable", "succeeded"]

_STYLES = {"passed": "green", "not_run": "dim"}


def succeeded(mode: str, report: dict[str, Any]) -> bool:
    """A submission must have passed; a check or race, every criterion that it judged."""
    if mode == "submit":
        return bool(report["passed"])
    judged = [c["outcome"] for c in report["criteria"] if c["outcome"] != "not_run"]
    return bool(judged) and all(outcome == "passed" for outcome in judged)


def print_verdict(
    out: Console, mode: str, module: Module, report: dict[str, Any], folder: Path, step: NextStep
) -> None:
    """The verdict in one sentence, a table of criteria, the files, and the next command."""
    from rich.table import Table

    out.print(_headline(mode, report, module.capstone.pass_mark), style="bold", markup=False)
    table = Table(box=None, pad_edge=False)
    table.add_column("#")
    table.add_column("Criterion", ratio=2, overflow="fold")
    table.add_column("Points", justify="right", no_wrap=True)
    table.add_column("Outcome", no_wrap=True)
    table.add_column("What happened", ratio=3, overflow="fold")
    required = {c.id for c in module.capstone.criteria if c.required}
    for criterion in report["criteria"]:
        outcome = criterion["outcome"]
        style = _STYLES.get(outcome, "red")
        must = " *" if criterion["id"] in required else ""
        table.add_row(
            printable(criterion["id"]),
            _plain(criterion["title"] + must),
            f"{criterion['score']:g} of {criterion['points']:g}",
            f"[{style}]{outcome.replace('_', ' ')}[/{style}]",
            _plain(_story(criterion)),
        )
    out.print(table)
    if required:
        out.print("* required to pass", style="dim", highlight=False)
    for race in report.get("benchmarks") or ():
        out.print(_race(race), markup=False, soft_wrap=True)
    out.print(
        f"Judged in box {report['box']!r}, seed {report['seed']}.", markup=False, soft_wrap=True
    )
    out.print()
    feedback = folder / "feedback.html"
    shown = feedback if feedback.exists() else folder / "report.json"
    out.print(f"Feedback: {shown}", markup=False, soft_wrap=True)
    out.print(
        f"Next:     {_next_command(mode, module, report, step)}", markup=False, soft_wrap=True
    )


def printable(text: object) -> str:
    """`text` without the control characters by which a submission could steer the terminal."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode()
        for c in str(text)
    )


def _plain(text: str) -> Any:
    from rich.text import Text

    return Text(printable(text))


def _story(criterion: dict[str, Any]) -> str:
    parts = [criterion.get("message") or ""]
    if criterion.get("counterexample"):
        parts.append(f"Smallest input that shows it:\n{criterion['counterexample']}")
    return "\n".join(part for part in parts if part)


def _headline(mode: str, report: dict[str, Any], pass_mark: int) -> str:
    criteria = [c for c in report["criteria"] if c["outcome"] != "not_run"]
    good = sum(c["outcome"] == "passed" for c in criteria)
    points = f"{report['score']:g} of {report['max_score']:g} points"
    if mode != "submit":
        verb = "Checked" if mode == "check" else "Raced"
        return f"{verb}: {good} of {len(criteria)} criteria passed, {points} so far"
    if report["bonus"]:
        points += f", {report['bonus']:g} of them bonus"
    if report["passed"]:
        return f"Passed: {points}"
    return f"Not passed: {points}; {pass_mark} and every required criterion are needed"


def _race(race: dict[str, Any]) -> str:
    ratio = race["ratio"]
    measured = "not measured" if ratio is None else f"{ratio:.2f} times the speed of"
    return printable(f"{race['name']}: {measured} {race['peer']}  (plot: {race['plot']})")


def _next_command(mode: str, module: Module, report: dict[str, Any], step: NextStep) -> str:
    if mode == "submit":
        return step.command
    if not succeeded(mode, report):
        return f"mend {module.exercise}, then meridian {mode} {module.key}"
    if mode == "check":
        return f"meridian bench {module.key}, or meridian submit {module.key}"
    return f"meridian submit {module.key}"
