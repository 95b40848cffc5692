"""The small lab and a learner's record in it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from meridian.academy.curriculum import Curriculum, load
from meridian.academy.progress import ProgressStore

sys.path.insert(0, str(Path(__file__).parent))  # `small_lab` is no package of the product

from small_lab import build


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Curriculum:
    root = build(tmp_path / "the lab")
    monkeypatch.setenv("MERIDIAN_LAB", str(root))
    monkeypatch.chdir(root)
    return load(root)


@pytest.fixture
def store(lab: Curriculum) -> ProgressStore:
    return ProgressStore(curriculum=lab)
