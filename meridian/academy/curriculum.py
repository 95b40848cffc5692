"""The course index: what there is to learn, in which order, and where its files lie.

``curriculum.toml`` at the lab's root is the one source; the map, the commands, the grader and the
tests derive from it. Keys name things everywhere: ``database/01-storage`` is a module (and its
capstone), ``database/01-storage/1`` the first of its lessons.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from meridian.academy.curriculum_checks import TOTAL_POINTS, problems
from meridian.academy.curriculum_records import Capstone, Criterion, Lesson, Module, Track
from meridian.errors import MeridianError

__all__ = [
    "TOTAL_POINTS",
    "Capstone",
    "Criterion",
    "Curriculum",
    "CurriculumError",
    "LabNotFound",
    "Lesson",
    "Module",
    "NotAvailable",
    "Track",
    "UnknownKey",
    "lab_root",
    "load",
]

INDEX_NAME = "curriculum.toml"
_RESEMBLES = 0.5  # "storage" is meant for "database/01-storage", "lol" for nothing


class LabNotFound(MeridianError, FileNotFoundError):
    """No folder with a course index was found."""

    def __init__(self, tried: Iterable[Path]) -> None:
        self.tried = tuple(tried)
        places = ", ".join(map(str, self.tried))
        super().__init__(
            f"No {INDEX_NAME} in {places} or any folder above. "
            "Change into the lab's folder, or set MERIDIAN_LAB to it"
        )


class CurriculumError(MeridianError, ValueError):
    """The course index is not valid."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}")


class UnknownKey(MeridianError, KeyError):
    """No module or lesson has this key."""

    __str__ = Exception.__str__  # KeyError would print the message in quotes

    def __init__(self, key: str, kind: str, known: Iterable[str]) -> None:
        self.key = key
        self.kind = kind
        known = list(known)
        likeness = [difflib.SequenceMatcher(None, other, key).ratio() for other in known]
        best = max(likeness, default=0.0)
        self.nearest = known[likeness.index(best)] if best >= _RESEMBLES else None
        if self.nearest:
            hint = f"; the nearest is {self.nearest!r}."
        else:
            hint = f". A key looks like {known[0]!r};" if known else "."
        super().__init__(f"No {kind} {key!r}{hint} `meridian map` lists them all")


class NotAvailable(MeridianError, LookupError):
    """The module is planned, not built."""

    def __init__(self, key: str, available: list[str]) -> None:
        self.key = key
        self.available = available
        super().__init__(f"{key} is planned, not available yet. Available: {', '.join(available)}")


class Curriculum:
    """All tracks, and look-up by key."""

    def __init__(self, root: Path, tracks: tuple[Track, ...]) -> None:
        self.root = root
        self.tracks = tracks
        self._modules = {m.key: m for track in tracks for m in track.modules}
        self._lessons = {x.key: x for m in self._modules.values() for x in m.lessons}

    def modules(self) -> list[Module]:
        """Every module, planned ones included, in course order."""
        return list(self._modules.values())

    def lessons(self) -> list[Lesson]:
        """Every lesson, planned ones included, in course order."""
        return list(self._lessons.values())

    def module(self, key: str) -> Module:
        """The module ``track/NN-name``. Raises `UnknownKey`."""
        try:
            return self._modules[key]
        except KeyError:
            raise UnknownKey(key, "module", self._open_first(self._modules)) from None

    def available(self, key: str) -> Module:
        """The module `key`, if it can be worked on. Raises `UnknownKey` or `NotAvailable`."""
        module = self.module(key)
        if not module.available:
            raise NotAvailable(key, [m.key for m in self.modules() if m.available])
        return module

    def lesson(self, key: str) -> Lesson:
        """The lesson ``track/NN-name/N``. Raises `UnknownKey`."""
        try:
            return self._lessons[key]
        except KeyError:
            raise UnknownKey(key, "lesson", self._open_first(self._lessons)) from None

    def capstone(self, key: str) -> Capstone:
        """The capstone of module `key`. Raises `UnknownKey`."""
        return self.module(key).capstone

    def _open_first(self, keys: Iterable[str]) -> list[str]:
        """Keys of available modules before those of planned ones: a hint shows the first."""
        return sorted(keys, key=lambda k: not self._modules["/".join(k.split("/")[:2])].available)


def lab_root(start: Path | None = None) -> Path:
    """The folder that holds ``curriculum.toml``.

    The environment variable ``MERIDIAN_LAB`` decides when it is set; otherwise the first match
    going up from `start` (default: the working directory), then from this package. Raises
    `LabNotFound`.
    """
    named = os.environ.get("MERIDIAN_LAB")
    if named:
        root = Path(named).expanduser().resolve()
        if (root / INDEX_NAME).is_file():
            return root
        raise LabNotFound([root])
    starts = [(start or Path.cwd()).resolve(), Path(__file__).resolve().parent]
    for begin in starts:
        for folder in (begin, *begin.parents):
            if (folder / INDEX_NAME).is_file():
                return folder
    raise LabNotFound(starts)


def load(root: Path | None = None) -> Curriculum:
    """Read and check the course index of the lab at `root` (default: `lab_root()`).

    Raises `LabNotFound`, or `CurriculumError` naming the entry that is wrong.
    """
    root = lab_root() if root is None else Path(root)
    path = root / INDEX_NAME
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LabNotFound([root]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CurriculumError(path, f"not valid TOML: {error}") from error
    try:
        index = msgspec.convert(raw, _Index)
    except msgspec.ValidationError as error:
        raise CurriculumError(path, str(error)) from error
    tracks = tuple(_keyed(track) for track in index.tracks)
    for problem in problems(tracks):
        raise CurriculumError(path, problem)
    return Curriculum(root, tracks)


class _Index(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tracks: tuple[Track, ...]


def _keyed(track: Track) -> Track:
    """Write its key into every module, lesson and capstone."""
    modules = []
    for module in track.modules:
        key = f"{track.slug}/{module.slug}"
        modules.append(
            msgspec.structs.replace(
                module,
                key=key,
                lessons=tuple(
                    msgspec.structs.replace(lesson, key=f"{key}/{number}")
                    for number, lesson in enumerate(module.lessons, 1)
                ),
                capstone=msgspec.structs.replace(module.capstone, key=key),
            )
        )
    return msgspec.structs.replace(track, modules=tuple(modules))
