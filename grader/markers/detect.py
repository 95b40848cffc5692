"""Which grader an assignment was written for."""

from __future__ import annotations

from pathlib import Path

from grader.markers import nbgrader, otter
from grader.markers.model import Assignment, BadAssignment, load_cells

__all__ = ["KINDS", "read_assignment"]

KINDS = {"nbgrader": nbgrader, "otter": otter}
"""The module that reads each kind: `looks_like` and `read`."""


def read_assignment(path: Path, kind: str = "auto") -> Assignment:
    """The master notebook at `path`. `kind`: ``"nbgrader"``, ``"otter"`` or ``"auto"``.

    Raises `BadAssignment` naming cell and line, `OSError`, `ValueError` for another `kind`.
    """
    if kind == "auto":
        cells, _ = load_cells(path)
        kinds = [name for name, module in KINDS.items() if module.looks_like(cells)]
        if len(kinds) != 1:
            found = "markers of both graders" if kinds else "no marker of nbgrader or otter"
            raise BadAssignment(path, "", 0, f"{found}; say which with --from")
        (kind,) = kinds
    if kind not in KINDS:
        raise ValueError(f"Expected 'nbgrader', 'otter' or 'auto', got {kind!r}")
    return nbgrader.read(path) if kind == "nbgrader" else otter.read(path)
