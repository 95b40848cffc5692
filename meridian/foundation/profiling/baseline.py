"""Measurements kept for later, in one JSON file."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

import msgspec

from meridian.errors import MeridianError
from meridian.foundation.profiling._wire import decode, encode
from meridian.foundation.profiling.files import replace_files
from meridian.foundation.profiling.measurement import Measurement
from meridian.fs import FileSystem, OsFileSystem

__all__ = ["BaselineCorrupt", "BaselineMissing", "BaselineStore"]

_FORMAT = "meridian-baseline"
_VERSION = 1


class BaselineCorrupt(MeridianError, ValueError):
    """The baseline file is there but is not a baseline."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"Baseline {path} is corrupt: {reason}. Move it away to start again")


class BaselineMissing(MeridianError, KeyError):
    """No measurement of that name was saved."""

    def __init__(self, path: Path, name: str, known: list[str]) -> None:
        self.path = path
        self.name = name
        self.known = known
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; it holds {known or 'nothing'}"
        super().__init__(f"No measurement {name!r} in {path}{hint}")

    def __str__(self) -> str:  # KeyError would show the message quoted
        return str(self.args[0])


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    format: str = _FORMAT
    version: int = _VERSION
    measurements: dict[str, Measurement] = {}


class BaselineStore:
    """Remember measurements across runs without ever losing one.

    A save replaces the file in one step, under a lock, so that neither a crash nor a second
    writer costs a measurement. A file that cannot be read is an error, never a fresh start:
    an empty baseline would make every regression pass. Stored times hold for one machine and one
    set of versions; `compare_samples` refuses to mix them.
    """

    def __init__(self, path: str | os.PathLike[str], *, fs: FileSystem | None = None) -> None:
        self.path = Path(path)
        self._fs = fs or OsFileSystem()

    def save(self, name: str, m: Measurement) -> None:
        """Store `m` under `name`, replacing an earlier one."""
        if not isinstance(name, str) or not name:
            raise ValueError(f"Expected a name, got {name!r}")
        if not isinstance(m, Measurement):
            raise TypeError(f"Expected a Measurement, got {type(m).__name__}")
        with self._lock():
            document = self._read()
            document.measurements[name] = m
            replace_files({self.path: encode(document)}, self._fs)

    def load(self, name: str) -> Measurement:
        """The measurement saved as `name`; `BaselineMissing` (a `KeyError`), `BaselineCorrupt`."""
        known = self._read().measurements
        if name not in known:
            raise BaselineMissing(self.path, name, sorted(known))
        return known[name]

    def names(self) -> list[str]:
        """Saved names, sorted; empty when nothing was ever saved."""
        return sorted(self._read().measurements)

    def _read(self) -> _Document:
        if not self._fs.exists(self.path):
            return _Document()
        try:
            document = decode(bytes(self._fs.read(self.path)), _Document)
        except (ValueError, UnicodeDecodeError) as error:
            raise BaselineCorrupt(self.path, str(error)) from None
        if (document.format, document.version) != (_FORMAT, _VERSION):
            found = f"{document.format} version {document.version}"
            raise BaselineCorrupt(self.path, f"expected {_FORMAT} version {_VERSION}, got {found}")
        return document

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """One writer at a time; beside the file, because the file itself is replaced."""
        self._fs.mkdir(self.path.parent)
        fd = os.open(self.path.with_name(f".{self.path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)
