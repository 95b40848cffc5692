"""Finding the author's cells again in what became of the notebook.

Learners and their tools copy, split, merge, retype, delete and renumber cells. A submitted cell
is recognised by its id, then by nbgrader's ``grade_id``, then by its content. What the author
wrote runs as the author wrote it, so only the learner's answers must be found. An answer that can
be read in one way only is used, and `Step.repair` says what was done; where two readings are
possible none is taken, and `Step.problem` says so.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from grader.notebooks.cellcode import (
    Master,
    as_python,
    bound_names,
    is_python,
    lines,
    needed_names,
    without_measuring,
)
from grader.notebooks.matching import Matched, cut_out, match
from grader.notebooks.salvage import Cell, Salvaged

__all__ = ["MasterCell", "Plan", "Step", "plan"]

_BUILTINS = frozenset(dir(builtins)) | {"display", "get_ipython", "__name__"}
_TELLING_CHARS = 8  # a line shorter than this may stand anywhere


class MasterCell(msgspec.Struct, frozen=True, kw_only=True):
    """One cell as the author wrote it. `theirs`: the learner fills it in."""

    id: str
    kind: str
    source: str
    theirs: bool = False
    cell: dict[str, Any] = {}


class Step(msgspec.Struct, kw_only=True):
    """What to run for one code cell of the author. With a `problem`, nothing."""

    master: MasterCell
    sources: list[str] = []
    repair: str = ""
    problem: str = ""


class Plan(msgspec.Struct):
    """The steps in the author's order; `notes` are about the file as a whole."""

    steps: list[Step]
    notes: list[str]


def plan(masters: Sequence[MasterCell], submitted: Salvaged) -> Plan:
    """What to run for each code cell of `masters`, given the cells that were submitted."""
    found = match(masters, submitted.cells)
    notes = list(submitted.notes)
    if found.reordered:
        notes.append("its cells stood in another order: they run in the author's")
    steps, answers = [], _Answers(found)
    for master in masters:
        if master.kind == "code":
            step = answers.step(master) if master.theirs else _authors_step(master, found)
            steps.append(step)
    if idle := answers.idle():
        many = "cell of its own is" if idle == 1 else "cells of its own are"
        notes.append(f"{idle} {many} not run: no answer uses what they give")
    return Plan(steps, notes)


def _authors_step(master: MasterCell, found: Matched) -> Step:
    step = Step(master=master, sources=[master.source])
    claims = found.claims[master.id]
    if not claims:
        step.repair = "missing: restored"
    elif all(lines(cell.source) != lines(master.source) for cell in claims):
        step.repair = "changed: it runs as the author wrote it"
    elif all(cell.kind != "code" for cell in claims):
        step.repair = f"made {claims[0].kind}: it runs as the code it was"
    elif len(claims) > 1:
        step.repair = f"there {len(claims)} times: it runs once"
    return step


class _Answers:
    """The learner's cells, and the further cells of theirs that an answer cannot do without."""

    def __init__(self, found: Matched) -> None:
        self._found = found
        self._own = [c for c in found.unclaimed if c.kind == "code" and c.source.strip()]
        self._used: set[int] = set()

    def idle(self) -> int:
        """How many of the learner's own cells no answer needs."""
        return len({cell.number for cell in self._own} - self._used)

    def step(self, master: MasterCell) -> Step:
        """The answer to `master`, or why there is none."""
        step, facts = Step(master=master), Master(master.source)
        cells, step.repair = self._versions(master)
        elsewhere = ""
        if not any(facts.own_lines(cell.source) for cell in cells):
            moved = self._by_content(master, facts)
            if moved:
                cells = moved
                elsewhere = f"found by what it says, in cell {_numbers(moved)}"
        if not cells:
            return self._merged_elsewhere(step, facts)
        chosen, said, step.problem = _choose(cells, facts)
        step.repair = "; ".join(filter(None, (step.repair, elsewhere, said)))
        if step.problem:
            return step
        self._used |= {cell.number for cell in chosen}
        if not any(facts.own_lines(cell.source) for cell in chosen):
            asked = "; ".join(facts.said) or "this cell stands as it was given"
            step.problem = f"Not written yet: {asked}"
            return step
        more = self._needed(chosen, facts)
        if more:
            step.repair = "; ".join(filter(None, (step.repair, f"with cell {_numbers(more)}")))
        step.sources, told = _sources(sorted([*chosen, *more], key=lambda c: c.number), facts)
        step.repair = "; ".join(filter(None, (step.repair, told)))
        return step

    def _versions(self, master: MasterCell) -> tuple[list[Cell], str]:
        """The cells that claim to be this one, without the author's cells merged into them."""
        cells, merged = [], []
        for cell in self._found.claims[master.id]:
            source = cell.source
            for other in self._found.missing_authors:
                rest = cut_out(other.source, source)
                if rest is not None and len("".join(lines(other.source))) >= _TELLING_CHARS:
                    source = rest
                    merged.append(other.id)
            cells.append(msgspec.structs.replace(cell, source=source))
        return cells, f"merged with {', '.join(merged)}: taken apart" if merged else ""

    def _by_content(self, master: MasterCell, facts: Master) -> list[Cell]:
        """Cells without a name that hold all the author's lines, or give what is asked for."""
        telling = sum(map(len, facts.fixed)) > _TELLING_CHARS
        low, high = self._found.between(master)

        def fits(cell: Cell) -> bool:
            if facts.has_stub(cell.source) and any(text in cell.source for text in facts.said):
                return True
            if telling and facts.kept(cell.source) == sum(facts.fixed.values()):
                return True
            names = facts.answer_names
            return bool(low <= cell.number <= high and names) and names <= bound_names(cell.source)

        found = [cell for cell in self._found.unclaimed if fits(cell)]
        code = [cell for cell in found if cell.kind == "code"]
        return code or found

    def _needed(self, chosen: Sequence[Cell], facts: Master) -> list[Cell]:
        """Further cells of the learner that give the answer its names, or hold the author's lines.

        Only these run: an experiment elsewhere must not disturb what is judged.
        """
        have = self._found.author_names | _BUILTINS
        wanted = set(facts.answer_names)
        lost = {line for line in facts.fixed if len(line) >= _TELLING_CHARS}
        takes, more, left = list(chosen), [], [c for c in self._own if c not in chosen]
        while takes:
            for cell in takes:
                have |= bound_names(cell.source)
                wanted |= needed_names(cell.source)
                lost -= set(lines(cell.source))
            takes = [
                cell
                for cell in left
                if bound_names(cell.source) & (wanted - have) or lost & set(lines(cell.source))
            ]
            left = [cell for cell in left if cell not in takes]
            more += takes
        self._used |= {cell.number for cell in more}
        return more

    def _merged_elsewhere(self, step: Step, facts: Master) -> Step:
        """Two answers in one cell: the other one runs it."""
        for name in self._found.answers:
            for cell in self._found.claims[name] if name != step.master.id else ():
                whole = sum(facts.fixed.values())
                kept = whole and facts.kept(cell.source) == whole
                given = facts.answer_names and facts.answer_names <= bound_names(cell.source)
                if kept or given:
                    step.repair = f"merged into {name}, and runs there"
                    step.sources = [facts.tail] if facts.tail else ["pass"]
                    return step
        step.problem = "This cell is missing"
        return step


def _choose(cells: list[Cell], facts: Master) -> tuple[list[Cell], str, str]:
    """Which of several cells for one answer run; what was put right; or the problem."""
    versions: dict[tuple[str, ...], Cell] = {}
    for cell in cells:
        kept = versions.get(lines(cell.source))
        if kept is None or (kept.kind != "code" and cell.kind == "code"):
            versions[lines(cell.source)] = cell
    written = [cell for cell in versions.values() if facts.own_lines(cell.source)]
    written = [cell for cell in written if cell.kind == "code"] or written
    if not written:
        return list(versions.values())[:1], "", ""
    # A piece may hold nothing but lines of the author's, which the others then lack.
    pieces = [c for c in versions.values() if c in written or not facts.has_stub(c.source)]
    pieces = [cell for cell in pieces if cell.kind == "code" and cell.source.strip()]
    if len(pieces) > 1 and _are_parts(pieces, facts):
        return pieces, f"split into cells {_numbers(pieces)}: run in this order", ""
    if len(written) > 1:
        problem = (
            f"There are {len(written)} different versions of this cell (cells "
            f"{_numbers(written)} of the notebook): keep one"
        )
        return [], "", problem
    chosen = written[0]
    said = ""
    if len(cells) > 1:
        said = f"there {len(cells)} times"
        if len(versions) == 1:
            said += ", all alike"
        else:
            said += f": cell {chosen.number}, the one that was changed, is used"
    if chosen.kind != "code":
        if not is_python(chosen.source):
            return [], "", f"This cell was made {chosen.kind} and is not Python: make it code again"
        said = "; ".join(filter(None, (said, f"made {chosen.kind}: run as the code it is")))
    return [chosen], said, ""


def _are_parts(cells: Sequence[Cell], facts: Master) -> bool:
    """Whether the cells are pieces of one answer: no line of the author's and no name is twice."""
    seen: set[str] = set()
    for cell in cells:
        names = {f"name {name}" for name in bound_names(cell.source)}
        kept = {f"line {line}" for line in lines(cell.source) if line in facts.fixed}
        if as_python(cell.source) is None or seen & (names | kept):
            return False
        seen |= names | kept
    return True


def _sources(cells: Sequence[Cell], facts: Master) -> tuple[list[str], str]:
    """What to run: the learner's cells, then the author's last lines as they were."""
    told = []
    sources = [without_measuring(cell.source) for cell in cells]
    if any(source != cell.source for source, cell in zip(sources, cells, strict=True)):
        told.append("a magic that only measures was left out")
    if facts.tail:
        sources[-1], whole = facts.without_tail(sources[-1])
        sources = [*(source for source in sources if source.strip()), facts.tail]
        if not whole:
            told.append("the author's last lines were changed: they run as they were")
    return sources, "; ".join(told)


def _numbers(cells: Iterable[Cell]) -> str:
    numbers = sorted({cell.number for cell in cells})
    if len(numbers) == 1:
        return str(numbers[0])
    return ", ".join(map(str, numbers[:-1])) + f" and {numbers[-1]}"
