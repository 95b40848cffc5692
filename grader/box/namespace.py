"""A package imported for one worker in this process, apart from every other of that name.

The submission, the model answer and a test's own import of the same package may live in one
process. Each worker keeps its own modules; they stand in `sys.modules` from one of its questions
until another worker is asked or it ends, and then what stood there before comes back.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import ClassVar

__all__ = ["Namespace"]


class Namespace:
    """The modules that lie in the folder `code`, imported afresh. At most one is in place."""

    _in_place: ClassVar[Namespace | None] = None

    def __init__(self, code: Path, extra: tuple[Path, ...] = ()) -> None:
        self._path = [os.fspath(folder) for folder in (code, *extra)]
        self._names = frozenset(
            entry.stem for entry in code.iterdir() if entry.suffix == ".py" or entry.is_dir()
        ).difference(sys.stdlib_module_names)
        self._own: dict[str, ModuleType] = {}
        self._others: dict[str, ModuleType] = {}
        self._path_before: list[str] = []

    def load(self, name: str) -> ModuleType:
        """Import `name`, with this namespace in place."""
        importlib.invalidate_caches()
        return importlib.import_module(name)

    def enter(self) -> None:
        """Put these modules in place of those of the same names."""
        if Namespace._in_place is self:
            return
        if Namespace._in_place is not None:
            Namespace._in_place.leave()
        Namespace._in_place = self
        self._others = self._take()
        sys.modules.update(self._own)
        self._path_before = sys.path[:]
        sys.path[:0] = [folder for folder in self._path if folder not in sys.path]

    def leave(self) -> None:
        """Give back the names and the search path. Leaving twice is harmless."""
        if Namespace._in_place is not self:
            return
        Namespace._in_place = None
        sys.path[:] = self._path_before
        self._own = self._take()
        sys.modules.update(self._others)

    def _take(self) -> dict[str, ModuleType]:
        """Remove the modules that go by this namespace's names, whoever imported them."""
        found = [name for name in sys.modules if name.partition(".")[0] in self._names]
        return {name: sys.modules.pop(name) for name in found}
