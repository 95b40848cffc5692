"""What can be wrong with a tree or with what it is given, one small class per state.

    StorageError
    ├── CorruptPage
    │   └── TreeCorrupt
    └── BTreeError
        ├── DuplicateKey       (ValueError)
        ├── KeyRange           (ValueError)
        ├── IndexNeedsRebuild  (RuntimeError)
        └── LatchHeld          (RuntimeError)

In parentheses: the builtin that catches it as well.
"""

from __future__ import annotations

import os

from meridian.database.storage.errors import CorruptPage, StorageError

__all__ = [
    "BTreeError",
    "DuplicateKey",
    "IndexNeedsRebuild",
    "KeyRange",
    "LatchHeld",
    "TreeCorrupt",
]

_SHOWN = 60  # characters of a value in a message


class BTreeError(StorageError):
    """Base of every error of the B+ tree that is not a damaged page."""


class DuplicateKey(BTreeError, ValueError):
    """The key to insert has a record already. Nothing was changed."""

    def __init__(self, key: int, page_id: int, slot: int) -> None:
        self.key = key
        self.page_id = page_id
        self.slot = slot
        super().__init__(
            f"Key {key} is in the tree, for page {page_id}, slot {slot}: use upsert to replace it"
        )


class KeyRange(BTreeError, ValueError):
    """Something that is no key: keys are whole numbers of 32 bits."""

    def __init__(self, value: object) -> None:
        shown = repr(value)
        self.shown = shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 3]}..."
        self.kind = type(value).__name__
        super().__init__(
            f"Expected a key from 0 to {0xFFFF_FFFF} as int, got {self.shown} ({self.kind})"
        )


class IndexNeedsRebuild(BTreeError, RuntimeError):
    """The file was not closed cleanly, so its index may be older than its records, or torn."""

    def __init__(self, path: str | os.PathLike[str], root_slot: int = 0) -> None:
        self.path = os.fspath(path)
        self.root_slot = root_slot
        super().__init__(
            f"{self.path} was not closed cleanly: the tree in root slot {root_slot} may be half "
            "written; rebuild it from the records"
        )


class LatchHeld(BTreeError, RuntimeError):
    """The thread asks for the tree's latch while it holds it, and would wait for itself."""

    def __init__(self, held: str, wanted: str) -> None:
        self.held = held
        self.wanted = wanted
        super().__init__(
            f"This thread holds the tree's latch for {held} and asks for {wanted}: "
            "leave the first block before"
        )


class TreeCorrupt(CorruptPage):
    """The page is whole, but contradicts the tree it is in."""

    def __init__(self, page_id: int, rule: str) -> None:
        self.rule = rule
        super().__init__(page_id, rule)
