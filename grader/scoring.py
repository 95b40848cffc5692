"""From the verdicts of single tests to points: what a report says about each criterion."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from grader.judging.verdict import Verdict, sentence
from grader.points import total
from grader.report import CriterionReport, Mode, Outcome
from meridian.academy.curriculum import Capstone, Criterion
from meridian.academy.outcomes import NOT_JUDGED

__all__ = ["Score", "is_judged", "score"]

_MAX_MESSAGES = 3


class Score(msgspec.Struct, frozen=True):
    """The part of a report that is about points; bonus entries come last in `criteria`."""

    criteria: list[CriterionReport]
    points: float
    max_points: float
    bonus: float
    passed: bool


def is_judged(criterion: Criterion, mode: Mode) -> bool:
    """Whether `mode` judges `criterion`."""
    return mode == "submit" or criterion.benchmark == (mode == "bench")


def score(
    capstone: Capstone,
    mode: Mode,
    verdicts: Sequence[Verdict],
    refusal: tuple[Outcome, str] | None = None,
) -> Score:
    """Points of one job, by `grader.points`, of the criteria that `mode` judges.

    A `refusal` is one cause that stopped everything: the first
    criterion tells it, the others have its outcome and no message.
    """
    entries = {
        criterion.id: _combine(criterion, [v for v in verdicts if v.criterion == criterion.id])
        for criterion in (*capstone.criteria, *capstone.bonus)
    }
    judged = [criterion for criterion in capstone.criteria if is_judged(criterion, mode)]
    if refusal is not None:
        extras = [criterion for criterion in capstone.bonus if is_judged(criterion, mode)]
        _tell(refusal, [entries[criterion.id] for criterion in (*judged, *extras)])
    most = float(sum(criterion.points for criterion in judged))
    points = {name: entry.score for name, entry in entries.items()}
    held = {name: entry.outcome == "passed" for name, entry in entries.items()}
    found = total(capstone, judged, most, points, held)
    return Score([*entries.values()], found.points, most, found.bonus, found.passed)


def _tell(refusal: tuple[Outcome, str], entries: Sequence[CriterionReport]) -> None:
    outcome, message = refusal
    for i, entry in enumerate(entries):
        entry.outcome = outcome
        entry.message = "" if i else message


def _combine(criterion: Criterion, verdicts: list[Verdict]) -> CriterionReport:
    """One line of the report from the tests of one criterion."""
    entry = CriterionReport(id=criterion.id, title=criterion.title, points=criterion.points)
    if not verdicts:
        return entry
    entry.score = round(sum(v.points for v in verdicts if v.outcome == "passed"), 2)
    entry.duration_s = round(sum(v.duration_s for v in verdicts), 3)
    missed = [v for v in verdicts if v.outcome != "passed"]
    failed = [v for v in missed if not v.because]
    entry.outcome = (failed or missed)[0].outcome if missed else "passed"
    messages = [*_told(failed), *_causes(missed, verdicts)]
    more = [f"and {len(messages) - _MAX_MESSAGES} more"] if len(messages) > _MAX_MESSAGES else []
    entry.message = "\n".join([*messages[:_MAX_MESSAGES], *more])
    shown = [v for v in failed if v.counterexample] or [v for v in failed if v.replay]
    if shown:
        entry.counterexample, entry.replay = shown[0].counterexample, shown[0].replay
    return entry


def _told(failed: Sequence[Verdict]) -> list[str]:
    """What each failed test has to say, each cause once: by the first test that met it."""
    first = {v.said or v.message: v.message for v in reversed(failed)}
    return list(dict.fromkeys(first[v.said or v.message] for v in failed))


def _causes(missed: Sequence[Verdict], verdicts: Sequence[Verdict]) -> list[str]:
    """Each cause that kept tests from being run, once; which tests, unless none was run."""
    blocked = [v for v in missed if v.because]
    told = []
    for cause in dict.fromkeys(v.because for v in blocked):
        names = [v.category.rstrip(".") for v in blocked if v.because == cause]
        which = "; ".join(filter(None, names)) if len(blocked) < len(verdicts) else ""
        told.append(sentence(which, f"{NOT_JUDGED} {cause}"))
    return told
