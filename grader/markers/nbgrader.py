"""Masters of nbgrader: cell metadata (schemas 1 to 3), solution, hidden test and mark regions."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from grader.markers.model import (
    Assignment,
    BadAssignment,
    Cell,
    Check,
    Question,
    is_marked,
    load_cells,
    regions,
)

__all__ = ["looks_like", "read"]

_SOLUTION = ("### BEGIN SOLUTION", "### END SOLUTION")
_HIDDEN = ("### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS")
_MARKS = ("=== BEGIN MARK SCHEME ===", "=== END MARK SCHEME ===")
_MARKS_OLD = ("### BEGIN MARK SCHEME", "### END MARK SCHEME")
_AUTOTEST = re.compile(r"^\s*### (HASHED )?AUTOTEST (?P<what>.*)$")
_KNOWN = {
    "schema_version", "grade", "solution", "locked", "task", "grade_id", "points", "checksum",
    "cell_type",
}  # fmt: skip


def looks_like(cells: list[Cell]) -> bool:
    """Whether any cell carries nbgrader's metadata or markers."""
    return any("nbgrader" in cell.metadata or is_marked(cell.source) for cell in cells)


def read(path: Path) -> Assignment:
    """The assignment in `path`. Raises `BadAssignment` naming cell and line."""
    cells, _ = load_cells(path)
    found = Assignment(title=path.stem, kind="nbgrader")
    names: set[str] = set()
    for cell in cells:
        facts = _facts(path, cell)
        name = facts.get("grade_id")
        if name and name in names:
            raise BadAssignment(path, cell.name, 0, f"grade_id {name!r} is there twice")
        names.add(name or "")
        _take(path, cell, facts, found)
    return found


def _facts(path: Path, cell: Cell) -> dict[str, Any]:
    """nbgrader's metadata of the cell; empty without."""
    facts = cell.metadata.get("nbgrader", {})
    if not isinstance(facts, dict):
        raise BadAssignment(path, cell.name, 0, f"nbgrader metadata is {type(facts).__name__}")
    version = facts.get("schema_version", 3)
    if version not in (1, 2, 3):
        raise BadAssignment(path, cell.name, 0, f"nbgrader schema {version!r}; 1 to 3 are known")
    if unknown := facts.keys() - _KNOWN:
        raise BadAssignment(path, cell.name, 0, f"unknown nbgrader key {min(unknown)!r}")
    points = facts.get("points", 0)
    if not isinstance(points, int | float) or isinstance(points, bool) or not points >= 0:
        raise BadAssignment(path, cell.name, 0, f"points must be 0 or more, not {points!r}")
    return facts


def _take(path: Path, cell: Cell, facts: dict[str, Any], found: Assignment) -> None:
    """Put one cell where it belongs."""
    grade, solution = bool(facts.get("grade")), bool(facts.get("solution"))
    solution = solution or is_marked(cell.source)
    points = float(facts.get("points", 0))
    cell.source = _without(path, cell, _MARKS, found, "mark scheme")
    cell.source = _without(path, cell, _MARKS_OLD, found, "mark scheme")
    hidden = any(inside for _, _, inside, _ in regions(path, cell, *_HIDDEN))
    if hidden and not (grade and not solution):
        line = next(n for n, _, inside, _ in regions(path, cell, *_HIDDEN) if inside)
        raise BadAssignment(path, cell.name, line, "hidden tests outside a test cell")
    list(regions(path, cell, *_SOLUTION))
    if facts.get("task") or (grade and solution):
        advice = "Judge it by hand, or write a criterion that the judge can ask about."
        found.lose(cell.name, f"{points:g} points given by hand", advice)
    if cell.kind == "code" and grade and not solution:
        _test(path, cell, points, found)
    elif cell.kind == "code":
        found.cells.append(cell)
        cell.question = len(found.questions) + 1
        found.code.append((cell, solution))
    else:
        if solution:
            _written_answer(cell, found)
        found.cells.append(cell)


def _test(path: Path, cell: Cell, points: float, found: Assignment) -> None:
    """A test cell: what is public stays in the notebook, all of it goes to the suite."""
    body, public = [], []
    for number, line, inside, marker in regions(path, cell, *_HIDDEN):
        auto = _AUTOTEST.match(line)
        if auto:
            advice = "Write the assertion it stands for: nbgrader makes it from the solution."
            found.lose(f"{cell.name}, line {number}", f"AUTOTEST {auto['what']}", advice)
        elif not marker:
            body.append(line)
            if not inside:
                public.append(line)
    check = Check(name=cell.name, body="\n".join(body).strip("\n"), points=points)
    check.hidden = not "".join(public).strip()
    said = [line for line in body if line.strip() and not line.strip().startswith("#")]
    if not said:
        check.problem = "nothing of the test cell is left"
    if len(said) > 0 and _ends_in_a_value(check.body) and points:
        advice = "Write a test for each part that earns points; each has its own mark."
        found.lose(cell.name, "partial credit by the cell's last value", advice)
    found.questions.append(Question(name=cell.name, checks=[check]))
    cell.source = "\n".join(public).strip("\n")
    if cell.source:
        found.cells.append(cell)


def _ends_in_a_value(body: str) -> bool:
    import ast

    try:
        tree = ast.parse(body)
    except SyntaxError:
        return False
    last = tree.body[-1] if tree.body else None
    return isinstance(last, ast.Expr) and not isinstance(last.value, ast.Call | ast.Constant)


def _written_answer(cell: Cell, found: Assignment) -> None:
    """An answer in prose: the model answer goes out of what learners see."""
    advice = "It is shown as `Your answer here`; nobody but a person can judge it."
    found.lose(cell.name, "a written answer (its model answer is below)", advice + _quoted(cell))
    cell.source = "*Your answer here.*"


def _without(path: Path, cell: Cell, marks: tuple[str, str], found: Assignment, what: str) -> str:
    kept, gone = [], []
    for _, line, inside, marker in regions(path, cell, *marks):
        if not inside:
            kept.append(line)
        elif not marker:
            gone.append(line)
    if gone:
        advice = "Keep it for whoever judges by hand." + _quoted(cell, "\n".join(gone))
        found.lose(cell.name, what, advice)
        return "\n".join(kept)
    return cell.source


def _quoted(cell: Cell, text: str | None = None) -> str:
    lines = (cell.source if text is None else text).strip().splitlines()
    return "\n\n" + "\n".join(f"    {line}".rstrip() for line in lines)
