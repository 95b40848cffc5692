"""Some criteria of the B+ tree suite, with the single tests that theirs stand on."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec

from grader.acceptance.database import test_btree as suite
from meridian.academy.curriculum import Capstone, Criterion

__all__ = ["needed_tests"]


def needed_tests(
    capstone: Capstone, criteria: Collection[str], folder: Path
) -> tuple[Capstone, Path]:
    """An entry whose points are those of the tests in the file, and that file in `folder`."""
    marks = {name: _mark(getattr(suite, name)) for name in suite.__all__}
    chosen: set[str] = set()
    left = [name for name, (criterion, _, _) in marks.items() if criterion in criteria]
    while left:
        name = left.pop()
        chosen.add(name)
        for wanted in marks[name][2]:
            named = [other for other, mark in marks.items() if wanted in (other, mark[0])]
            left += [other for other in named if other not in chosen]
    points: dict[str, float] = {}
    for name in chosen:
        points[marks[name][0]] = points.get(marks[name][0], 0) + marks[name][1]
    path = folder / "suite" / "test_btree.py"
    path.parent.mkdir(parents=True)
    ordered = [name for name in suite.__all__ if name in chosen]
    path.write_text(f"from {suite.__name__} import {', '.join(ordered)}\n")

    def only(entries: tuple[Criterion, ...]) -> tuple[Criterion, ...]:
        replace = msgspec.structs.replace
        return tuple(replace(c, points=points[c.id]) for c in entries if c.id in points)

    return (
        msgspec.structs.replace(
            capstone, criteria=only(capstone.criteria), bonus=only(capstone.bonus)
        ),
        path,
    )


def _mark(test: Any) -> tuple[str, float, tuple[str, ...]]:
    (mark,) = [mark for mark in test.pytestmark if mark.name == "criterion"]
    after = mark.kwargs.get("after", ())
    return mark.args[0], mark.kwargs["points"], (after,) if isinstance(after, str) else tuple(after)
