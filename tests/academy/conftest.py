"""A lab in a temporary folder, and the command ``meridian`` run in this process."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from meridian.academy import cli
from tests.academy.courses import index_with_only

ROOT = Path(__file__).resolve().parents[2]
MODULE = "database/01-storage"


class Result(NamedTuple):
    """What a command printed, and its exit status."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lab with the real index and quizzes, and an exercise that says who wrote it."""
    root = tmp_path / "lab"
    quizzes = root / "notebooks" / MODULE
    quizzes.mkdir(parents=True)
    for path in (ROOT / "notebooks" / MODULE).glob("*-quiz.toml"):
        shutil.copy(path, quizzes)
    (root / "curriculum.toml").write_text(index_with_only(MODULE))
    package = root / "exercises" / MODULE / "tle_page_manager"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("# mine\n")
    monkeypatch.setenv("MERIDIAN_LAB", str(root))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    return root


@pytest.fixture
def meridian(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Result]:
    """``meridian("next", "--json")`` runs the command and returns what it did."""

    def run(*argv: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["meridian", *argv])
        capsys.readouterr()
        try:
            cli.main()
            status = 0
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        return Result(status, *capsys.readouterr())

    return run
