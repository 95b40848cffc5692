"""The capstone notebook: the author's cells around the learner's, run from top to bottom.

What the author wrote is restored from the master before it runs, so a learner's edit to a driver
cell, or a comparison directive in a learner's cell, changes nothing. Which submitted cell is the
answer to which of the author's is for `repair` to say. The outputs of driver cells are
compared with those saved in the master.

A cell that takes the kernel with it has its outcome, and the others have theirs: the kernel is
started again, what it had survived runs again without being judged twice, and the rest is judged.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from grader.box.workers import Workshop, library_folders
from grader.notebooks.boxed_kernel import BoxedKernel, Ran
from grader.notebooks.cellcode import BEGIN, bound_names
from grader.notebooks.outputs import difference, directives
from grader.notebooks.repair import MasterCell, Step, plan
from grader.notebooks.salvage import NotANotebook, read_notebook
from grader.report import CellReport, NotebookReport, Outcome

__all__ = ["NotebookRun", "judge_notebook", "master_cells"]

RESTARTS = 3
"""How many cells may take a kernel with them before the rest is not run."""

_FILE = "capstone.ipynb"
_MAX_MESSAGE_CHARS = 1_000
_UNKNOWN_NAME = re.compile(r"NameError: name '(\w+)' is not defined")


def judge_notebook(
    *,
    master: Path,
    submitted: Path | None,
    workshop: Workshop,
    on_cell: Callable[[int, int], None],
) -> NotebookReport:
    """Run the notebook in a boxed kernel; one entry for each code cell of `master`.

    What had to be put right in the file as a whole stands in a first entry of its own.
    """
    with NotebookRun(workshop) as run:
        return run.judge(master=master, submitted=submitted, on_cell=on_cell)


class NotebookRun:
    """One notebook and the kernels it takes.

    `launch` starts the first kernel ahead of time: its start is most of what a notebook costs,
    and another core may pay for it while criteria are judged.
    """

    def __init__(self, workshop: Workshop) -> None:
        # What the package may import, and all that is installed: pictures are drawn here.
        folders = dict.fromkeys((*workshop.extra, *library_folders()))
        self._workshop = workshop.other(workshop.code, tuple(folders))
        self._limits = workshop.limits
        self._kernel: BoxedKernel | None = None

    def __enter__(self) -> NotebookRun:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def launch(self) -> None:
        """Start a kernel and return at once; a kernel that is there stays."""
        if self._kernel is None:
            self._kernel = BoxedKernel(self._workshop).launch()

    def judge(
        self, *, master: Path, submitted: Path | None, on_cell: Callable[[int, int], None]
    ) -> NotebookReport:
        """As `judge_notebook`."""
        if submitted is None:
            return _nothing_ran(f"{_FILE} is missing")
        try:
            cells = read_notebook(submitted.read_bytes())
        except NotANotebook as error:
            return _nothing_ran(str(error))
        planned = plan(master_cells(master), cells)
        self._deadline = time.monotonic() + self._limits.notebook_s
        started = self._started()
        if started.outcome != "passed":
            return _nothing_ran(started.message, started.outcome)
        entries = self._run(planned.steps, on_cell)
        outcome = _outcome(entries, in_time=time.monotonic() < self._deadline)
        if planned.notes:
            note = CellReport(id=_FILE, outcome="passed", repair="; ".join(planned.notes))
            entries = [note, *entries]
        return NotebookReport(outcome=outcome, cells=entries)

    def _run(self, steps: list[Step], on_cell: Callable[[int, int], None]) -> list[CellReport]:
        entries: list[CellReport] = []
        survived: list[Step] = []  # what a new kernel must run before the next cell
        lost: dict[str, str] = {}  # names that a cell did not come to give, and why
        restarts_left, stopped = RESTARTS, ""
        for step in steps:
            on_cell(len(entries) + 1, len(steps))
            if not stopped and time.monotonic() >= self._deadline:
                stopped = f"The notebook's {self._limits.notebook_s:g} s are used up"
            if stopped:
                entry = CellReport(id=step.master.id, outcome="not_run", message=stopped)
                entries.append(entry)
                continue
            entry = self._judge(step, lost)
            entries.append(entry)
            if self._kernel is not None and self._kernel.alive:
                survived.append(step)
            elif restarts_left == 0:
                stopped = f"Not run: {RESTARTS + 1} cells ended the kernel"
            else:
                restarts_left -= 1
                entry.message = f"{entry.message}. The kernel was started again"
                stopped = self._restart(survived)
                if not stopped:
                    continue
        return entries

    def _judge(self, step: Step, lost: dict[str, str]) -> CellReport:
        """Run one cell and say how it went; names that it owes to others go to `lost`."""
        master = step.master
        entry = CellReport(id=master.id, outcome="passed", repair=step.repair)
        marks = directives(master.cell)
        if "skip" in marks:
            entry.outcome = "not_run"
            return entry
        names = bound_names(master.source).union(*map(bound_names, step.sources))
        if step.problem:
            entry.outcome, entry.message = "failed", step.problem
            _owe(lost, names, f"cell {master.id}, which did not run")
            return entry
        start_s = time.monotonic()
        ran = self._run_all(step.sources)
        entry.duration_s = round(time.monotonic() - start_s, 3)
        compared = not master.theirs and not marks & {"ignore", "raises"}
        entry.outcome, entry.message = _verdict(ran, "raises" in marks, compared, master.cell)
        missing = _UNKNOWN_NAME.match(ran.error)
        if entry.outcome == "error" and missing and missing[1] in lost:
            entry.outcome = "not_run"
            entry.message = f"Not judged: `{missing[1]}` is of {lost[missing[1]]}"
        if entry.outcome not in ("passed", "failed"):
            how = "did not end" if ran.outcome != "passed" else "ended in an exception"
            how = "was not judged" if entry.outcome == "not_run" else how
            _owe(lost, names, f"cell {master.id}, which {how}")
        else:
            for name in names:
                lost.pop(name, None)
        entry.message = entry.message[:_MAX_MESSAGE_CHARS]
        return entry

    def _run_all(self, sources: list[str]) -> Ran:
        """The parts of one cell in turn, up to the first that fails."""
        assert self._kernel is not None
        ran = Ran([])
        for source in sources:
            left_s = self._deadline - time.monotonic()
            ran = self._kernel.run(source, max(left_s, 0.0))
            if ran.outcome != "passed" or ran.error:
                break
        return ran

    def _restart(self, survived: list[Step]) -> str:
        """A new kernel in the state of the old one before the fatal cell; or why there is none."""
        self.close()
        started = self._started()
        if started.outcome != "passed":
            return f"Not run: {started.message}"
        for step in survived:
            if step.problem or "skip" in directives(step.master.cell):
                continue
            ran = self._run_all(step.sources)
            if ran.outcome != "passed":
                said = f"cell {step.master.id} ended the kernel when it ran again"
                return f"Not run: {said} ({ran.message})"
        return ""

    def _started(self) -> Ran:
        self.launch()
        assert self._kernel is not None
        return self._kernel.wait(self._deadline)

    def close(self) -> None:
        """End the kernel; closing twice is harmless."""
        if self._kernel is not None:
            kernel, self._kernel = self._kernel, None
            kernel.close()


def master_cells(path: Path) -> list[MasterCell]:
    """The author's notebook. It is trusted: what is wrong with it raises, as `json` does."""
    found = []
    for cell in json.loads(path.read_bytes())["cells"]:
        nbgrader = cell.get("metadata", {}).get("nbgrader", {})
        source = _source(cell)
        theirs = cell["cell_type"] == "code" and (bool(nbgrader.get("solution")) or BEGIN in source)
        name = str(nbgrader.get("grade_id") or cell.get("id", ""))
        found.append(
            MasterCell(id=name, kind=cell["cell_type"], source=source, theirs=theirs, cell=cell)
        )
    return found


def _verdict(
    ran: Ran, must_raise: bool, compared: bool, cell: dict[str, Any]
) -> tuple[Outcome, str]:
    if ran.outcome != "passed":
        return ran.outcome, ran.message
    if ran.error and not must_raise:
        if ran.error.startswith("NotImplementedError: "):
            return "failed", f"Not written yet: {ran.error.partition(': ')[2]}"
        return "error", ran.error
    if must_raise and not ran.error:
        return "failed", "This cell must raise an exception"
    found = difference(ran.outputs, cell.get("outputs", ())) if compared else None
    return ("passed", "") if found is None else ("failed", f"The output differs: {found}")


def _outcome(entries: list[CellReport], *, in_time: bool) -> Outcome:
    judged = [entry.outcome for entry in entries if entry.outcome not in ("passed", "not_run")]
    if judged:
        return judged[0]
    return "passed" if in_time else "timeout"


def _owe(lost: dict[str, str], names: frozenset[str], cause: str) -> None:
    for name in names:
        lost.setdefault(name, cause)


def _nothing_ran(message: str, outcome: Outcome = "failed") -> NotebookReport:
    return NotebookReport(
        outcome=outcome, cells=[CellReport(id="", outcome=outcome, message=message)]
    )


def _source(cell: dict[str, Any]) -> str:
    source = cell.get("source", "")
    return "".join(map(str, source)) if isinstance(source, list) else str(source)
