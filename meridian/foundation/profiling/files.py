"""Replace a file in one step: a reader sees the old content or the new, never half of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from meridian.fs import FileSystem, OsFileSystem

__all__ = ["replace_files"]


def replace_files(contents: Mapping[Path, bytes], fs: FileSystem | None = None) -> None:
    """Write every file beside its destination, sync, and only then rename them into place.

    Folders are created. If writing fails (a full disk), no destination has changed and nothing is
    left behind; the `OSError` propagates.
    """
    fs = fs or OsFileSystem()
    staged: dict[Path, Path] = {}
    try:
        for path, data in contents.items():
            fs.mkdir(path.parent)
            staging = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
            file = fs.create(staging)
            staged[path] = staging
            try:
                file.write(data)
                file.sync()
            finally:
                file.close()
        for path in contents:
            fs.rename(staged[path], path)
            del staged[path]
        for folder in {path.parent for path in contents}:
            fs.sync_dir(folder)
    finally:
        for staging in staged.values():
            with suppress(OSError):
                fs.unlink(staging)
