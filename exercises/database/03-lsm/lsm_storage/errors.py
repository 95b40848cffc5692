"""Every error of the engine. Given: nothing to write here.

LsmError
├── OutOfOrder       (also ValueError)
├── CorruptTable
├── ManifestMissing
├── EngineClosed
└── EngineFailed
"""

from __future__ import annotations


class LsmError(Exception):
    """Base of every error raised on purpose."""


class OutOfOrder(LsmError, ValueError):
    def __init__(self, last: bytes, key: bytes) -> None:
        self.last, self.key = last, key
        super().__init__(f"Keys must ascend: {key.hex()} comes after {last.hex()}")


class CorruptTable(LsmError):
    """The bytes of a table are not what was written."""

    def __init__(self, path: str, part: str) -> None:
        self.path, self.part = path, part
        super().__init__(f"{path} is corrupt: {part}")


class ManifestMissing(LsmError):
    """There are tables and no list of them: guessing could bring deleted records back."""

    def __init__(self, path: str, tables: int) -> None:
        self.path, self.tables = path, tables
        super().__init__(f"{path} is missing, yet there are {tables} tables; restore it")


class EngineClosed(LsmError):
    def __init__(self) -> None:
        super().__init__("The engine is closed")


class EngineFailed(LsmError):
    """The background thread met an error; reads go on, writes do not."""

    def __init__(self, cause: BaseException) -> None:
        self.cause = cause
        super().__init__(f"A flush or compaction failed: {cause}")
