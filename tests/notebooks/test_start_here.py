"""The first screen: current, a screen and not code, and the same for every new learner."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from meridian.academy.curriculum import lab_root, load
from meridian.academy.widgets.doctor import NOT_EXAMINED
from meridian.academy.widgets.map import course_map

NAME = "START HERE.ipynb"


@pytest.fixture(scope="module")
def root() -> Path:
    return lab_root(Path(__file__).parent)


@pytest.fixture(scope="module")
def saved(root: Path) -> Any:
    return nbformat.read(root / NAME, as_version=4)


@pytest.fixture
def fresh(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lab whose learner has not begun."""
    shutil.copy(root / "curriculum.toml", tmp_path)
    monkeypatch.setenv("MERIDIAN_LAB", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_the_cells_are_folded_and_short(saved: Any) -> None:
    for cell in code(saved):
        assert cell.metadata["jupyter"]["source_hidden"] is True
        assert "nbval-ignore-output" in cell.metadata["tags"]
        assert len(cell.source.splitlines()) <= 5


def test_the_saved_map_is_the_map_of_a_new_learner(saved: Any, fresh: Path) -> None:
    shown = code(saved)[0].outputs[0].data
    chart = course_map(curriculum=load(fresh), doctor=lambda _: NOT_EXAMINED)
    assert shown["text/html"] == chart.html(), "run: python -m meridian.academy.widgets.saved"
    assert shown["text/plain"] == str(chart)


def test_it_runs_from_top_to_bottom(saved: Any, fresh: Path) -> None:
    notebook = nbformat.from_dict(saved)
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(fresh)}}).execute()
    html = code(notebook)[0].outputs[0].data["text/html"]
    assert "0 of 57 lessons and 0 of 18 capstones passed" in html
    assert "This machine: " in html
    assert NOT_EXAMINED not in html


def test_commands_and_files_it_names_exist(saved: Any) -> None:
    from typer.main import get_command

    from meridian.academy.cli import app

    known = set(get_command(app).commands)  # type: ignore[attr-defined]
    text = "\n".join(cell.source for cell in saved.cells if cell.cell_type == "markdown")
    named = set(re.findall(r"`meridian (\w+)", text))
    assert named
    assert named <= known
    modules = {module.key for module in load().modules() if module.available}
    assert set(re.findall(r"`meridian \w+ (\w+/[\w-]+)", text)) <= modules
