"""Who answers in one job: the submission, the suite's peer and the model answer, each in its box.

All three have the same walls, limits, network and deadline. The model answer may import what the
submission may, neither more nor less, so that a race compares the code and nothing else.
"""

from __future__ import annotations

import shutil
import sys
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from grader.box import Box, BoxUnavailable, detect, open_box
from grader.box.boxset import BoxSet
from grader.box.pool import Shape
from grader.box.workers import Workshop, library_folders
from grader.library import library_of
from grader.spec import JobSpec

__all__ = ["Libraries", "Sides", "box_for", "libraries_of", "shape_of"]

# Installed packages that are slow to import, and what of them to load once for each box: of anyio
# the part that every event loop on asyncio would load anew.
_SLOW = {
    "numpy": "numpy",
    "numba": "numba",
    "pandas": "pandas",
    "trio": "trio",
    "anyio": "anyio._backends._asyncio",
}
_OURS = ("meridian", "grader")


def box_for(spec: JobSpec) -> Box | None:
    """The box for this job, ``None`` for this process. Without walls, judge only one's own work.

    Raises `BoxUnavailable`.
    """
    if spec.box == "none":
        return None
    box = open_box(spec.box)
    if box.tier == "rlimits" and spec.learner != "local" and not spec.trusted:
        best = detect()
        raise BoxUnavailable(
            "bwrap",
            best.reason or "rlimits was asked for",
            best.fix or "Ask for bwrap or landlock.",
        )
    return box


class Libraries(NamedTuple):
    """Folders to import from, what in them must not be found, and what is loaded beforehand."""

    folders: tuple[Path, ...]
    hidden: tuple[Path, ...]
    preload: tuple[str, ...]


def libraries_of(spec: JobSpec) -> Libraries:
    """What a submission may import besides the standard library, by its capstone's entry."""
    assert spec.definition is not None
    folders = library_folders()
    if spec.trusted:
        source = Path(__file__).parents[1]
        return Libraries((*folders, source), (), ("numpy", "numba"))
    # An installed copy of what is to be written, and of the suites.
    hidden = tuple(folder / name for folder in folders for name in _OURS)
    ours = spec.definition.library
    library = library_of(ours)
    needed = {*spec.definition.third_party, *library.requires} - sys.stdlib_module_names
    preload = (*(_SLOW[name] for name in _SLOW if name in needed), *ours)
    if ours:
        folders = (library.folder(), *folders)
    return Libraries(folders if needed or ours else (), hidden, preload)


def shape_of(spec: JobSpec, box: Box) -> Shape:
    """What a box in reserve must have to serve this job."""
    libraries = libraries_of(spec)
    return Shape(
        tier=box.tier,
        limits=spec.limits,
        libraries=libraries.folders,
        hidden=libraries.hidden,
        preload=libraries.preload,
    )


class Sides:
    """Makes the workshops of a job, the last two when they are first asked for. Close it.

    `code` is the collected submission, `boxes` what already runs for it.
    """

    def __init__(
        self,
        spec: JobSpec,
        code: Path,
        work: Path,
        *,
        box: Box | None,
        seed: str,
        deadline: float,
        boxes: BoxSet | None = None,
    ) -> None:
        assert spec.definition is not None
        assert spec.suite is not None
        self._package = spec.definition.package
        self._suite = spec.suite
        self._solution = spec.solution
        self._libraries = libraries_of(spec)
        self._work = work
        self.submission = Workshop(
            code,
            work,
            box=box,
            limits=spec.limits,
            seed=seed,
            deadline=deadline,
            extra=self._libraries.folders,
            hidden=self._libraries.hidden,
            preload=self._libraries.preload,
            boxes=boxes,
        )
        self._made = [self.submission]

    @property
    def peer_module(self) -> str:
        """The name of the suite's peer file: ``peer_storage`` beside ``test_storage.py``."""
        return f"peer_{self._suite.stem.removeprefix('test_')}"

    @cached_property
    def peers(self) -> Workshop | None:
        """The suite's peer file, where it has one. It is ours and may import what is installed.

        And what the submission may: its box loads the same beforehand.
        """
        source = self._suite.with_name(f"{self.peer_module}.py")
        if not source.exists():
            return None
        folder = self._work / "peers"
        folder.mkdir()
        shutil.copyfile(source, folder / source.name)
        folders = self._libraries.folders or library_folders()
        return self._other(folder, folders, "the grader's own peer: ")

    @cached_property
    def reference(self) -> Workshop | None:
        """The model answer's package, where there is one: no other box can see it."""
        source = self._solution and self._solution / self._package
        if source is None or not source.is_dir():
            return None
        folder = self._work / "reference"
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, folder / self._package, ignore=ignored)
        return self._other(folder, self._libraries.folders, "the grader's model answer: ")

    def _other(self, code: Path, folders: tuple[Path, ...], whose: str) -> Workshop:
        made = self.submission.other(code, folders, whose, self._libraries.preload)
        self._made.append(made)
        return made

    def all(self) -> list[Workshop]:
        """Every side that this job has."""
        found = (self.submission, self.peers, self.reference)
        return [workshop for workshop in found if workshop is not None]

    def extend(self, seconds: float) -> None:
        """Move the deadline of all: what a job waits for others is not taken from its time."""
        for workshop in self._made:
            workshop.extend(seconds)

    def close(self) -> None:
        """End every box. Closing twice is harmless."""
        self.submission.close()
