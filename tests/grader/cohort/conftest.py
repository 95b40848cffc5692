"""A lab with the toy capstone as its only one, and submissions to it by the dozen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from grader.box import detect
from tests.grader.cohort.toys import Cohort
from tests.grader.conftest import box_processes


@pytest.fixture
def cohort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cohort]:
    """An empty cohort in a lab of its own; afterwards no process and no file of a job is left."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.setenv("TMPDIR", str(work))
    monkeypatch.setattr("tempfile.tempdir", str(work))
    made = Cohort(tmp_path)
    monkeypatch.setenv("MERIDIAN_LAB", str(made.lab))
    yield made
    assert list(work.glob("meridian-*")) == []
    assert box_processes() == []


@pytest.fixture
def walls() -> None:
    """Skips where no box with walls works: only trusted code is graded there."""
    best = detect()
    if best.tier == "rlimits":
        pytest.skip(f"no box with walls here: {best.reason}. {best.fix}")
