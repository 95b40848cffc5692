"""The capstone notebook: the author's cells around the learner's, run from top to bottom.

Cells are matched by id. What the author wrote is restored from the master before it runs, so a
learner's edit to a driver cell, or a comparison directive in a learner's cell, changes nothing.
The outputs of driver cells are compared with those saved in the master.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from grader.boxed_kernel import BoxedKernel, Ran
from grader.outputs import difference, directives
from grader.report import CellReport, NotebookReport, Outcome
from grader.workers import Workshop, library_folders

__all__ = ["judge_notebook"]

_BEGIN_SOLUTION = "### BEGIN SOLUTION"
_MAX_MESSAGE_CHARS = 1_000


def judge_notebook(
    *,
    master: Path,
    submitted: Path | None,
    workshop: Workshop,
    on_cell: Callable[[int, int], None],
) -> NotebookReport:
    """Run the notebook in a boxed kernel; one entry for each code cell of `master`.

    A dead kernel or a cell over its limit leaves the rest ``not_run``: a partial result.
    """
    cells = [cell for cell in _cells(master.read_bytes()) if cell["cell_type"] == "code"]
    try:
        theirs = {} if submitted is None else _by_id(_cells(submitted.read_bytes()))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        return _nothing_ran(f"capstone.ipynb is not a notebook ({type(error).__name__})")
    if submitted is None:
        return _nothing_ran("capstone.ipynb is missing")
    entries: list[CellReport] = []
    deadline = time.monotonic() + workshop.limits.notebook_s
    with BoxedKernel(workshop.other(workshop.code, library_folders())) as kernel:
        if kernel.started.outcome != "passed":
            return _nothing_ran(kernel.started.message, kernel.started.outcome)
        for cell in cells:
            on_cell(len(entries) + 1, len(cells))
            if kernel.alive and time.monotonic() < deadline:
                entries.append(_judge_cell(kernel, cell, theirs))
            else:
                entries.append(CellReport(id=_id(cell), outcome="not_run"))
    judged = [entry.outcome for entry in entries if entry.outcome not in ("passed", "not_run")]
    if judged:
        return NotebookReport(outcome=judged[0], cells=entries)
    finished = time.monotonic() < deadline
    return NotebookReport(outcome="passed" if finished else "timeout", cells=entries)


def _judge_cell(
    kernel: BoxedKernel, cell: dict[str, Any], theirs: dict[str, dict[str, Any]]
) -> CellReport:
    entry = CellReport(id=_id(cell), outcome="passed")
    marks = directives(cell)
    if "skip" in marks:
        entry.outcome = "not_run"
        return entry
    source, is_theirs = _source(cell), _is_solution(cell)
    if is_theirs:
        if entry.id not in theirs:
            entry.outcome, entry.message = "failed", "This cell is missing"
            return entry
        source = _source(theirs[entry.id])
    start_s = time.monotonic()
    ran = kernel.run(source)
    entry.duration_s = round(time.monotonic() - start_s, 3)
    compared = not is_theirs and not marks & {"ignore", "raises"}
    entry.outcome, entry.message = _verdict(ran, "raises" in marks, compared, cell)
    entry.message = entry.message[:_MAX_MESSAGE_CHARS]
    return entry


def _verdict(
    ran: Ran, must_raise: bool, compared: bool, cell: dict[str, Any]
) -> tuple[Outcome, str]:
    if ran.outcome != "passed":
        return ran.outcome, ran.message
    if ran.error and not must_raise:
        return "error", ran.error
    if must_raise and not ran.error:
        return "failed", "This cell must raise an exception"
    found = difference(ran.outputs, cell.get("outputs", ())) if compared else None
    return ("passed", "") if found is None else ("failed", f"The output differs: {found}")


def _nothing_ran(message: str, outcome: Outcome = "failed") -> NotebookReport:
    return NotebookReport(
        outcome=outcome, cells=[CellReport(id="", outcome=outcome, message=message)]
    )


def _cells(text: bytes) -> list[dict[str, Any]]:
    cells = json.loads(text)["cells"]
    if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
        raise ValueError("no list of cells")
    return cells


def _by_id(cells: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Code cells by id; of a duplicate, the first (copies are made below their original)."""
    found: dict[str, dict[str, Any]] = {}
    for cell in cells:
        if cell.get("cell_type") == "code":
            found.setdefault(_id(cell), cell)
    return found


def _id(cell: dict[str, Any]) -> str:
    """nbgrader's id where there is one: editors keep it when they renumber cells."""
    metadata = cell.get("metadata")
    nbgrader = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    named = nbgrader.get("grade_id") if isinstance(nbgrader, dict) else None
    return str(named or cell.get("id", ""))


def _source(cell: dict[str, Any]) -> str:
    source = cell.get("source", "")
    return "".join(map(str, source)) if isinstance(source, list) else str(source)


def _is_solution(cell: dict[str, Any]) -> bool:
    """Whether the learner fills this cell in."""
    nbgrader = cell.get("metadata", {}).get("nbgrader", {})
    return bool(nbgrader.get("solution")) or _BEGIN_SOLUTION in _source(cell)
