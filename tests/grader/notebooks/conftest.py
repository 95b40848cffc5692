"""The toy capstone with a notebook, judged for real."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from grader.report import Report
from tests.grader.notebooks.cells import notebook


@pytest.fixture
def run(toy: Any, bwrap: None) -> Any:
    """``run(master cells, submitted notebook text)``: the report."""

    def judged(master: list[dict[str, Any]], submitted: str | None, **limits: Any) -> Report:
        path = toy.folder / "master.ipynb"
        path.write_text(notebook(*master))
        folder: Path = toy.submission()
        if submitted is not None:
            (folder / "capstone.ipynb").write_text(submitted)
        report: Report = toy.judge(
            submission=folder,
            notebook=path,
            limits=msgspec.structs.replace(toy.limits, job_s=60, **limits),
        )
        assert report.score == 100  # the notebook never takes a point away,
        assert report.passed == (report.notebook.outcome == "passed")  # but it decides
        count = sum(cell.id != "capstone.ipynb" for cell in report.notebook.cells)
        told = f"Notebook, {count} cells: "
        assert told in (toy.out / "feedback.html").read_text()
        return report

    return judged
