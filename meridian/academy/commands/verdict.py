"""A report as a person reads it on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meridian.academy.outcomes import progress_sentence, shown_outcome

if TYPE_CHECKING:
    from rich.console import Console

    from meridian.academy.curriculum import Module
    from meridian.academy.progress import NextStep

__all__ = ["print_verdict", "printable", "race_lines", "succeeded"]

_STYLES = {"passed": "green", "not_run": "dim", "not_written": "dim"}
_WORDS = {"not_written": "not written yet"}
_CAUSES = {"refused": "Refused, and so nothing was judged:"}
_STOPPED = "Nothing could be judged, one cause stopped everything:"


def succeeded(mode: str, module: Module, report: dict[str, Any]) -> bool:
    """A submission must have passed; a check or race, every criterion it judged but a bonus."""
    if mode == "submit":
        return bool(report["passed"])
    judged = [c["outcome"] for c in _judged(report) if c["id"] not in _bonus_ids(module)]
    return bool(judged) and all(outcome == "passed" for outcome in judged)


def print_verdict(
    out: Console, mode: str, module: Module, report: dict[str, Any], folder: Path, step: NextStep
) -> None:
    """The verdict in one sentence, a table of criteria, what went wrong, and the next command."""
    out.print(_headline(mode, module, report), style="bold", markup=False, soft_wrap=True)
    cause = _one_cause(report)
    if cause is not None:
        out.print(_plain(f"\n{_CAUSES.get(cause['outcome'], _STOPPED)} {cause['message']}"))
    else:
        _print_criteria(out, mode, module, report)
    out.print()
    for line in race_lines(report.get("benchmarks") or (), folder):
        out.print(line, markup=False, soft_wrap=True)
    out.print(
        f"Judged in box {report['box']!r}, seed {report['seed']}.", markup=False, soft_wrap=True
    )
    feedback = folder / "feedback.html"
    page = feedback if feedback.exists() else folder / "report.json"
    out.print(f"Feedback: {page}", markup=False, soft_wrap=True)
    out.print(
        f"Next:     {_next_command(mode, module, report, step)}", markup=False, soft_wrap=True
    )


def _one_cause(report: dict[str, Any]) -> dict[str, Any] | None:
    """What stopped everything before it began: the first criterion tells it, no other does."""
    first, *others = _judged(report) or [{}]
    alike = all(c["outcome"] == first["outcome"] and not c["message"] for c in others)
    stopped = others and alike and first["outcome"] != "passed" and first["message"]
    return first if stopped else None


def _print_criteria(out: Console, mode: str, module: Module, report: dict[str, Any]) -> None:
    out.print(_table(module, _judged(report) if mode == "bench" else report["criteria"]))
    missed = [c for c in _judged(report) if c["outcome"] != "passed"]
    unwritten = [c for c in missed if _shown(c) == "not_written"]
    for criterion in missed:
        if criterion not in unwritten[1:]:  # the next thing to write, not all there is to write
            _print_story(out, criterion)


def printable(text: object) -> str:
    """`text` without the control characters by which a submission could steer the terminal."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode()
        for c in str(text)
    )


def _plain(text: str) -> Any:
    from rich.text import Text

    return Text(printable(text))


def _judged(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [c for c in report["criteria"] if c["outcome"] != "not_run"]


def _shown(criterion: dict[str, Any]) -> str:
    return shown_outcome(criterion["outcome"], criterion.get("message") or "")


def _bonus_ids(module: Module) -> set[str]:
    return {criterion.id for criterion in module.capstone.bonus}


def _table(module: Module, criteria: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    required = {c.id for c in module.capstone.criteria if c.required}
    bonus = _bonus_ids(module)
    table = Table(box=None, pad_edge=False, caption_justify="left")
    table.add_column("#", no_wrap=True)
    table.add_column("Criterion", overflow="fold")
    table.add_column("", no_wrap=True)
    table.add_column("Points", justify="right", no_wrap=True)
    table.add_column("Outcome", no_wrap=True)
    for criterion in criteria:
        kind = "required" if criterion["id"] in required else ""
        outcome = _shown(criterion)
        style = _STYLES.get(outcome, "red")
        table.add_row(
            _plain(criterion["id"]),
            _plain(criterion["title"]),
            "bonus" if criterion["id"] in bonus else kind,
            f"{criterion['score']:g} of {criterion['points']:g}",
            f"[{style}]{_WORDS.get(outcome, outcome.replace('_', ' '))}[/{style}]",
        )
    return table


def _print_story(out: Console, criterion: dict[str, Any]) -> None:
    """Why a criterion was not met, and the smallest input that shows it."""
    from rich.padding import Padding

    out.print()
    out.print(_plain(f"{criterion['id']}  {criterion['title']}"), style="bold")
    if criterion.get("message"):
        out.print(Padding(_plain(criterion["message"]), (0, 0, 0, 3)))
    if criterion.get("counterexample"):
        out.print("   Smallest input that shows it:")
        out.print(Padding(_plain(str(criterion["counterexample"])), (0, 0, 0, 6)))


def _headline(mode: str, module: Module, report: dict[str, Any]) -> str:
    points = f"{report['score']:g} of {report['max_score']:g} points"
    if mode == "submit":
        if report["bonus"]:
            points += f" with a bonus of {report['bonus']:g}"
        if report["passed"]:
            return f"Passed: {points}"
        needed = module.capstone.pass_mark
        notebook = _notebook_trouble(report)
        if not notebook:
            return f"Not passed: {points}; {needed} and every required criterion are needed"
        if _would_pass(module, report):
            return f"Not passed: the notebook {notebook}. The rest would do: {points}"
        return (
            f"Not passed: {points}; {needed}, every required criterion and a notebook that runs "
            f"are needed. The notebook {notebook}"
        )
    judged = [_shown(c) for c in _judged(report) if c["id"] not in _bonus_ids(module)]
    verb = "Checked" if mode == "check" else "Raced"
    return progress_sentence(verb, judged, f"{points} so far")


def _would_pass(module: Module, report: dict[str, Any]) -> bool:
    """Whether points and required criteria are enough: only the notebook is missing."""
    outcomes = {c["id"]: c["outcome"] for c in report["criteria"]}
    required = [c.id for c in module.capstone.criteria if c.required]
    enough = report["score"] * 100 >= module.capstone.pass_mark * report["max_score"]
    return enough and all(outcomes.get(key) == "passed" for key in required)


def _notebook_trouble(report: dict[str, Any]) -> str:
    """What is wrong with the notebook, with its first cell that is, in half a sentence."""
    notebook = report.get("notebook") or {}
    if notebook.get("outcome", "not_run") in ("passed", "not_run"):
        return ""
    bad = (c for c in notebook.get("cells", ()) if c["outcome"] not in ("passed", "not_run"))
    cell = next(bad, {"id": "", "message": ""})
    lines = cell["message"].strip().splitlines()
    where = f" in cell {cell['id']!r}" if cell["id"] else ""
    said = f" ({lines[-1]})" if lines else ""
    return printable(f"does not run from top to bottom{where}{said}")


def race_lines(races: Sequence[dict[str, Any]], folder: Path) -> Iterator[str]:
    """A sentence for each race, and the plot's file under the last that it shows."""
    for i, race in enumerate(races):
        ratio = race["ratio"]
        measured = "not measured against" if ratio is None else f"{ratio:.2f} times the speed of"
        yield printable(f"{race['name']}: {measured} {race['peer']}")
        if race["plot"] and race["plot"] not in (later["plot"] for later in races[i + 1 :]):
            yield printable(f"   {folder / race['plot']}")


def _next_command(mode: str, module: Module, report: dict[str, Any], step: NextStep) -> str:
    if mode == "submit":
        return step.command
    if not succeeded(mode, module, report):
        missed = {_shown(c) for c in _judged(report)} - {"passed"}
        verb = "write" if missed == {"not_written"} else "mend"
        return f"{verb} {module.exercise}, then meridian {mode} {module.key}"
    if mode == "check":
        return f"meridian bench {module.key}, or meridian submit {module.key}"
    return f"meridian submit {module.key}"
