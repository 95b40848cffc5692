"""Start an exercise again without losing a line: every version that is replaced is kept.

Versions lie in ``.meridian/attic/<module>/<stamp>``, complete and readable. The new version is
finished before the old one moves there, and both moves are single renames: a kill leaves the old
version in its place or in the attic, whole.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

from meridian.academy.curriculum import Module
from meridian.clock import Clock, SystemClock
from meridian.errors import MeridianError
from meridian.fs import failpoint

__all__ = ["Attic", "Build", "NoSuchVersion"]

Build: TypeAlias = Callable[[Module, Path], None]


class NoSuchVersion(MeridianError, LookupError):
    """The attic has no version with this stamp."""

    def __init__(self, key: str, stamp: str, stamps: list[str]) -> None:
        self.key = key
        self.stamp = stamp
        self.stamps = stamps
        kept = ", ".join(stamps) if stamps else "none"
        super().__init__(f"No version {stamp!r} of {key} was kept; kept versions: {kept}")


class Attic:
    """The kept versions of one exercise.

    `build` writes the exercise as a learner first sees it into a folder that does not exist yet.
    """

    def __init__(
        self, root: Path, module: Module, build: Build, *, clock: Clock | None = None
    ) -> None:
        self.exercise = root / module.exercise
        self.folder = root / ".meridian" / "attic" / module.key
        self._module = module
        self._clock = clock or SystemClock()
        self._build = build

    def stamps(self) -> list[str]:
        """Stamps of the kept versions, oldest first."""
        if not self.folder.is_dir():
            return []
        return sorted(path.name for path in self.folder.iterdir() if not path.name.startswith("."))

    def reset(self) -> Path | None:
        """Put the exercise back to its start; return where the replaced version is kept."""
        return self._replace(lambda target: self._build(self._module, target))

    def restore(self, stamp: str) -> Path | None:
        """Bring version `stamp` back; the present one is kept in its turn."""
        if stamp not in self.stamps():
            raise NoSuchVersion(self._module.key, stamp, self.stamps())
        return self._replace(lambda target: _copy(self.folder / stamp, target))

    def _replace(self, fill: Callable[[Path], None]) -> Path | None:
        """Swap the exercise for what `fill` writes; nothing changes unless `fill` succeeds."""
        self.folder.mkdir(parents=True, exist_ok=True)
        staging = self.folder / f".new-{os.getpid()}"
        shutil.rmtree(staging, ignore_errors=True)
        kept = None
        try:
            fill(staging)
            failpoint("attic.filled")
            if self.exercise.is_dir():
                kept = self._free_name()
                self.exercise.rename(kept)
                failpoint("attic.kept")
            self.exercise.parent.mkdir(parents=True, exist_ok=True)
            staging.rename(self.exercise)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return kept

    def _free_name(self) -> Path:
        moment = datetime.fromtimestamp(self._clock.now_ns() / 1e9, UTC)
        stamp = moment.strftime("%Y%m%dT%H%M%SZ")
        taken = self.stamps()
        names = (stamp if n == 1 else f"{stamp}-{n}" for n in range(1, len(taken) + 2))
        return self.folder / next(name for name in names if name not in taken)


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, symlinks=True)
