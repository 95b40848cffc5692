"""What a verdict depends on besides the submission and its seed, as facts that can be compared."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

import meridian.testing
from grader.library import library_of
from meridian.academy.curriculum import Capstone

__all__ = [
    "course_digest",
    "differences",
    "grader_digest",
    "judging_digest",
    "packages",
    "software",
]

_PACKAGES = ("hypothesis", "ipykernel", "msgspec", "numba", "numpy", "pytest", "pyzmq")
_COMPARED = {
    "grader_sha256": "the grader or the suite",
    "course_sha256": "the capstone's entry, model answer or notebook",
    "python": "Python",
    "platform": "the system",
    "machine": "the kind of machine",
    "box": "the box",
}
_SHA_CHARS = 12


def software(capstone: Capstone, solution: Path | None) -> dict[str, Any]:
    """The facts that every report carries of the machine's software and the course's files."""
    return {
        "python": platform.python_version(),
        "platform": sys.platform,
        "machine": platform.machine(),
        "packages": packages(capstone),
        "course_sha256": course_digest(capstone, solution),
    }


def packages(capstone: Capstone) -> dict[str, str]:
    """The versions of what judges and of what the capstone may import, ``"none"`` if missing."""
    ours = library_of(capstone.library).requires - sys.stdlib_module_names
    return {name: _version(name) for name in sorted({*_PACKAGES, *capstone.third_party, *ours})}


def course_digest(capstone: Capstone, solution: Path | None) -> str:
    """One hash of the capstone's entry, its parts of `meridian` and its model answer's folder."""
    digest = hashlib.sha256(msgspec.json.encode(capstone))
    digest.update(library_of(capstone.library).digest().encode())
    files: Iterable[Path] = sorted(solution.rglob("*")) if solution is not None else ()
    for file in files:
        if file.is_file() and "__pycache__" not in file.parts:
            content = file.read_bytes()
            name = file.relative_to(solution).as_posix() if solution else file.name
            digest.update(f"\0{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def grader_digest(suite: Path) -> str:
    """The hash of this grader with `suite`, as every report names it."""
    return judging_digest(Path(__file__).parent, suite.parent)


def judging_digest(grader: Path, suites: Path) -> str:
    """One hash of the judging code: equal hash, equal submission, equal seed: equal verdict.

    The grader with all its parts but other tracks' suites, the suite with its helpers and peer
    beside it, and the models that suites compare with; but mutants, which judge nobody.
    """
    models = Path(meridian.testing.__path__[0])
    files = (
        *_sources(grader, without=grader / "acceptance"),
        *_sources(suites),
        *_sources(models),
    )
    return _digest(files)


class _Source(NamedTuple):
    """A file, how it is called in the hash, and what changes when its content does."""

    name: str
    path: str
    changed_ns: tuple[int, int]
    size: int
    inode: int


def _sources(place: Path, without: Path | None = None) -> Iterator[_Source]:
    """The Python files below `place` in order, but those below `without`."""
    found = []
    for folder, folders, names in os.walk(place):
        folders[:] = [
            name
            for name in folders
            if name != "__pycache__" and os.path.join(folder, name) != str(without)
        ]
        found += [
            os.path.join(folder, name)
            for name in names
            if name.endswith(".py") and not name.startswith("mutants_")
        ]
    for path in sorted(found):
        facts = os.stat(path)
        name = place.name + path.removeprefix(str(place)).replace(os.sep, "/")
        changed_ns = (facts.st_mtime_ns, facts.st_ctime_ns)
        yield _Source(name, path, changed_ns, facts.st_size, facts.st_ino)


@functools.lru_cache(maxsize=16)
def _digest(files: tuple[_Source, ...]) -> str:
    """Read again only when a file has changed: every job of a cohort asks."""
    digest = hashlib.sha256()
    for file in files:
        content = Path(file.path).read_bytes()
        digest.update(f"{file.name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    """What changed between the facts of two reports, in words; nothing means the same verdict.

    A fact that one of them does not name counts as changed: nothing is known of it.
    """
    found = []
    for name, words in _COMPARED.items():
        before, after = then.get(name), now.get(name)
        if before is None or before != after:
            found.append(f"{words}: {_short(name, before)} then, {_short(name, after)} now")
    old, new = then.get("packages"), now.get("packages") or {}
    if not isinstance(old, Mapping):
        found.append("the installed packages: not recorded then")
        old = new
    found += [
        f"{package}: {old.get(package)} then, {new.get(package)} now"
        for package in sorted({*old, *new})
        if old.get(package) != new.get(package)
    ]
    return tuple(found)


def _short(name: str, value: object) -> str:
    if value is None:
        return "not recorded"
    return str(value)[:_SHA_CHARS] if name.endswith("_sha256") else str(value)


@functools.cache
def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "none"
