"""A report as a person reads it, in sections of plain text: the one source of what is said.

The card in the notebook, the feedback page and the terminal draw the same `Story`; each makes the
text inert in its own way, because a submission may have written any of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from meridian.academy.curriculum import Capstone
from meridian.academy.outcomes import replay_id, shown_outcome
from meridian.academy.races import describe
from meridian.academy.story_headline import headline, whole
from meridian.academy.story_words import BOXES, CAUSES, NEXT, STOPPED, mark, printable, word
from meridian.academy.widgets.report import CriterionVerdict, Verdict

__all__ = [
    "COMMAND",
    "CellStory",
    "CriterionStory",
    "HandMark",
    "NotebookStory",
    "RaceStory",
    "Story",
    "mark",
    "printable",
    "tell",
    "word",
]


COMMAND = re.compile(r"\bmeridian [a-z]+ [\w/-]+")
"""A command of ours in a sentence, for markup that keeps it together."""


class HandMark(NamedTuple):
    """What a person gave for one criterion."""

    criterion: str
    points: float
    why: str
    author: str


class CriterionStory(msgspec.Struct, frozen=True, kw_only=True):
    """One criterion. `next` says what to do about it, `replay` is a command that shows it."""

    id: str
    title: str
    kind: str
    points: str
    share: float
    outcome: str
    messages: tuple[str, ...] = ()
    counterexample: str = ""
    replay: str = ""
    next: str = ""
    by_hand: str = ""

    @property
    def word(self) -> str:
        return word(self.outcome)

    @property
    def mark(self) -> str:
        return mark(self.outcome)

    @property
    def missed(self) -> bool:
        return self.outcome not in ("passed", "not_run")


class CellStory(NamedTuple):
    """A cell that did not run, or that had to be repaired first."""

    id: str
    outcome: str
    message: str
    repair: str


class NotebookStory(NamedTuple):
    outcome: str
    sentence: str
    cells: tuple[CellStory, ...]


class RaceStory(NamedTuple):
    """Races that share one plot; the sentences are its text alternative too."""

    sentences: tuple[str, ...]
    plot: str


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """All that is to be told. `outcome` is that of the whole, `why` what is missing to pass,
    `cause` what stopped everything, `advice` what to do about that, `verify` a command."""

    title: str
    headline: str
    why: str
    outcome: str
    share: float
    rule: str = ""
    notes: tuple[str, ...] = ()
    cause: str = ""
    advice: str = ""
    criteria: tuple[CriterionStory, ...] = ()
    notebook: NotebookStory | None = None
    races: tuple[RaceStory, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    box: str = ""
    verify: str = ""


def tell(
    verdict: Verdict, capstone: Capstone | None = None, marks: Sequence[HandMark] = ()
) -> Story:
    """What `verdict` says. `capstone` knows what is required and what is a bonus; `marks` are a
    person's, and already in the verdict's points."""
    by_hand = {entry.criterion: entry for entry in marks}
    kinds = _kinds(capstone)
    cause = _cause(verdict)
    said, why = headline(verdict, capstone)
    return Story(
        title=capstone.title if capstone else verdict.capstone,
        headline=said,
        why=why,
        outcome=whole(verdict),
        share=verdict.score / verdict.max_score if verdict.max_score else 0.0,
        rule=_rule(verdict, capstone),
        notes=tuple(_notes(verdict)),
        cause=f"{CAUSES.get(cause.outcome, STOPPED)} {cause.message}" if cause else "",
        advice=NEXT.get(cause.outcome, "") if cause else "",
        criteria=tuple(
            _criterion(c, verdict, kinds, by_hand, told=c is cause) for c in verdict.criteria
        ),
        notebook=_notebook(verdict),
        races=tuple(_races(verdict)),
        facts=tuple(_facts(verdict)),
        box=BOXES.get(verdict.box, ""),
        verify="grader verify-report report.json",
    )


def _kinds(capstone: Capstone | None) -> Mapping[str, str]:
    if capstone is None:
        return {}
    required = {c.id: "required" for c in capstone.criteria if c.required}
    return required | {c.id: "bonus" for c in capstone.bonus}


def _rule(verdict: Verdict, capstone: Capstone | None) -> str:
    if capstone is None or verdict.mode != "submit":
        return ""
    return f"{capstone.pass_mark} points and every required criterion pass"


def _notes(verdict: Verdict) -> Iterator[str]:
    facts = verdict.environment
    if facts.get("races") == "those of the attempt":
        yield "Judged again; the races are those of the first time."
    reason = facts.get("box_reason")
    if reason and verdict.box not in ("bwrap", "none"):
        yield f"No better box here: {reason}"


def _cause(verdict: Verdict) -> CriterionVerdict | None:
    """What stopped everything before it began: the first criterion tells it, no other does."""
    told = [c for c in verdict.criteria if c.outcome != "not_run"]
    first, others = (told[0], told[1:]) if told else (None, [])
    if first is None or first.outcome == "passed" or not (first.message and others):
        return None
    alike = all(c.outcome == first.outcome and not c.message for c in others)
    return first if alike else None


def _criterion(
    entry: CriterionVerdict,
    verdict: Verdict,
    kinds: Mapping[str, str],
    by_hand: Mapping[str, HandMark],
    *,
    told: bool,
) -> CriterionStory:
    """`told`: its message is the cause that stands above all criteria."""
    given = by_hand.get(entry.id)
    score = entry.score if given is None else given.points
    replay = f"meridian replay {replay_id(verdict.seed, entry.id)}" if entry.replay else ""
    return CriterionStory(
        id=entry.id,
        title=entry.title,
        kind=kinds.get(entry.id, ""),
        points=f"{score:g} of {entry.points:g}",
        share=score / entry.points if entry.points else 0.0,
        outcome=entry.shown,
        messages=() if told else tuple(filter(str.strip, entry.message.splitlines())),
        counterexample=entry.counterexample,
        replay=replay,
        next=_next(entry.shown, verdict.capstone, bool(replay)),
        by_hand=f"{given.points:g} points given by {given.author}: {given.why}" if given else "",
    )


def _next(shown: str, capstone: str, replay: bool) -> str:
    if shown in ("passed", "not_run"):
        return ""
    if shown == "failed":
        first = "Run the replay to see it happen, mend it" if replay else "Mend it"
        return f"{first}, then: meridian check {capstone}"
    return NEXT.get(shown, "")


def _notebook(verdict: Verdict) -> NotebookStory | None:
    notebook = verdict.notebook
    if notebook.outcome == "not_run":
        return None
    told = tuple(
        CellStory(cell.id, shown_outcome(cell.outcome, cell.message), cell.message, cell.repair)
        for cell in notebook.cells
        if cell.repair or cell.message or cell.outcome not in ("passed", "not_run")
    )
    count = sum(cell.id != "capstone.ipynb" for cell in notebook.cells)  # that is of the file
    sentence = f"Notebook, {count} cells: {word(notebook.outcome)}"
    return NotebookStory(notebook.outcome, sentence, told)


def _races(verdict: Verdict) -> Iterator[RaceStory]:
    """One sentence for each race; those of one plot together, where its last is told."""
    told: list[str] = []
    races = verdict.benchmarks
    for i, race in enumerate(races):
        told.append(describe(msgspec.to_builtins(race)))
        if not race.plot or race.plot not in (later.plot for later in races[i + 1 :]):
            yield RaceStory(tuple(told), race.plot)
            told.clear()


def _facts(verdict: Verdict) -> Iterator[tuple[str, str]]:
    facts = verdict.environment
    yield "Capstone", verdict.capstone
    if facts.get("learner") not in (None, "local"):
        yield "Learner", str(facts["learner"])
    if verdict.mode == "submit" and "attempt" in facts:
        yield "Attempt", str(facts["attempt"])
    yield "Submission", verdict.submission_sha256[:16] or "not taken in"
    yield "Box", verdict.box
    yield "Seed", verdict.seed
    if verdict.started_at:
        yield "Started", verdict.started_at
        yield "Duration", f"{verdict.duration_s:.1f} s"
