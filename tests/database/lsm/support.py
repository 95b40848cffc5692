"""A file system that forgets to sync: what is tested here is not the device."""

from __future__ import annotations

from meridian.fs import OsFileSystem, OsLogFile, StrPath

__all__ = ["Unsynced"]


class _UnsyncedLog(OsLogFile):
    __slots__ = ()

    def sync(self) -> None:
        """Nothing."""


class Unsynced(OsFileSystem):
    """The machine's own, ten times faster. A fault can be injected into a sync all the same."""

    __slots__ = ()

    def create(self, path: StrPath) -> OsLogFile:
        file = super().create(path)
        file.__class__ = _UnsyncedLog
        return file

    def sync_dir(self, path: StrPath) -> None:
        """Nothing."""
