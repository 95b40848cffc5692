"""The progress file on disk: whole, or as it was before.

A write goes to a temporary file in the same folder, is synced, takes the place of the old file in
one rename, and the folder is synced: a kill at any point leaves the old record or the new one.
Writers in other processes wait for an advisory lock, so that no update is lost.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from meridian.academy.progress_records import SCHEMA_VERSION, Record
from meridian.errors import MeridianError
from meridian.fs import FileSystem, OsFileSystem, failpoint

__all__ = [
    "ProgressBusy",
    "ProgressCorrupt",
    "ProgressFile",
    "ProgressTooNew",
    "parse",
    "write_atomically",
]

_POLL_S = 0.01  # a write takes a few milliseconds


class ProgressCorrupt(MeridianError, ValueError):
    """The progress file cannot be read. `kept` is where it was moved, untouched."""

    def __init__(self, path: Path, reason: str, kept: Path | None = None) -> None:
        self.path = path
        self.reason = reason
        self.kept = kept
        message = f"{path} is not a progress record: {reason}"
        if kept is not None:
            message += (
                f". It was kept as {kept}, and the record starts empty. To get it back, mend that "
                f"file and run: meridian import {kept}"
            )
        super().__init__(message)


class ProgressTooNew(MeridianError, ValueError):
    """The progress file was written by a later version. It is left as it is."""

    def __init__(self, path: Path, version: int) -> None:
        self.path = path
        self.version = version
        super().__init__(
            f"{path} has schema version {version}, this program knows up to {SCHEMA_VERSION}. "
            "Update the lab (git pull), then run the command again"
        )


def parse(data: bytes, path: Path) -> Record:
    """The record in `data`. Raises `ProgressCorrupt` or `ProgressTooNew`, naming `path`."""
    try:
        version = msgspec.json.decode(data, type=_Versioned).schema_version
        if version > SCHEMA_VERSION:
            raise ProgressTooNew(path, version)
        return msgspec.json.decode(data, type=Record)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProgressCorrupt(path, str(error)) from error


class _Versioned(msgspec.Struct):
    schema_version: int


def write_atomically(path: Path, data: bytes, *, fs: FileSystem | None = None) -> None:
    """Replace `path` by `data`, durably, in one step. One writer at a time."""
    fs = fs or OsFileSystem()
    fs.mkdir(path.parent)
    temporary = path.with_name(path.name + ".tmp")
    with suppress(FileNotFoundError):  # left by a writer that was killed
        fs.unlink(temporary)
    failpoint("progress.create")
    file = fs.create(temporary)
    try:
        half = len(data) // 2
        file.write(data[:half])
        failpoint("progress.write")
        file.write(data[half:])
        failpoint("progress.sync")
        file.sync()
    finally:
        file.close()
    failpoint("progress.rename")
    fs.rename(temporary, path)
    failpoint("progress.sync_dir")
    fs.sync_dir(path.parent)


class ProgressBusy(MeridianError, TimeoutError):
    """Another process holds the lock of the progress file for longer than any write takes."""

    def __init__(self, path: Path, waited_s: float) -> None:
        self.path = path
        self.waited_s = waited_s
        super().__init__(
            f"{path} has been locked by another process for {waited_s:g} s. "
            "Is a `meridian` command suspended (see `jobs`)? Resume or end it, then try again"
        )


class ProgressFile:
    """One progress file, shared by every process of this learner.

    A writer waits up to `patience_s` seconds for its turn.
    """

    def __init__(
        self, path: Path, *, fs: FileSystem | None = None, patience_s: float = 10.0
    ) -> None:
        self.path = path
        self._patience_s = patience_s
        self._fs = fs or OsFileSystem()

    def read(self) -> Record:
        """The record; an empty one if there is no file yet.

        Raises `ProgressTooNew`, or `ProgressCorrupt` after moving the file aside.
        """
        try:
            return self._read()
        except ProgressCorrupt:
            with self.locked():  # another process may have moved it aside meanwhile
                return self._read_or_move_aside()

    def write(self, record: Record) -> None:
        """Replace the record. The caller holds the lock."""
        data = msgspec.json.format(msgspec.json.encode(record), indent=2)
        write_atomically(self.path, data + b"\n", fs=self._fs)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock that every writer takes. Raises `ProgressBusy` if it does not come free."""
        self._fs.mkdir(self.path.parent)
        fd = os.open(self.path.with_name(self.path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            self._wait_for_lock(fd)
            yield
        finally:
            os.close(fd)

    def _wait_for_lock(self, fd: int) -> None:
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise ProgressBusy(self.path, self._patience_s) from None
                time.sleep(_POLL_S)

    @contextmanager
    def update(self) -> Iterator[Record]:
        """Hold the lock around a read and the write that follows."""
        with self.locked():
            yield self._read_or_move_aside()

    def _read(self) -> Record:
        try:
            data = bytes(self._fs.read(self.path))
        except FileNotFoundError:
            return Record()
        return parse(data, self.path)

    def _read_or_move_aside(self) -> Record:
        try:
            return self._read()
        except ProgressCorrupt as error:
            kept = self._free_name()
            self._fs.rename(self.path, kept)
            self._fs.sync_dir(self.path.parent)
            raise ProgressCorrupt(self.path, error.reason, kept) from error

    def _free_name(self) -> Path:
        number = 1
        while True:
            path = self.path.with_name(f"{self.path.stem}.corrupt-{number}{self.path.suffix}")
            if not self._fs.exists(path):
                return path
            number += 1
