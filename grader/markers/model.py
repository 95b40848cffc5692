"""What an assignment consists of, whichever grader it was written for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from meridian.errors import MeridianError

__all__ = [
    "Assignment",
    "BadAssignment",
    "Cell",
    "Check",
    "Loss",
    "Question",
    "is_marked",
    "load_cells",
    "regions",
]

MAX_BYTES = 64 << 20


class BadAssignment(MeridianError, ValueError):
    """A master notebook that cannot be read: which cell, which of its lines (0: all), why."""

    def __init__(self, path: Path, cell: str, line: int, reason: str) -> None:
        self.path = path
        self.cell = cell
        self.line = line
        self.reason = reason
        where = f", cell {cell}" * bool(cell) + f", line {line}" * bool(line)
        super().__init__(f"{path}{where}: {reason}")


class Cell(msgspec.Struct, kw_only=True):
    """One cell of the master as it was read. `number` counts from 1.

    `question` is the criterion that an answer is most likely for: the next one below it.
    """

    name: str
    kind: str
    source: str
    number: int
    question: int = 0
    metadata: dict[str, Any] = {}
    outputs: list[dict[str, Any]] = []
    attachments: dict[str, Any] = {}


class Check(msgspec.Struct, kw_only=True):
    """One test: the statements of `body`. A `problem` says why they cannot run as they are."""

    name: str
    body: str
    points: float
    hidden: bool = False
    message: str = ""
    problem: str = ""


class Question(msgspec.Struct, kw_only=True):
    """What becomes one criterion."""

    name: str
    checks: list[Check] = []

    @property
    def points(self) -> float:
        return sum(check.points for check in self.checks)


class Loss(msgspec.Struct, frozen=True):
    """Something that was not carried over, and what the author may do about it."""

    where: str
    what: str
    advice: str


class Assignment(msgspec.Struct, kw_only=True):
    """What was read.

    `cells` are the capstone notebook's, answers between our markers. `code` is what the package
    is made of, by cell: the author's code and the answers, in order; of an answer without
    markers the whole is the answer.
    """

    title: str
    kind: str
    cells: list[Cell] = []
    code: list[tuple[Cell, bool]] = []
    questions: list[Question] = []
    losses: list[Loss] = []

    def lose(self, where: str, what: str, advice: str) -> None:
        self.losses.append(Loss(where, what, advice))


def load_cells(path: Path) -> tuple[list[Cell], dict[str, Any]]:
    """The cells and the metadata of the notebook at `path`; each cell gets a name of its own.

    Raises `BadAssignment`, `OSError`.
    """
    if path.stat().st_size > MAX_BYTES:
        raise BadAssignment(path, "", 0, f"larger than {MAX_BYTES} bytes; clear its outputs")
    try:
        notebook = json.loads(path.read_bytes())
        found = [_cell(cell, n) for n, cell in enumerate(notebook["cells"], 1)]
        metadata = notebook.get("metadata", {})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"not a notebook of format 4 ({type(error).__name__}); save it in JupyterLab"
        raise BadAssignment(path, "", 0, reason) from None
    if not isinstance(metadata, dict):
        metadata = {}
    language = metadata.get("language_info", {}).get("name", "python")
    if language not in ("python", "ipython"):
        raise BadAssignment(path, "", 0, f"its language is {language}; only Python can be judged")
    names: set[str] = set()
    for cell in found:
        while cell.name in names:
            cell.name += "-copy"
        names.add(cell.name)
    return found, metadata


def _cell(cell: dict[str, Any], number: int) -> Cell:
    metadata = cell.get("metadata", {})
    nbgrader = metadata.get("nbgrader", {})
    source = cell["source"]
    return Cell(
        name=str(nbgrader.get("grade_id") or cell.get("id") or f"cell-{number}"),
        kind=str(cell["cell_type"]),
        source="".join(source) if isinstance(source, list) else str(source),
        number=number,
        metadata=dict(metadata),
        outputs=list(cell.get("outputs", [])),
        attachments=dict(cell.get("attachments", {})),
    )


def regions(path: Path, cell: Cell, begin: str, end: str) -> Iterator[tuple[int, str, bool, bool]]:
    """``(number, line, inside, marker)`` for each line of the cell.

    Raises `BadAssignment`, naming cell and line, for markers that are nested or left open.
    """
    opened = 0
    for number, line in enumerate(cell.source.splitlines(), 1):
        if begin in line:
            if opened:
                reason = f"{begin} inside the region of line {opened}"
                raise BadAssignment(path, cell.name, number, reason)
            opened = number
            yield number, line, True, True
        elif end in line:
            if not opened:
                raise BadAssignment(path, cell.name, number, f"{end} without {begin}")
            opened = 0
            yield number, line, True, True
        else:
            yield number, line, bool(opened), False
    if opened:
        raise BadAssignment(path, cell.name, opened, f"{begin} without {end}")


def is_marked(source: str) -> bool:
    """Whether the cell says with our markers what the answer is."""
    return "### BEGIN SOLUTION" in source
