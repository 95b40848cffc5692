"""Notebook files keep pictures and no dead widgets, whoever saves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError
from nbformat import v4

from meridian.academy.curriculum import lab_root
from meridian.academy.widgets.saved import (
    HTML_MIME,
    VIEW_MIME,
    drop_views,
    main,
    pre_save_hook,
    run_and_save,
)

VIEW = {"model_id": "1", "version_major": 2, "version_minor": 0}
LIVE = """
import ipywidgets
from meridian.academy.widgets import show
show(ipywidgets.IntSlider(), "<svg/>", "A slider")
print("here")
"""


def notebook(*bundles: dict[str, Any]) -> Any:
    outputs = [v4.new_output("display_data", data=dict(bundle)) for bundle in bundles]
    made = v4.new_notebook(cells=[v4.new_markdown_cell("x"), v4.new_code_cell(outputs=outputs)])
    made.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {}}
    return made


def data(made: Any) -> list[set[str]]:
    return [set(o.data) for c in made.cells for o in c.get("outputs", ()) if "data" in o]


def test_a_view_goes_where_a_picture_stays() -> None:
    made = notebook({VIEW_MIME: VIEW, HTML_MIME: "<p>", "text/plain": "x"}, {"text/plain": "y"})
    assert drop_views(made) == 1
    assert data(made) == [{HTML_MIME, "text/plain"}, {"text/plain"}]
    assert "widgets" not in made.metadata
    assert drop_views(made) == 0


def test_a_view_without_a_picture_stays() -> None:
    made = notebook({VIEW_MIME: VIEW, "text/plain": "x"})
    assert drop_views(made) == 0
    assert data(made) == [{VIEW_MIME, "text/plain"}]


def test_the_servers_hook_touches_only_notebooks() -> None:
    content = notebook({VIEW_MIME: VIEW, HTML_MIME: "<p>"})
    pre_save_hook(model={"type": "notebook", "content": content}, path="x", contents_manager=None)
    assert data(content) == [{HTML_MIME}]
    for model in ({"type": "file", "content": "text"}, {"type": "directory", "content": None}, {}):
        before = dict(model)
        pre_save_hook(model=model)
        assert model == before


def test_a_run_saves_outputs_with_pictures_only(tmp_path: Path) -> None:
    path = tmp_path / "with space.ipynb"
    nbformat.write(v4.new_notebook(cells=[v4.new_code_cell(LIVE)]), path)
    assert run_and_save(path) == 1
    made = nbformat.read(path, as_version=4)
    assert data(made) == [{HTML_MIME, "text/plain"}]
    assert 'alt="A slider"' in made.cells[0].outputs[0].data[HTML_MIME]
    assert made.cells[0].outputs[1].text == "here\n"
    assert made.metadata.kernelspec.name == "python3"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failing_cell_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "bad.ipynb"
    nbformat.write(v4.new_notebook(cells=[v4.new_code_cell("1 / 0")]), path)
    before = path.read_bytes()
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        run_and_save(path)
    assert path.read_bytes() == before


def test_the_command_wants_a_notebook(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err
    with pytest.raises(FileNotFoundError):
        main(["no-such.ipynb"])


def shipped() -> list[Path]:
    root = lab_root(Path(__file__).parent)
    notebooks = [*root.glob("*.ipynb"), *root.glob("notebooks/**/*.ipynb")]
    return [path for path in notebooks if ".ipynb_checkpoints" not in path.parts]


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.name)
def test_every_notebook_of_the_course_is_saved_that_way(path: Path) -> None:
    made = nbformat.read(path, as_version=4)
    nbformat.validate(made)
    assert drop_views(made) == 0
    assert not [found for found in data(made) if VIEW_MIME in found]
    assert made.metadata.kernelspec.name == "python3"
