"""The one attempt of each learner at each capstone that counts, as every export takes it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from grader.records.gradebook_reader import Attempt, GradebookReader
from grader.records.marks import ManualMark
from grader.report import CriterionReport, Report, write_file
from meridian.academy.curriculum import Capstone, UnknownKey, load
from meridian.academy.story import printable

__all__ = ["Graded", "counted", "definitions", "folder_name", "folders_of", "told", "write_results"]


class Graded(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that counts, its latest report, and what people gave for single criteria.

    `used` attempts were judged; where none was, the last one stands here and has no score.
    """

    attempt: Attempt
    report: Report
    marks: tuple[ManualMark, ...]
    used: int
    capstone: Capstone | None

    def points(self, entry: CriterionReport) -> float:
        """The points of one criterion, by hand where a person gave them."""
        by_hand = self.by_hand(entry.id)
        return entry.score if by_hand is None or by_hand.points is None else by_hand.points

    def by_hand(self, criterion: str) -> ManualMark | None:
        return next((mark for mark in self.marks if mark.criterion == criterion), None)

    @property
    def title(self) -> str:
        return self.capstone.title if self.capstone else self.attempt.capstone

    @property
    def bonus_ids(self) -> set[str]:
        return {criterion.id for criterion in self.capstone.bonus} if self.capstone else set()


def counted(
    book: GradebookReader,
    definition: Callable[[str], Capstone | None],
    *,
    learner: str | None = None,
    capstone: str | None = None,
) -> list[Graded]:
    """What counts, by capstone and learner. `definition` finds a capstone by its key."""
    groups: dict[tuple[str, str], list[Attempt]] = {}
    for entry in book.attempts(learner, capstone):
        groups.setdefault((entry.capstone, entry.learner), []).append(entry)
    found = []
    for (key, _), attempts in sorted(groups.items()):
        judged = [entry for entry in attempts if entry.judged]
        best = max(judged, key=lambda e: (e.passed, e.score)) if judged else attempts[-1]
        found.append(
            Graded(
                attempt=best,
                report=book.report(best.receipt),
                marks=tuple(book.manual_marks(best.receipt)),
                used=len(judged),
                capstone=definition(key),
            )
        )
    return found


def definitions(root: Path) -> Callable[[str], Capstone | None]:
    """A capstone of the lab at `root` by its key; ``None`` for one that is not in its index."""
    course = load(root)

    def find(key: str) -> Capstone | None:
        try:
            return course.capstone(key)
        except UnknownKey:
            return None

    return find


def told(graded: Graded, entry: CriterionReport) -> str:
    """What a learner reads of one criterion, as inert plain text."""
    by_hand = graded.by_hand(entry.id)
    parts = [
        entry.message,
        f"Smallest input that shows it:\n{entry.counterexample}" if entry.counterexample else "",
        f"Marked by hand by {by_hand.author}: {by_hand.why}" if by_hand else "",
    ]
    return printable("\n".join(part for part in parts if part))


def folder_name(name: str) -> str:
    """`name` as one folder, whatever is in it: other names give other folders, none leads away."""
    quoted = quote(name, safe=" @+,=()[]")
    return f"%2E{quoted[1:]}" if quoted.startswith(".") else quoted or "%"


def folders_of(graded: Iterable[Graded]) -> dict[str, str]:
    """The folder of each learner. Names that differ by case alone stay apart on any file system.

    Of such names, and of no others, upper-case letters are written as ``%41`` and so on.
    """
    plain = {entry.attempt.learner: folder_name(entry.attempt.learner) for entry in graded}
    alike = Counter(folder.casefold() for folder in plain.values())
    return {
        learner: _without_case(folder) if alike[folder.casefold()] > 1 else folder
        for learner, folder in plain.items()
    }


def _without_case(folder: str) -> str:
    escapes_or_capitals = re.compile(r"%[0-9A-F]{2}|[A-Z]")
    return escapes_or_capitals.sub(
        lambda found: found[0] if found[0][0] == "%" else f"%{ord(found[0]):X}", folder
    )


def write_results(
    graded: list[Graded], out: Path, results: Callable[[Graded], dict[str, Any]]
) -> list[Path]:
    """One ``<capstone>/<learner>/results.json`` below `out` for each of `graded`."""
    paths = []
    folders = folders_of(graded)
    for entry in graded:
        at = entry.attempt
        path = out / folder_name(at.capstone) / folders[at.learner] / "results.json"
        write_file(path, msgspec.json.format(msgspec.json.encode(results(entry)), indent=2) + b"\n")
        paths.append(path)
    return paths
