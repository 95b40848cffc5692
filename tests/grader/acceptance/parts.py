"""A part of a suite, as a suite of its own: a wrong answer need not meet all of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path
from types import ModuleType

import msgspec

from grader.authoring.mutants import Variant
from grader.report import CriterionReport, Report
from meridian.academy.curriculum import Capstone

__all__ = ["missed", "part_of_the_suite", "two_of_each"]


def part_of_the_suite(
    capstone: Capstone, suite: ModuleType, criteria: Collection[str], folder: Path
) -> tuple[Capstone, Path]:
    """An entry that knows only these `criteria`, and a file in `folder` with their tests."""
    tests = [
        name
        for name in suite.__all__
        if any(
            mark.name == "criterion" and mark.args[0] in criteria
            for mark in getattr(suite, name).pytestmark
        )
    ]
    path = folder / "suite" / f"{suite.__name__.rpartition('.')[2]}.py"
    path.parent.mkdir(parents=True)
    path.write_text(f"from {suite.__name__} import {', '.join(tests)}\n")
    chosen = tuple(c for c in capstone.criteria if c.id in criteria)
    return msgspec.structs.replace(capstone, criteria=chosen), path


def missed(report: Report) -> dict[str, CriterionReport]:
    """The criteria that were judged and not passed."""
    return {c.id: c for c in report.criteria if c.outcome not in ("passed", "not_run")}


def two_of_each(variants: Iterable[Variant]) -> list[Variant]:
    """Two wrong answers for each criterion: ``grader prove`` judges all, and has the time."""
    seen: Counter[str] = Counter()
    chosen = []
    for variant in variants:
        seen[variant.criterion] += 1
        if seen[variant.criterion] <= 2:
            chosen.append(variant)
    return chosen
