"""Folders that hostile code may have written to: measuring and removing them safely."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
from pathlib import Path

__all__ = [
    "Usage",
    "open_beneath",
    "open_inside",
    "open_to_box",
    "regular_file",
    "remove_tree",
    "usage",
]


class Usage:
    """What lies in a folder; `entries` is one more than the limit where counting stopped."""

    __slots__ = ("bytes", "entries")

    def __init__(self) -> None:
        self.bytes = 0
        self.entries = 0


def usage(folder: Path, max_entries: int) -> Usage:
    """Space on disk and number of entries below `folder`; links are not followed."""
    total = Usage()
    pending = [os.fspath(folder)]
    while pending and total.entries <= max_entries:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    total.entries += 1
                    facts = entry.stat(follow_symlinks=False)
                    total.bytes += facts.st_blocks * 512
                    if stat.S_ISDIR(facts.st_mode):
                        pending.append(entry.path)
                    if total.entries > max_entries:
                        break
        except OSError:  # removed meanwhile, or nested deeper than a path can say
            total.entries += 1
    return total


def open_to_box(folder: Path, uid: int | None) -> None:
    """Give everything in `folder` to `uid`, where the box runs as another user than the judge."""
    if uid is None:
        return
    os.chmod(folder, 0o777)
    # By descriptor: a path could be redirected by a link while the submission is running.
    for _, folders, names, here in os.fwalk(folder):
        for name in (*folders, *names):
            with contextlib.suppress(FileNotFoundError):
                if os.stat(name, dir_fd=here, follow_symlinks=False).st_uid != uid:
                    os.chown(name, uid, uid, dir_fd=here, follow_symlinks=False)


def open_inside(folder: Path, name: str, flags: int) -> int:
    """A descriptor of the plain file `folder` / `name`; no part of the way may be a link.

    Raises `ValueError` for what is not a plain file, or not inside; `OSError` as ``open`` does.
    """
    regular_file(folder, name)
    fd = open_beneath(folder, name, flags)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise ValueError(f"{name} is not a plain file")
    return fd


def open_beneath(folder: Path, name: str, flags: int) -> int:
    """A descriptor of whatever `folder` / `name` is, opened part by part from descriptor to
    descriptor: a link put in its way meanwhile leads nowhere, a pipe is not waited for.

    `name` is relative and has no ``..``. Raises `OSError`.
    """
    *above, last = name.split("/")
    here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in above:
            below = os.open(
                part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here
            )
            os.close(here)
            here = below
        safely = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        return os.open(last, flags | safely, 0o644, dir_fd=here)
    finally:
        os.close(here)


def regular_file(folder: Path, name: str) -> Path:
    """`folder` / `name`, whose existing parts are no links and whose end is a file, or missing.

    Raises `ValueError` otherwise: a link planted there would lead the judge astray.
    """
    parts = Path(name).parts
    if not parts or Path(name).is_absolute() or ".." in parts:
        raise ValueError(f"Expected a relative path inside the scratch folder, got {name!r}")
    path = folder
    for i, part in enumerate(parts):
        path = path / part
        try:
            facts = os.lstat(path)
        except FileNotFoundError:
            return folder.joinpath(*parts)
        last = i == len(parts) - 1
        fine = stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode)
        if not (fine if last else stat.S_ISDIR(facts.st_mode)):
            raise ValueError(f"{'/'.join(parts[: i + 1])} is not a plain file or folder")
    return path


def remove_tree(folder: Path) -> None:
    """Remove `folder` whatever was made of it: locked, or nested beyond Python's recursion."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except (OSError, RecursionError):
        for command in (["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
            subprocess.run([*command, "--", os.fspath(folder)], check=False, capture_output=True)
