"""A browser on a copy of the lab, so that a journey changes nothing in the checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from grader.authoring.build import write_exercise
from meridian.academy.curriculum import lab_root, load
from tests.academy.courses import index_with_only

# `journey` and `small_lab` are no packages of the product.
sys.path.insert(0, str(Path(__file__).parents[1] / "academy" / "widgets"))
sys.path.insert(0, str(Path(__file__).parent))

import journey


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's path; without one the tests are skipped, and say what would run them."""
    if journey.CHROMIUM is None:
        pytest.skip("no Chromium on this machine; to run the browser tests: apt install chromium")
    return journey.CHROMIUM


@pytest.fixture(scope="module")
def copied_lab(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What git tracks of this lab, in a folder of its own."""
    source = lab_root(Path(__file__).parent)
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=source, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip(f"the lab is copied by git, which says: {listed.stderr.strip()}")
    root = tmp_path_factory.mktemp("journey") / "lab"
    for name in filter(None, listed.stdout.split("\0")):
        if (source / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, root / name)
    # One module, so that the map leads to it.
    (root / "curriculum.toml").write_text(index_with_only("database/01-storage"))
    for module in load(root).modules():
        if module.available:  # as a learner first sees it, whatever was written in this checkout
            shutil.rmtree(root / module.exercise, ignore_errors=True)
            write_exercise(root, module, root / module.exercise)
    return root


@pytest.fixture(scope="module")
def server(copied_lab: Path) -> Iterator[journey.Server]:
    """The lab as `meridian lab` starts it, on the copy."""
    with journey.Server(copied_lab, copied_lab.parent / "home", journey.lab_command()) as running:
        yield running


@pytest.fixture
def lab(server: journey.Server) -> Iterator[journey.Lab]:
    with journey.browser_on(server) as page:
        yield page
