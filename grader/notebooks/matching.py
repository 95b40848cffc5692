"""Which submitted cell is which of the author's: by id, by ``grade_id``, then by content."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from grader.notebooks.cellcode import bound_names, lines
from grader.notebooks.salvage import Cell

if TYPE_CHECKING:
    from grader.notebooks.repair import MasterCell

__all__ = ["Matched", "cut_out", "match"]

_ALIKE = 0.8  # of the lines, for a cell of the author's that lost its name and was edited


class Matched(msgspec.Struct):
    """Submitted cells by the author's cell that they are; the rest, in the order of the file."""

    masters: list[MasterCell]
    claims: dict[str, list[Cell]]
    unclaimed: list[Cell]

    @property
    def answers(self) -> list[str]:
        return [master.id for master in self.masters if master.theirs]

    @property
    def missing_authors(self) -> list[MasterCell]:
        return [m for m in self.masters if not m.theirs and not self.claims[m.id]]

    @property
    def author_names(self) -> frozenset[str]:
        """All names that the author's own cells give a value to."""
        mine = (bound_names(m.source) for m in self.masters if not m.theirs)
        return frozenset().union(*mine)

    @property
    def reordered(self) -> bool:
        at = [self.claims[m.id][0].number for m in self.masters if self.claims[m.id]]
        return any(a > b for a, b in itertools.pairwise(at))

    def between(self, master: MasterCell) -> tuple[float, float]:
        """The numbers of the author's nearest cells before and after `master`, as submitted."""
        at = self.masters.index(master)
        before = [c.number for m in self.masters[:at] for c in self.claims[m.id] if not m.theirs]
        after = [c.number for m in self.masters[at + 1 :] for c in self.claims[m.id][:1]
                 if not m.theirs]  # fmt: skip
        low = float(before[-1]) if before else float("-inf")
        high = float(after[0]) if after else float("inf")
        return (low, high) if before or after else (0.0, 0.0)


def match(masters: Sequence[MasterCell], cells: Sequence[Cell]) -> Matched:
    """Recognise `cells`; cells of the author's text are left aside."""
    code = [master for master in masters if master.kind == "code"]
    texts = {master.id: master for master in masters if master.kind != "code"}
    found = Matched(code, {master.id: [] for master in code}, [])
    for cell in cells:
        name = next((n for n in (cell.id, cell.grade_id) if n in found.claims), None)
        if name is not None:
            found.claims[name].append(cell)
        elif cell.id in texts and (
            cell.kind != "code" or lines(cell.source) == lines(texts[cell.id].source)
        ):
            continue
        elif cell.source.strip():
            found.unclaimed.append(cell)
    _by_content(found)
    _set_free(found)
    return found


def _by_content(found: Matched) -> None:
    """Cells of the author's that lost their names: the same lines, or nearly."""
    authors = [master for master in found.masters if not master.theirs]
    same = {lines(master.source): master.id for master in authors}
    left = []
    for cell in found.unclaimed:
        name = same.get(lines(cell.source))
        if name is None:
            left.append(cell)
        elif not found.claims[name]:
            found.claims[name].append(cell)  # further ones are copies: nothing of the learner's
    found.unclaimed = []
    for cell in left:
        missing = found.missing_authors
        likeness = [_likeness(master.source, cell.source) for master in missing]
        best = max(likeness, default=0.0)
        if best >= _ALIKE and likeness.count(best) == 1:
            found.claims[missing[likeness.index(best)].id].append(cell)
        else:
            found.unclaimed.append(cell)


def _set_free(found: Matched) -> None:
    """What was merged into a cell of the author's is a cell of the learner's."""
    for master in found.masters:
        for cell in () if master.theirs else found.claims[master.id]:
            rest = cut_out(master.source, cell.source)
            if rest and rest.strip():
                found.unclaimed.append(msgspec.structs.replace(cell, source=rest))
    found.unclaimed.sort(key=lambda cell: cell.number)


def _likeness(mine: str, theirs: str) -> float:
    ours, others = Counter(lines(mine)), Counter(lines(theirs))
    together = sum(ours.values()) + sum(others.values())
    return 2 * sum((ours & others).values()) / together if together else 0.0


def cut_out(part: str, whole: str) -> str | None:
    """`whole` without the consecutive lines of `part`; ``None`` where they are not in it."""
    wanted = lines(part)
    said = [(i, line.strip()) for i, line in enumerate(whole.splitlines()) if line.strip()]
    texts = tuple(text for _, text in said)
    if not wanted or len(texts) < len(wanted):
        return None
    for start in range(len(texts) - len(wanted) + 1):
        if texts[start] == wanted[0] and texts[start : start + len(wanted)] == wanted:
            first, last = said[start][0], said[start + len(wanted) - 1][0]
            kept = whole.splitlines()
            return "\n".join([*kept[:first], *kept[last + 1 :]]).strip("\n")
    return None
