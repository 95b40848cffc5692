"""Where a cohort stands: who passed what, who is stuck on which criterion, and on what.

Everything comes from the gradebook. A criterion is passed once any judged attempt passed it;
otherwise it stands as the learner's last judged attempt left it. Messages are counted by their
first sentence, which is the category a suite gives to its test: nothing else of a hidden test is
ever in a report.
"""

from __future__ import annotations

import datetime
import functools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from statistics import median
from typing import NamedTuple

import msgspec

from grader.records.gradebook_reader import Attempt, GradebookReader
from meridian.academy.curriculum import Capstone
from meridian.academy.outcomes import NOT_JUDGED, shown_outcome

__all__ = ["Board", "CapstoneBoard", "LearnerRow", "Message", "Stuck", "Tally", "board"]

STUCK_ATTEMPTS = 3
MAX_MESSAGES = 8
_MAX_CATEGORY = 160


class Tally(msgspec.Struct, kw_only=True):
    """How many learners stand where with one criterion."""

    criterion: str
    title: str
    passed: int = 0
    failed: int = 0
    not_written: int = 0
    waiting: int = 0
    """Not judged, because another failure or the mode of judging stands before it."""
    not_submitted: int = 0


class Stuck(msgspec.Struct, frozen=True, kw_only=True):
    """A learner who has not passed a criterion in so many judged attempts."""

    learner: str
    capstone: str
    criterion: str
    title: str
    attempts: int
    last_at: str
    says: str


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What several learners were told last, by category."""

    criterion: str
    says: str
    learners: int


class CapstoneBoard(msgspec.Struct, kw_only=True):
    """One capstone. `unjudged` learners handed something in, and none of it could be judged."""

    key: str
    title: str
    passed: int
    submitted: int
    unjudged: int
    not_submitted: int
    median_score: float | None
    last_at: str
    criteria: list[Tally]
    stuck: list[Stuck]
    messages: list[Message]


class LearnerRow(msgspec.Struct, frozen=True, kw_only=True):
    """One learner over all capstones."""

    learner: str
    passed: int
    submitted: int
    attempts: int
    stuck: int
    last_at: str


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """The whole cohort at one moment."""

    made_at: str
    learners: list[LearnerRow]
    capstones: list[CapstoneBoard]

    @property
    def stuck(self) -> list[Stuck]:
        """Everyone who is stuck somewhere, those with the most attempts first."""
        found = [stuck for capstone in self.capstones for stuck in capstone.stuck]
        return sorted(found, key=lambda s: (-s.attempts, s.learner, s.capstone, s.criterion))


class _Criterion(msgspec.Struct):
    id: str
    title: str
    outcome: str
    message: str = ""


class _Slim(msgspec.Struct):
    """The part of a report that a board reads: the rest is skipped, which is most of the time."""

    criteria: list[_Criterion]


_DECODER = msgspec.json.Decoder(_Slim)


class _Work:
    """What one learner did at one capstone."""

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []
        self.tries: dict[str, int] = defaultdict(int)
        self.ever: set[str] = set()
        self.last: list[_Criterion] = []

    def add(self, attempt: Attempt, content: bytes) -> None:
        self.attempts.append(attempt)
        if not attempt.judged:
            return
        self.last = _DECODER.decode(content).criteria
        for entry in self.last:
            if entry.outcome == "passed":
                self.ever.add(entry.id)
            elif entry.outcome != "not_run":
                self.tries[entry.id] += 1

    @property
    def judged(self) -> list[Attempt]:
        return [attempt for attempt in self.attempts if attempt.judged]

    @property
    def passed(self) -> bool:
        return any(attempt.passed for attempt in self.judged)

    @property
    def last_at(self) -> str:
        return max(attempt.graded_at for attempt in self.attempts)


def board(
    book: GradebookReader,
    definition: Callable[[str], Capstone | None],
    *,
    roster: Iterable[str] = (),
    capstone: str | None = None,
    stuck_after: int = STUCK_ATTEMPTS,
    now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
) -> Board:
    """The board of everything in `book`, or of one capstone.

    `roster` names learners who may not have handed in anything yet; `definition` finds a capstone
    by its key. A learner is stuck after `stuck_after` judged attempts without passing a criterion.
    Raises `ValueError` when `stuck_after` is below 1.
    """
    if stuck_after < 1:
        raise ValueError(f"Expected at least 1 attempt, got {stuck_after}")
    works: dict[str, dict[str, _Work]] = defaultdict(lambda: defaultdict(_Work))
    names = {name for name in roster if name}
    for attempt, content in book.latest_reports():
        names.add(attempt.learner)
        if capstone is None or attempt.capstone == capstone:
            works[attempt.capstone][attempt.learner].add(attempt, content)
    capstones = [
        _capstone(key, works[key], definition(key), len(names), stuck_after)
        for key in sorted(works)
    ]
    return Board(
        made_at=now().isoformat(timespec="seconds"),
        learners=list(_learners(names, works, capstones)),
        capstones=capstones,
    )


def _capstone(
    key: str, works: dict[str, _Work], definition: Capstone | None, known: int, stuck_after: int
) -> CapstoneBoard:
    judged = {learner: work for learner, work in works.items() if work.judged}
    best = [max(attempt.score for attempt in work.judged) for work in judged.values()]
    tallies = _tallies(judged, definition)
    for tally in tallies.values():
        tally.not_submitted = known - len(judged)
    return CapstoneBoard(
        key=key,
        title=definition.title if definition else key,
        passed=sum(work.passed for work in judged.values()),
        submitted=len(judged),
        unjudged=len(works) - len(judged),
        not_submitted=known - len(works),
        median_score=median(best) if best else None,
        last_at=max(work.last_at for work in works.values()),
        criteria=list(tallies.values()),
        stuck=sorted(_stuck(key, judged, stuck_after), key=lambda s: (-s.attempts, s.learner)),
        messages=_messages(judged.values()),
    )


def _tallies(judged: dict[str, _Work], definition: Capstone | None) -> dict[str, Tally]:
    """One for each criterion, in the course's order; those that only reports know come after."""
    known = (*definition.criteria, *definition.bonus) if definition else ()
    tallies = {c.id: Tally(criterion=c.id, title=c.title) for c in known}
    for work in judged.values():
        for entry in work.last:
            tally = tallies.setdefault(entry.id, Tally(criterion=entry.id, title=entry.title))
            if entry.id in work.ever:
                tally.passed += 1
            elif _read(entry.outcome, entry.message).shown == "not_written":
                tally.not_written += 1
            elif entry.outcome == "not_run":
                tally.waiting += 1
            else:
                tally.failed += 1
    return tallies


def _stuck(key: str, judged: dict[str, _Work], stuck_after: int) -> Iterator[Stuck]:
    for learner, work in judged.items():
        if work.passed:
            continue
        for entry in work.last:
            tries = work.tries[entry.id]
            if entry.id not in work.ever and tries >= stuck_after:
                yield Stuck(
                    learner=learner,
                    capstone=key,
                    criterion=entry.id,
                    title=entry.title,
                    attempts=tries,
                    last_at=work.last_at,
                    says=_said(entry),
                )


def _said(entry: _Criterion) -> str:
    """Where to begin with a learner: the first thing told that is theirs to mend."""
    told = _read(entry.outcome, entry.message)
    if told.shown == "not_written":
        return "Not written yet"
    return next(iter(told.says), "")


def _messages(works: Iterable[_Work]) -> list[Message]:
    """The categories that at least two learners were told last, the most common first. What is
    not written, or waits for another criterion, is counted there and is no mistake."""
    count: dict[tuple[str, str], int] = defaultdict(int)
    for work in works:
        for entry in work.last:
            told_of = _read(entry.outcome, entry.message).shown
            if entry.id not in work.ever and told_of not in ("not_written", "blocked"):
                for says in _read(entry.outcome, entry.message).says:
                    count[entry.id, says] += 1
    common = [
        Message(criterion=criterion, says=says, learners=learners)
        for (criterion, says), learners in count.items()
        if learners > 1
    ]
    return sorted(common, key=lambda m: (-m.learners, m.criterion, m.says))[:MAX_MESSAGES]


class _Told(NamedTuple):
    shown: str
    says: tuple[str, ...]


@functools.lru_cache(maxsize=4096)
def _read(outcome: str, message: str) -> _Told:
    """How an outcome is shown, and the first sentence of each line: what the suite calls the test
    that failed. Kept, because a cohort makes the same mistakes."""
    says: dict[str, None] = {}
    for line in message.splitlines():
        first = line.partition(". ")[0].strip().rstrip(".")
        words = first.split(maxsplit=3)
        counts = len(words) == 3 and words[0] == "and" and words[2] == "more"  # "and 3 more"
        if first and not counts and NOT_JUDGED not in line:
            says[first[:_MAX_CATEGORY]] = None
    return _Told(shown_outcome(outcome, message), tuple(says))


def _learners(
    names: set[str], works: dict[str, dict[str, _Work]], capstones: list[CapstoneBoard]
) -> Iterator[LearnerRow]:
    """Everyone, those who were last seen longest ago first."""
    own: dict[str, list[_Work]] = {name: [] for name in names}
    for group in works.values():
        for learner, work in group.items():
            own[learner].append(work)
    stuck: dict[str, int] = defaultdict(int)
    for entry in (entry for capstone in capstones for entry in capstone.stuck):
        stuck[entry.learner] += 1
    rows = [
        LearnerRow(
            learner=name,
            passed=sum(work.passed for work in done),
            submitted=sum(bool(work.judged) for work in done),
            attempts=sum(len(work.judged) for work in done),
            stuck=stuck[name],
            last_at=max((work.last_at for work in done), default=""),
        )
        for name, done in own.items()
    ]
    yield from sorted(rows, key=lambda row: (row.last_at, row.learner))
