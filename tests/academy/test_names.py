"""The names that a notebook imports, in whatever order things were imported before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import meridian.academy
from meridian.academy import widgets

SHOW = """
from meridian.academy import quiz
print("text/html" in quiz("database/01-storage/1")._repr_mimebundle_())
"""


@pytest.mark.parametrize(
    "before",
    ["", "import meridian.academy.quiz", "from meridian.academy.quiz import load_quiz"],
    ids=["nothing", "module", "loader"],
)
def test_quiz_shows_a_quiz_whatever_was_imported_first(lab: Path, before: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", before + SHOW + SHOW],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout == "True\nTrue\n", done.stderr


def test_every_name_is_there_and_no_other() -> None:
    for name in meridian.academy.__all__:
        assert getattr(meridian.academy, name) is not None
    assert set(dir(meridian.academy)) == set(meridian.academy.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        meridian.academy.nonsense  # noqa: B018


def test_every_widget_is_there_and_loaded_on_first_use() -> None:
    for name in widgets.__all__:
        assert getattr(widgets, name) is not None
    assert sorted(widgets._HOMES) == widgets.__all__
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        widgets.nonsense  # noqa: B018
    code = (
        "import sys, meridian.academy.widgets\n"
        "print([m for m in ('ipywidgets', 'anywidget', 'matplotlib', 'numba') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"
