"""Open a folder of tables: one engine at a time, all that is listed, nothing that is not."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Final

from meridian.database.lsm.errors import EngineLocked, ManifestMissing, MissingTable
from meridian.database.lsm.manifest import STATE_NAME, ManifestStore
from meridian.database.lsm.tables import TableFiles, TableHandle
from meridian.database.lsm.version import Version, VersionEdit, table_name
from meridian.fs import FileSystem, RandomFile, locked_here

__all__ = ["LOCK_NAME", "Opened", "lock_folder", "open_tables"]

LOCK_NAME: Final = "LOCK"
_TABLE: Final = re.compile(r"sst_(\d{6,})\.dat")


@dataclass(frozen=True, slots=True)
class Opened:
    """What an engine begins with."""

    version: Version
    handles: dict[int, TableHandle]


def lock_folder(folder: str, fs: FileSystem) -> RandomFile:
    """The open lock file of `folder`, which is made if need be. The system frees it at death.

    Raises `EngineLocked`, `OSError`.
    """
    if not fs.exists(folder):
        fs.mkdir(folder)
        fs.sync_dir(os.path.dirname(os.path.abspath(folder)))
    path = os.path.join(folder, LOCK_NAME)
    file = fs.open_random(path, create=True)
    try:
        if not file.lock():
            raise EngineLocked(folder, here=locked_here(path))
    except BaseException:
        file.close()
        raise
    return file


def open_tables(folder: str, manifest: ManifestStore, files: TableFiles, fs: FileSystem) -> Opened:
    """Load the list, open every table on it, then remove what a crash left behind.

    Raises `ManifestMissing`, `MissingTable`, `CorruptTable`, and what `manifest` raises; then
    nothing was removed. Names that are not those of tables are left alone in any case.
    """
    names = fs.listdir(folder)
    ids = {name: number for name in names if (number := _table_id(name)) is not None}
    version = manifest.load()
    if version is None:
        if ids:
            raise ManifestMissing(os.path.join(folder, STATE_NAME), sorted(ids))
        manifest.commit(VersionEdit())
        version = Version()
    handles = {}
    for meta in version.tables:
        if table_name(meta.sst_id) not in ids:
            raise MissingTable(files.path(meta.sst_id))
        handles[meta.sst_id] = files.open(meta)
    leftovers = [name for name, number in ids.items() if number not in handles]
    leftovers += [
        name for name in names if name.endswith(".tmp") and _table_id(name[:-4]) is not None
    ]
    for name in leftovers:
        fs.unlink(os.path.join(folder, name))
    if leftovers:
        fs.sync_dir(folder)
    newest = max((*ids.values(), version.next_id - 1))
    return Opened(
        Version(version.levels, version.flushed_lsn, newest + 1, version.cursors), handles
    )


def _table_id(name: str) -> int | None:
    """The number in a table's name, None for any other name, ``sst_0000001.dat`` included."""
    match = _TABLE.fullmatch(name)
    if match is None:
        return None
    number = int(match[1])
    return number if table_name(number) == name else None
