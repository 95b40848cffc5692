"""Wrong answers: each a small change to a model answer that breaks exactly one criterion."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

__all__ = ["Change", "Variant"]


class Change(NamedTuple):
    """Replace `old`, which must occur exactly once in `file`, by `new`."""

    file: str
    old: str
    new: str


class Variant(NamedTuple):
    """A model answer with `changes`; `criterion` is the one it must fail, and no other."""

    name: str
    criterion: str
    changes: tuple[Change, ...]

    def write(self, solution: Path, target: Path) -> Path:
        """Copy the package of `solution` to `target`, changed. Returns `target`."""
        package = next(path.parent for path in solution.glob("*/__init__.py"))
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(package, target / package.name, ignore=ignored)
        for change in self.changes:
            path = target / package.name / change.file
            source = path.read_text()
            found = source.count(change.old)
            if found != 1:
                raise ValueError(f"{self.name}: {change.old!r} stands {found} times in {path.name}")
            path.write_text(source.replace(change.old, change.new))
        return target
