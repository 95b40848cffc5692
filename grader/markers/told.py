"""``IMPORT.md``: what became what, and what the author still has to do."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from grader.markers.model import Assignment
from grader.markers.points import Table

__all__ = ["told"]


def told(found: Assignment, path: Path, table: Table, key: str, files: Iterable[Path]) -> str:
    """The page, in Markdown."""
    rows = "\n".join(
        f"| {row.id} | {_cell(row.title)} | {row.before:g} | {row.points} "
        f"| {len(question.checks)} |"
        for row, question in zip(table.criteria, found.questions, strict=True)
    )
    names = "\n".join(f"- `{name.as_posix()}`" for name in files)
    losses = "\n".join(
        f"- **{_cell(loss.where)}**: {_cell(loss.what)}. {loss.advice}" for loss in found.losses
    )
    return f"""# {_cell(found.title)}

Imported from `{path.name}`, written for {found.kind}.

{names}

| Criterion | Title | Points before | Points | Tests |
|---|---|---|---|---|
{rows}

## Not carried over

{losses or "Everything was carried over."}

## What to do now

1. The suite judges the package. The answers stand in the notebook too: keep there what is about
   the notebook, and take out what the package holds.
2. Read the suite. Draw inputs from `rng`, name what a test asks in its docstring, and mark the
   criteria that must pass with `required = true` in `curriculum.toml`.
3. In this folder: `MERIDIAN_LAB=. grader build {key}` cuts the exercise, and
   `MERIDIAN_LAB=. grader prove {key}` shows that the solution gets all points and the exercise
   none. A stub names the criterion below it in the notebook: put that right where it is another.
"""


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
