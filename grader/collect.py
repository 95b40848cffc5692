"""Taking in a submission: plain files of known kinds, copied and hashed, or a clear refusal."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from meridian.errors import MeridianError

__all__ = ["Collected", "SubmissionRefused", "collect"]

NOTEBOOK = "capstone.ipynb"
MAX_FILES = 200
MAX_FILE_BYTES = 1 * 2**20
MAX_NOTEBOOK_BYTES = 16 * 2**20
MAX_TOTAL_BYTES = 32 * 2**20
MAX_DEPTH = 8
_IGNORED = frozenset({"__pycache__", ".ipynb_checkpoints", ".mypy_cache", ".ruff_cache"})
_COMPILED = (".pyc", ".pyo", ".so", ".pyd", ".dylib", ".dll", ".pth")


class SubmissionRefused(MeridianError, ValueError):
    """A submission that is not run at all: where, why, and what to do about it."""

    def __init__(self, where: str, reason: str, fix: str) -> None:
        self.where = where
        self.reason = reason
        self.fix = fix
        super().__init__(f"{where}: {reason}. {fix}")


class Collected(msgspec.Struct, frozen=True):
    """What was taken: paths relative to the submission, and the digest of all content."""

    files: tuple[str, ...]
    sha256: str
    total_bytes: int
    has_notebook: bool


def collect(source: Path, destination: Path, package: str) -> Collected:
    """Copy `package` and the capstone notebook from `source` into the new folder `destination`.

    Nothing else in `source` is looked at. The digest covers names and content, not dates or
    modes. Raises `SubmissionRefused` for links, devices, compiled code, and for too much of
    anything; `source` itself may be reached through a link.
    """
    root = Path(os.path.realpath(source))
    if not root.is_dir():
        raise SubmissionRefused(str(source), "not a folder", "Submit the exercise folder.")
    if not (root / package).exists():
        raise SubmissionRefused(
            package, "missing", f"Submit the folder that holds the package {package}."
        )
    names = sorted(_walk(root, package, 1))
    has_notebook = os.path.lexists(root / NOTEBOOK)
    if has_notebook:
        names.append(NOTEBOOK)
    digest, total = hashlib.sha256(), 0
    destination.mkdir(mode=0o755, parents=True)
    for name in names:
        cap = MAX_NOTEBOOK_BYTES if name == NOTEBOOK else MAX_FILE_BYTES
        content = _read(root, name, cap)
        total += len(content)
        if total > MAX_TOTAL_BYTES:
            raise SubmissionRefused(
                name, f"more than {MAX_TOTAL_BYTES} bytes in all", "Remove data files."
            )
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
        target = destination / name
        target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        target.write_bytes(content)
    return Collected(tuple(names), digest.hexdigest(), total, has_notebook)


def _walk(root: Path, folder: str, depth: int) -> Iterator[str]:
    """Relative paths of the files below `folder`, refusing what is neither file nor folder."""
    if depth > MAX_DEPTH:
        raise SubmissionRefused(folder, f"deeper than {MAX_DEPTH} folders", "Flatten it.")
    facts = os.lstat(root / folder)
    if not stat.S_ISDIR(facts.st_mode):
        raise _not_plain(folder, facts)
    count = 0
    with os.scandir(root / folder) as entries:
        for entry in entries:
            name = f"{folder}/{entry.name}"
            facts = entry.stat(follow_symlinks=False)
            if entry.name in _IGNORED:
                continue
            if not entry.name.isprintable():  # control characters, bytes that are no text
                raise SubmissionRefused(ascii(name), "a name that cannot be shown", "Rename it.")
            count += 1
            if count > MAX_FILES:
                raise SubmissionRefused(folder, f"more than {MAX_FILES} files", "Remove some.")
            if stat.S_ISDIR(facts.st_mode):
                yield from _walk(root, name, depth + 1)
            elif not stat.S_ISREG(facts.st_mode):
                raise _not_plain(name, facts)
            elif entry.name.endswith(_COMPILED):
                raise SubmissionRefused(name, "compiled code", "Submit Python source only.")
            else:
                yield name


def _read(root: Path, name: str, cap: int) -> bytes:
    """The content of a plain file; what it is, is checked on the open descriptor."""
    try:
        fd = os.open(root / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        facts = os.lstat(root / name)
        if not stat.S_ISREG(facts.st_mode):
            raise _not_plain(name, facts) from None
        raise SubmissionRefused(name, f"cannot be read: {error.strerror}", "Allow it.") from None
    with open(fd, "rb") as file:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode) or facts.st_nlink > 1:
            raise _not_plain(name, facts)
        content = file.read(cap + 1)
    if len(content) > cap:
        raise SubmissionRefused(name, f"larger than {cap} bytes", "Remove data and outputs.")
    return content


def _not_plain(name: str, facts: os.stat_result) -> SubmissionRefused:
    if stat.S_ISLNK(facts.st_mode):
        return SubmissionRefused(name, "a symbolic link", "Replace it by the file itself.")
    if stat.S_ISREG(facts.st_mode) and facts.st_nlink > 1:
        return SubmissionRefused(name, "a hard link", "Replace it by a copy of the file.")
    return SubmissionRefused(name, "neither a file nor a folder", "Remove it.")
