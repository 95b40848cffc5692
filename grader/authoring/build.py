"""Cuts the exercises out of the solutions: one master, so the two cannot drift.

A region of the master goes, and its first line says what stays in its place:

    ### BEGIN SOLUTION #5: compact() - keep every slot id
    ...
    ### END SOLUTION

leaves ``raise NotImplementedError("database/01-storage #5: compact() - keep every slot id")``, and
nothing where the line says nothing (private helpers). The markers are nbgrader's, so its tools
read the masters too. Notebooks are cut the same way, cell by cell, and lose their outputs.

The skeleton must have the public names and signatures of the solution. A file that somebody has
written in is never overwritten: the hashes of what was generated stand in ``.build.json``.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import msgspec

from grader.authoring.cutting import (
    BuildError,
    check_api,
    check_no_marker,
    cut_notebook,
    cut_source,
)
from meridian.academy.curriculum import Module, lab_root, load
from meridian.errors import MeridianError

__all__ = [
    "MANIFEST",
    "BuildResult",
    "EditedExercise",
    "build",
    "main",
    "write_exercise",
]

MANIFEST = ".build.json"
_SKIPPED = frozenset({"__pycache__", ".ipynb_checkpoints", ".mypy_cache", ".pytest_cache"})

_TEXTS = frozenset({".md", ".txt", ".toml", ".rst", ".json", ".yaml", ".yml", ".cfg"})


class EditedExercise(MeridianError, FileExistsError):
    """Files of an exercise were changed by hand; building again would lose that."""

    def __init__(self, folder: Path, files: list[str]) -> None:
        self.folder = folder
        self.files = files
        super().__init__(
            f"{folder} holds work in {', '.join(files)}: `meridian reset` keeps it, "
            "`grader build --force` overwrites it"
        )


class BuildResult(msgspec.Struct, frozen=True):
    """What one build did, or with ``check`` would do. Paths are relative to the exercise."""

    key: str
    written: tuple[str, ...]
    removed: tuple[str, ...]

    @property
    def up_to_date(self) -> bool:
        return not self.written and not self.removed


def generate(key: str, solution: Path) -> dict[str, bytes]:
    """The files of the exercise by relative path. Raises `BuildError` naming file and line."""
    if not solution.is_dir():
        raise BuildError(solution, 0, "no such solution")
    files = {}
    for path in sorted(solution.rglob("*")):
        name = path.relative_to(solution)
        hidden = any(part in _SKIPPED or part.startswith(".") for part in name.parts)
        if hidden or not path.is_file():
            continue
        if path.suffix == ".py":
            source = _text(path)
            skeleton = cut_source(source, key, path)
            check_api(source, skeleton, path)
            files[name.as_posix()] = skeleton.encode()
        elif path.suffix == ".ipynb":
            files[name.as_posix()] = cut_notebook(path.read_bytes(), key, path)
        else:
            files[name.as_posix()] = path.read_bytes()
            if path.suffix in _TEXTS:
                check_no_marker(_text(path), path)
    return files


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BuildError(path, 0, f"not UTF-8 at byte {error.start}") from None


def build(key: str, root: Path, *, check: bool = False, force: bool = False) -> BuildResult:
    """Generate the exercise of module `key`; with `check`, only say what is out of date.

    Everything is generated and verified before the first file is touched, and each file is
    replaced in one step. Raises `BuildError`, `EditedExercise` (unless `force`), `UnknownKey`.
    """
    module = load(root).module(key)
    folder = root / module.exercise
    files = generate(key, root / module.solution)
    known = _manifest(folder)
    found = {name: _digest(folder / name) for name in {*files, *known}}
    written = [name for name in files if found[name] != _hash(files[name])]
    removed = [name for name in known if name not in files and found[name] is not None]
    manifest = _manifest_of(files)
    if _digest(folder / MANIFEST) != _hash(manifest):
        written.append(MANIFEST)
    result = BuildResult(key, tuple(sorted(written)), tuple(sorted(removed)))
    if check or result.up_to_date:
        return result
    edited = [
        name
        for name in (*written, *removed)
        if name != MANIFEST and found[name] not in (None, known.get(name))
    ]
    if edited and not force:
        raise EditedExercise(folder, sorted(edited))
    for name in written:
        _replace(folder / name, manifest if name == MANIFEST else files[name])
    for name in removed:
        (folder / name).unlink()
    return result


def write_exercise(root: Path, module: Module, target: Path) -> None:
    """Write the exercise as a learner first sees it into the new folder `target`, or nothing."""
    files = generate(module.key, root / module.solution)
    files[MANIFEST] = _manifest_of(files)
    target.mkdir(parents=True)
    try:
        for name, content in files.items():
            _replace(target / name, content)
    except BaseException:
        shutil.rmtree(target)
        raise


def main(capstone: str | None = None, *, check: bool = False, force: bool = False) -> int:
    """Build one capstone or all available ones, say what happened; 1 if `check` found a lag."""
    root = lab_root()
    keys = [capstone] if capstone else [m.key for m in load(root).modules() if m.available]
    status = 0
    for key in keys:
        result = build(key, root, check=check, force=force)
        verb = "out of date" if check else "written"
        for name in (*result.written, *result.removed):
            sys.stdout.write(f"{key}: {name} {verb}\n")
        if result.up_to_date:
            sys.stdout.write(f"{key}: up to date\n")
        elif check:
            status = 1
    return status


def _manifest_of(files: dict[str, bytes]) -> bytes:
    hashes = {name: _hash(content) for name, content in sorted(files.items())}
    return (json.dumps(hashes, indent=1) + "\n").encode()


def _manifest(folder: Path) -> dict[str, str]:
    """Hashes of the files generated last; empty when there was no build."""
    path = folder / MANIFEST
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except FileNotFoundError:
        return {}
    except msgspec.DecodeError as error:
        raise BuildError(path, 0, f"not a manifest ({error}); remove it") from None


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _digest(path: Path) -> str | None:
    """The hash of a file, ``None`` if it is not there."""
    try:
        return _hash(path.read_bytes())
    except FileNotFoundError:
        return None


def _replace(path: Path, content: bytes) -> None:
    """Make `content` the file's content in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, temporary = tempfile.mkstemp(prefix=".build-", dir=path.parent)
    try:
        with open(fd, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
