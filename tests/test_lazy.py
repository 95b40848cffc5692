"""Packages whose names are loaded when they are first used."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    folder = tmp_path / "idle"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from meridian.lazy import lazy_names\n"
        "__all__ = ['Late']\n"
        "__getattr__, __dir__ = lazy_names(__name__, {'part': ('Late',)})\n"
    )
    (folder / "part.py").write_text("class Late: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("idle", "idle.part"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return "idle"


def test_a_module_is_loaded_with_the_first_use_of_its_name(package: str) -> None:
    idle = importlib.import_module(package)
    assert "idle.part" not in sys.modules
    assert "Late" in dir(idle)
    assert "idle.part" not in sys.modules
    late = idle.Late
    assert "idle.part" in sys.modules
    assert vars(idle)["Late"] is late is sys.modules["idle.part"].Late


def test_what_it_does_not_have_is_no_attribute(package: str) -> None:
    idle = importlib.import_module(package)
    with pytest.raises(AttributeError, match="module 'idle' has no attribute 'Early'"):
        idle.Early  # noqa: B018
