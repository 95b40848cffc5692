"""The list of tables that count, on disk, replaced in one step.

A table is not part of the store because its file is there, but because the list names it. Whatever
crashes where it may: the list is the old one or the new one.
"""

from __future__ import annotations

import json
import os
import zlib
from contextlib import suppress
from typing import Any, Final, Protocol

from meridian.database.lsm.errors import ManifestCorrupt
from meridian.database.lsm.version import SstMeta, Version, VersionEdit
from meridian.fs import FileSystem, OsFileSystem, StrPath, failpoint

__all__ = ["STATE_NAME", "ManifestStore", "SnapshotManifest"]

STATE_NAME: Final = "LSMSTATE"
_FORMAT: Final = 1


class ManifestStore(Protocol):
    """Where the engine keeps its `Version`. One engine uses one of them, one call at a time."""

    def load(self) -> Version | None:
        """What counts, or None where no list was ever written."""
        ...

    def commit(self, edit: VersionEdit) -> None:
        """Make `edit` part of the list, durably, whole or not at all.

        If it raises, either may be the case until the next commit succeeds: that one builds on the
        list without `edit`.
        """
        ...


class SnapshotManifest:
    """The whole list in one small JSON file, written anew for every edit.

    Write to another name, fsync, rename, fsync the folder: the order that makes a rename atomic and
    durable (Pillai et al., OSDI '14). A checksum tells a flipped bit from a key.
    """

    def __init__(
        self,
        path: StrPath,
        *,
        fs: FileSystem | None = None,
        name: str = STATE_NAME,
        sync: bool = True,
    ) -> None:
        """In folder `path`. Nothing is read before `load`.

        With ``sync=False`` a commit is atomic for whoever survives, but durable only when the
        system says so.
        """
        self.folder = os.fspath(path)
        self.path = os.path.join(self.folder, name)
        self._fs: FileSystem = OsFileSystem() if fs is None else fs
        self._sync = sync
        self._version = Version()

    def load(self) -> Version | None:
        """Raises `ManifestCorrupt` for what cannot be read as a list, `OSError`."""
        if not self._fs.exists(self.path):
            return None
        self._version = _decoded(bytes(self._fs.read(self.path)), self.path)
        return self._version

    def commit(self, edit: VersionEdit) -> None:
        """Raises `ValueError` where the edit does not fit, `OSError`."""
        version = self._version.applied(edit)
        temporary = f"{self.path}.tmp"
        with suppress(FileNotFoundError):
            self._fs.unlink(temporary)  # left by a crash, or a commit that failed
        file = self._fs.create(temporary)
        try:
            file.write(_encoded(version))
            if self._sync:
                file.sync()
        finally:
            file.close()
        failpoint("commit.after_tmp")
        self._fs.rename(temporary, self.path)
        failpoint("commit.after_rename")
        if self._sync:
            self._fs.sync_dir(self.folder)
        self._version = version


def _encoded(version: Version) -> bytes:
    state = {
        "format": _FORMAT,
        "flushed_lsn": version.flushed_lsn,
        "next_id": version.next_id,
        "cursors": [[level, key.hex()] for level, key in version.cursors],
        "levels": [[_meta_to_json(meta) for meta in level] for level in version.levels],
    }
    return json.dumps({"crc32": _checksum(state), "state": state}, indent=1).encode() + b"\n"


def _decoded(data: bytes, path: str) -> Version:
    try:
        whole = json.loads(data)
        state = whole["state"]
        if whole["crc32"] != _checksum(state):
            raise ManifestCorrupt(path, "its checksum does not match")
        if state["format"] != _FORMAT:
            raise ManifestCorrupt(
                path, f"expected format {_FORMAT}, got {state['format']!r}: written by a newer one?"
            )
        levels = tuple(
            tuple(_meta_from_json(each, number) for each in level)
            for number, level in enumerate(state["levels"])
        )
        return Version(
            levels,
            int(state["flushed_lsn"]),
            int(state["next_id"]),
            tuple((int(level), bytes.fromhex(key)) for level, key in state["cursors"]),
        )
    except ManifestCorrupt:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ManifestCorrupt(path, f"it is no list of tables ({reason})") from error


def _checksum(state: Any) -> str:
    """Of the content, however it is laid out."""
    canonical = json.dumps(state, sort_keys=True, separators=(",", ":"))
    return f"{zlib.crc32(canonical.encode()):08x}"


def _meta_to_json(meta: SstMeta) -> dict[str, Any]:
    fields = meta._asdict()
    del fields["level"]
    return fields | {"min_key": meta.min_key.hex(), "max_key": meta.max_key.hex()}


def _meta_from_json(fields: dict[str, Any], level: int) -> SstMeta:
    values: dict[str, Any] = {
        name: bytes.fromhex(fields[name]) if name.endswith("_key") else int(fields[name])
        for name in SstMeta._fields
        if name != "level"
    }
    return SstMeta(level=level, **values)
