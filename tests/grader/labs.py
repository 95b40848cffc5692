"""A lab of one small capstone, made in a folder: what tests of commands and cohorts need.

    lab = small_lab(tmp_path / "lab", "toys/01-toy", TOY, suite=SUITE.read_text())
    monkeypatch.setenv("MERIDIAN_LAB", str(lab.root))

A test that wants another capstone replaces fields of it (`msgspec.structs.replace`), one that
wants another suite writes `lab.suite`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from meridian.academy.curriculum import Capstone


class SmallLab(NamedTuple):
    root: Path
    suite: Path
    key: str

    @property
    def home(self) -> Path:
        """Where the lab keeps its records."""
        return self.root / ".meridian"

    @property
    def solution(self) -> Path:
        return self.root / "solutions" / self.key


def small_lab(
    root: Path, key: str, capstone: Capstone, suite: str, planned: Iterable[str] = ()
) -> SmallLab:
    """A new lab in `root`: an index with this capstone alone, and its suite.

    Modules named in `planned` stand in the index and are not available.
    """
    track, _, module = key.partition("/")
    name = module.partition("-")[2].replace("-", "_")
    lab = SmallLab(root, root / "grader" / "acceptance" / track / f"test_{name}.py", key)
    lab.suite.parent.mkdir(parents=True)
    lab.suite.write_text(suite)
    (root / "curriculum.toml").write_text(index_of(key, capstone, planned))
    return lab


def index_of(key: str, capstone: Capstone, planned: Iterable[str] = ()) -> str:
    """The text of a `curriculum.toml` whose only capstone is `key`."""
    track, _, slug = key.partition("/")
    about = {"title": capstone.title, "summary": "Small.", "lessons": [_LESSON]}
    modules = [{"slug": slug, "available": True, "capstone": capstone, **about}]
    modules += [
        {"slug": name, "available": False, "capstone": {"title": name}, **about} for name in planned
    ]
    course = {"slug": track, "title": track, "system": track, "summary": "Small."}
    return f"tracks = {_toml([{**course, 'modules': modules}])}\n"


_LESSON = {"topic": "one", "title": "One"}


def _toml(value: Any) -> str:
    """`value` in TOML's inline form, which is JSON but for its tables."""
    plain = msgspec.to_builtins(value)
    if isinstance(plain, dict):
        return "{ " + ", ".join(f"{name} = {_toml(v)}" for name, v in plain.items()) + " }"
    if isinstance(plain, list | tuple):
        return "[" + ", ".join(map(_toml, plain)) + "]"
    return json.dumps(plain)
