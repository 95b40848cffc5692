"""Grades in the formats of others: CSV, Gradescope, PrairieLearn, nbgrader; from the gradebook.

One attempt of each learner at each capstone is exported, the one that counts: passed before not
passed, then the highest score, then the first. Marks given by hand are in it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from grader.export.counted import Graded
    from grader.records.store import SubmissionStore

__all__ = ["FORMATS", "export"]

FORMATS = ("csv", "gradescope", "nbgrader", "prairielearn")


def export(
    graded: list[Graded], kind: str, out: Path, store: SubmissionStore | None = None
) -> list[Path]:
    """Write `graded` as `kind` into the folder `out`; the files that were written.

    `store` has the files that were handed in, for the formats that carry them. Raises `ValueError`
    for a format that is none of `FORMATS`, `OSError`.
    """
    from grader.export import csv_table, gradescope, nbgrader, prairielearn

    writers: dict[str, Callable[[], list[Path]]] = {
        "csv": lambda: csv_table.write(graded, out),
        "gradescope": lambda: gradescope.write(graded, out),
        "nbgrader": lambda: nbgrader.write(graded, out, store),
        "prairielearn": lambda: prairielearn.write(graded, out),
    }
    if kind not in writers:
        raise ValueError(f"Expected one of {', '.join(FORMATS)}, got {kind!r}")
    out.mkdir(parents=True, exist_ok=True)
    return writers[kind]()
