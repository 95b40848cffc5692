"""What can be wrong with the engine and its tables, one small class per state.

    LsmError
    ├── CorruptTable     (ValueError)
    ├── OutOfOrder       (ValueError)
    ├── FrozenError      (RuntimeError)
    ├── ManifestMissing  (FileNotFoundError)
    ├── ManifestCorrupt  (ValueError)
    ├── MissingTable     (FileNotFoundError)
    ├── EngineLocked     (BlockingIOError)
    ├── EngineFailed     (RuntimeError)
    └── EngineClosed     (ValueError)

In parentheses: the builtin that catches it as well.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from meridian.errors import MeridianError

__all__ = [
    "CorruptTable",
    "EngineClosed",
    "EngineFailed",
    "EngineLocked",
    "FrozenError",
    "LsmError",
    "ManifestCorrupt",
    "ManifestMissing",
    "MissingTable",
    "OutOfOrder",
]

_Path = str | os.PathLike[str]


class LsmError(MeridianError):
    """Base of every error of the LSM engine."""


class CorruptTable(LsmError, ValueError):
    """A part of a table file (footer, index, filter, props, block 7) is not what was written."""

    def __init__(self, path: _Path, part: str, reason: str) -> None:
        self.path = os.fspath(path)
        self.part = part
        self.reason = reason
        super().__init__(f"{self.path}: the {part} is corrupt: {reason}")


class OutOfOrder(LsmError, ValueError):
    """A table is written in strictly ascending order of keys; this one came too late, or again."""

    def __init__(self, key: bytes, last: bytes) -> None:
        self.key = key
        self.last = last
        same = "again" if key == last else f"after {_shown(last)}"
        super().__init__(f"Key {_shown(key)} came {same}: keys must be strictly ascending")


class FrozenError(LsmError, RuntimeError):
    """A memtable that was frozen takes no more writes: they belong into the next one."""

    def __init__(self, table_id: int) -> None:
        self.table_id = table_id
        super().__init__(f"Memtable {table_id} is frozen: write to the active one")


class ManifestMissing(LsmError, FileNotFoundError):
    """Tables, but no list of those that count. Nothing was deleted."""

    def __init__(self, path: _Path, tables: Sequence[str]) -> None:
        self.path = os.fspath(path)
        self.tables = tuple(tables)
        some = ", ".join(self.tables[:4]) + (", ..." if self.tables[4:] else "")
        super().__init__(
            f"{self.path} is missing beside {len(self.tables)} tables ({some}): restore it, or "
            "move the tables away to start empty"
        )


class ManifestCorrupt(LsmError, ValueError):
    """The list of tables cannot be read."""

    def __init__(self, path: _Path, reason: str) -> None:
        self.path = os.fspath(path)
        self.reason = reason
        super().__init__(f"{self.path} is corrupt: {reason}")


class MissingTable(LsmError, FileNotFoundError):
    """The list names a table that is not there."""

    def __init__(self, path: _Path) -> None:
        self.path = os.fspath(path)
        super().__init__(f"{self.path} is listed but missing: restore it before opening")


class EngineLocked(LsmError, BlockingIOError):
    """Another engine has this folder open; `here` says whether in this very process."""

    def __init__(self, path: _Path, *, here: bool = False) -> None:
        self.path = os.fspath(path)
        self.here = here
        where = "this process already (a notebook cell run twice?)" if here else "another process"
        super().__init__(f"{self.path} is open in {where}: close() it there first")


class EngineFailed(LsmError, RuntimeError):
    """A flush or compaction failed, so no write is taken; what was written can be read."""

    def __init__(self, cause: BaseException) -> None:
        self.cause = cause
        super().__init__(
            f"The engine takes no writes since {type(cause).__name__}: {cause}; mend that and "
            "call flush()"
        )


class EngineClosed(LsmError, ValueError):
    """The engine, or a table of it, was closed."""

    def __init__(self, what: str = "The engine") -> None:
        self.what = what
        super().__init__(f"{what} is closed")


def _shown(key: bytes) -> str:
    return f"{key[:16].hex()}{'...' if key[16:] else ''}" if key else "(empty)"
