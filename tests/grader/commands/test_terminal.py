"""What a person reads on the terminal when the notebook, or a refusal, decides."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from meridian.academy.commands.verdict import print_verdict
from meridian.academy.curriculum import Capstone, Criterion, Module
from meridian.academy.progress import NextStep

MODULE = Module(
    slug="01-toy",
    title="Toy",
    summary="A toy.",
    available=True,
    lessons=(),
    capstone=Capstone(
        title="Toy",
        package="toy",
        pass_mark=70,
        criteria=(
            Criterion(id="1", title="Adding", points=60, required=True),
            Criterion(id="2", title="Counting", points=40),
        ),
    ),
)
STEP = NextStep("Go on", "meridian next", Path(), "because")


def told(tmp_path: Path, *points: float, message: str = "", **more: Any) -> str:
    """The terminal's lines on a submission with these points of 60 and 40."""
    criteria = [
        {
            "id": c.id,
            "title": c.title,
            "points": c.points,
            "score": score,
            "outcome": "passed" if score == c.points else "failed",
            "message": message,
            "counterexample": "",
        }
        for c, score in zip(MODULE.capstone.criteria, points, strict=True)
    ]
    report: dict[str, Any] = {
        "capstone": "toys/01-toy",
        "submission_sha256": "ab" * 32,
        "environment": {"mode": "submit"},
        "score": sum(points),
        "max_score": 100,
        "bonus": 0,
        "passed": False,
        "criteria": criteria,
        "box": "bwrap",
        "seed": "0",
        "benchmarks": [],
        **more,
    }
    text = io.StringIO()
    print_verdict(Console(file=text, width=100), "submit", MODULE, report, tmp_path, STEP)
    return text.getvalue()


MISSING = {
    "outcome": "failed",
    "cells": [{"id": "", "outcome": "failed", "message": "capstone.ipynb is missing"}],
}
RAISED = {
    "outcome": "error",
    "cells": [
        {"id": "a", "outcome": "passed", "message": ""},
        {"id": "b", "outcome": "error", "message": "Traceback\nKeyError: 'x'"},
        {"id": "c", "outcome": "not_run", "message": ""},
    ],
}


@pytest.mark.parametrize(
    ("notebook", "said"),
    [
        (MISSING, "the notebook does not run from top to bottom (capstone.ipynb is missing)."),
        (RAISED, "the notebook does not run from top to bottom in cell 'b' (KeyError: 'x')."),
    ],
)
def test_only_the_notebook_is_missing(tmp_path: Path, notebook: Any, said: str) -> None:
    first = told(tmp_path, 60, 40, notebook=notebook).splitlines()[0]
    assert first == f"Not passed: {said} The rest would do: 100 of 100 points"


def test_points_and_the_notebook_are_missing(tmp_path: Path) -> None:
    first, why, *_ = told(tmp_path, 0, 40, notebook=MISSING).splitlines()
    assert first == "Not passed: 40 of 100 points"
    assert why.startswith("70 points, every required criterion and a notebook that runs are needed")


def test_points_alone_are_missing(tmp_path: Path) -> None:
    text = told(tmp_path, 0, 40, notebook={"outcome": "passed", "cells": []})
    first, why, *_ = text.splitlines()
    assert first == "Not passed: 40 of 100 points"
    assert why == "70 points and every required criterion are needed."


@pytest.mark.parametrize(
    ("outcome", "words"), [("refused", "Refused, and so"), ("error", "one cause stopped")]
)
def test_one_cause_is_told_once(tmp_path: Path, outcome: str, words: str) -> None:
    cause = "toy/a.py:3: not Python: invalid syntax. Mend it."
    criteria = [
        {"id": c.id, "title": c.title, "points": c.points, "score": 0, "outcome": outcome,
         "message": cause if c.id == "1" else "", "counterexample": ""}
        for c in MODULE.capstone.criteria
    ]  # fmt: skip
    text = " ".join(told(tmp_path, 0, 0, criteria=criteria).split())
    assert text.startswith("Not passed: 0 of 100 points")
    assert text.count(cause) == 1
    assert text.count(words) == 1
    assert "Counting" not in text
    assert outcome not in text.replace(words, "")
