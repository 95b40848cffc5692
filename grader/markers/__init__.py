"""Assignments written for other graders, read into our own layout.

`nbgrader` and `otter` read a master notebook with its solutions, the module `layout` writes what
they found: a capstone notebook, the package that is judged, a course index with the table of
criteria, and an acceptance suite with one test for each test there was. What cannot be carried
over is in `Assignment.losses`, and in the file ``IMPORT.md`` for the author.
"""

from __future__ import annotations

from grader.markers.detect import KINDS, read_assignment
from grader.markers.layout import write_layout
from grader.markers.model import Assignment, BadAssignment, Check, Loss, Question

__all__ = [
    "KINDS",
    "Assignment",
    "BadAssignment",
    "Check",
    "Loss",
    "Question",
    "read_assignment",
    "write_layout",
]
