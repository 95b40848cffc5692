"""The headline of a report: how it went as a whole, and what is missing to pass."""

from __future__ import annotations

from meridian.academy.curriculum import Capstone
from meridian.academy.outcomes import progress_sentence, was_judged
from meridian.academy.widgets.report import CriterionVerdict, Verdict

__all__ = ["headline", "whole"]

_QUOTED = 120


def _counted(verdict: Verdict) -> list[CriterionVerdict]:
    """Criteria that were judged; a bonus has a name, not a number."""
    return [c for c in verdict.criteria if c.id.isdigit() and was_judged(c.outcome, c.message)]


def whole(verdict: Verdict) -> str:
    """Nothing left to mend, something wrong, or nothing begun that could be right or wrong."""
    if not verdict.judged:
        return "not_run"
    shown = {c.shown for c in _counted(verdict)}
    good = verdict.passed if verdict.mode == "submit" else shown == {"passed"}
    if good:
        return "passed"
    begun = shown - {"blocked"} != {"not_written"}
    return "failed" if begun else "not_written"


def headline(verdict: Verdict, capstone: Capstone | None) -> tuple[str, str]:
    """The verdict in one sentence, and in another what is missing."""
    points = f"{verdict.score:g} of {verdict.max_score:g} points"
    if not verdict.judged:
        return "Not judged", "This attempt does not count" if verdict.mode == "submit" else ""
    if verdict.mode != "submit":
        verb = "Checked" if verdict.mode == "check" else "Raced"
        shown = [c.shown for c in _counted(verdict)]
        return progress_sentence(verb, shown, f"{points} so far"), ""
    if verdict.bonus:
        points += f" with a bonus of {verdict.bonus:g}"
    if verdict.passed:
        return f"Passed: {points}", ""
    needed = f"{capstone.pass_mark} points" if capstone else "The pass mark"
    trouble = _notebook_trouble(verdict)
    if not trouble:
        return f"Not passed: {points}", f"{needed} and every required criterion are needed"
    if capstone is not None and _would_pass(verdict, capstone):
        return f"Not passed: the notebook {trouble}. The rest would do: {points}", ""
    return f"Not passed: {points}", (
        f"{needed}, every required criterion and a notebook that runs are needed. "
        f"The notebook {trouble}"
    )


def _would_pass(verdict: Verdict, capstone: Capstone) -> bool:
    """Whether points and required criteria are enough: only the notebook is missing."""
    outcomes = {c.id: c.outcome for c in verdict.criteria}
    enough = verdict.score * 100 >= capstone.pass_mark * verdict.max_score
    return enough and all(outcomes.get(c.id) == "passed" for c in capstone.criteria if c.required)


def _notebook_trouble(verdict: Verdict) -> str:
    """What is wrong with the notebook, with its first cell that is, in half a sentence."""
    if verdict.notebook.outcome in ("passed", "not_run"):
        return ""
    bad = [c for c in verdict.notebook.cells if c.outcome not in ("passed", "not_run")]
    if not bad:
        return "does not run from top to bottom"
    where = f" in cell {bad[0].id!r}" if bad[0].id else ""
    lines = bad[0].message.strip().splitlines()
    said = f" ({_short(lines[-1])})" if lines else ""
    return f"does not run from top to bottom{where}{said}"


def _short(line: str) -> str:
    """As much of `line` as fits into a sentence; the whole stands with its cell."""
    return line if len(line) <= _QUOTED else f"{line[:_QUOTED].rstrip()} ..."
