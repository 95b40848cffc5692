"""What can be wrong with a page file, one small class per state.

    StorageError
    ├── CorruptPage
    │   ├── BadMagic
    │   ├── ChecksumMismatch
    │   ├── MisdirectedPage
    │   ├── BadPageType
    │   └── BadSlot
    ├── TruncatedFile      (EOFError)
    ├── BadFormat          (ValueError)
    ├── FileLocked         (BlockingIOError)
    ├── PageOutOfRange     (IndexError)
    ├── PoolExhausted      (RuntimeError)
    ├── PinError           (ValueError)
    ├── PinLeak            (RuntimeError)
    ├── RecordTooLarge     (ValueError)
    ├── RecordNotFound     (LookupError)
    └── StorageClosed      (ValueError)
        └── PagesLost

In parentheses: the builtin that catches it as well.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from meridian.errors import MeridianError

__all__ = [
    "BadFormat",
    "BadMagic",
    "BadPageType",
    "BadSlot",
    "ChecksumMismatch",
    "CorruptPage",
    "FileLocked",
    "MisdirectedPage",
    "PageOutOfRange",
    "PagesLost",
    "PinError",
    "PinLeak",
    "PoolExhausted",
    "RecordNotFound",
    "RecordTooLarge",
    "StorageClosed",
    "StorageError",
    "TruncatedFile",
]


class StorageError(MeridianError):
    """Base of every error of the storage engine."""


class CorruptPage(StorageError):
    """The bytes of a page are not what was written to it."""

    def __init__(self, page_id: int, reason: str) -> None:
        self.page_id = page_id
        self.reason = reason
        super().__init__(f"Page {page_id} is corrupt: {reason}")


class BadMagic(CorruptPage):
    """The page, or the whole file, does not begin with the format's signature."""

    def __init__(self, page_id: int, found: bytes, path: str | os.PathLike[str] = "") -> None:
        self.found = found
        self.path = os.fspath(path)
        shown = found.hex(" ") if found else "nothing"
        super().__init__(page_id, f"expected magic 4f 4f 52 31, found {shown}")
        if self.path:
            self.args = (f"{self.path} is not a page file: {self.reason}",)


class ChecksumMismatch(CorruptPage):
    """The page's bytes do not add up to the checksum stored with them."""

    def __init__(self, page_id: int, stored: int, computed: int) -> None:
        self.stored = stored
        self.computed = computed
        super().__init__(page_id, f"stored checksum {stored:#010x}, computed {computed:#010x}")


class MisdirectedPage(CorruptPage):
    """A sound page, in the place of another one."""

    def __init__(self, page_id: int, found: int) -> None:
        self.found = found
        super().__init__(page_id, f"page {found} was written in its place")


class BadPageType(CorruptPage):
    """The page is sound but not of a kind that can stand here."""

    def __init__(self, page_id: int, found: int, expected: str = "a known page type") -> None:
        self.found = found
        self.expected = expected
        super().__init__(page_id, f"expected {expected}, found type {found}")


class BadSlot(CorruptPage):
    """The slot directory contradicts itself, although the checksum holds."""

    def __init__(self, page_id: int, slot: int, reason: str) -> None:
        self.slot = slot
        super().__init__(page_id, f"slot {slot} {reason}")


class TruncatedFile(StorageError, EOFError):
    """The file ends before its pages do."""

    def __init__(self, path: str | os.PathLike[str], expected: int, size: int, hint: str) -> None:
        self.path = os.fspath(path)
        self.expected = expected
        self.size = size
        super().__init__(f"{self.path} has {size} bytes, expected {expected}: {hint}")


class BadFormat(StorageError, ValueError):
    """A page file, but not one that this call can open."""

    def __init__(
        self, path: str | os.PathLike[str], field: str, expected: int, found: int, fix: str
    ) -> None:
        self.path = os.fspath(path)
        self.field = field
        self.expected = expected
        self.found = found
        super().__init__(f"{self.path} has {field} {found}, expected {expected}: {fix}")


class FileLocked(StorageError, BlockingIOError):
    """Another opener holds the file; `here` says whether it is in this very process."""

    def __init__(self, path: str | os.PathLike[str], *, here: bool = False) -> None:
        self.path = os.fspath(path)
        self.here = here
        super().__init__(
            f"{self.path} is open in this process already (a notebook cell run twice?): "
            "close() it first"
            if here
            else f"{self.path} is open in another process: close it there first"
        )


class PageOutOfRange(StorageError, IndexError):
    """A page id that the file does not have."""

    def __init__(self, page_id: int, page_count: int) -> None:
        self.page_id = page_id
        self.page_count = page_count
        have = f"1..{page_count - 1}" if page_count > 1 else "no data pages yet"
        super().__init__(f"Page {page_id} is out of range: the file has {have}")


class PoolExhausted(StorageError, RuntimeError):
    """Every frame is pinned, so no page can make room."""

    def __init__(self, frames: int, pins: Mapping[int, int], needed: int = 1) -> None:
        self.frames = frames
        self.pins = dict(pins)
        self.needed = needed
        super().__init__(
            f"Need {_count(needed, 'frame')}, the pool has {frames}: open a larger pool"
            if needed > frames
            else f"Need {_count(needed, 'free frame')}, but of {frames} these pages are pinned "
            f"(page: pins): {_some(self.pins)}; unpin some or open a larger pool"
        )


class PinError(StorageError, ValueError):
    """A pin was used or released after its end, never taken, or is still needed.

    `page_id` is ``None`` where no page is concerned, but a frame.
    """

    def __init__(self, page_id: int | None, reason: str) -> None:
        self.page_id = page_id
        self.reason = reason
        if page_id is None:
            super().__init__(reason[:1].upper() + reason[1:])
        else:
            super().__init__(f"Page {page_id}: {reason}")


class PinLeak(StorageError, RuntimeError):
    """The pool was closed while pages were pinned. Everything dirty has been written."""

    def __init__(self, pins: Mapping[int, int]) -> None:
        self.pins = dict(pins)
        super().__init__(
            f"Closed with pages still pinned (page: pins): {_some(self.pins)}; "
            "use `with pool.fetch(page_id) as page:`"
        )


class RecordTooLarge(StorageError, ValueError):
    """A record longer than the format can store."""

    def __init__(self, size: int, limit: int) -> None:
        self.size = size
        self.limit = limit
        super().__init__(f"Record has {size} bytes, the limit is {limit}")


class RecordNotFound(StorageError, LookupError):
    """No record under this id, where one is needed."""

    def __init__(self, page_id: int, slot: int) -> None:
        self.page_id = page_id
        self.slot = slot
        super().__init__(f"No record in page {page_id}, slot {slot}")


class StorageClosed(StorageError, ValueError):
    """The file, pool or manager has been closed."""

    def __init__(self, what: str, consequence: str = "") -> None:
        self.what = what
        super().__init__(f"{what} is closed" + (f": {consequence}" if consequence else ""))


class PagesLost(StorageClosed):
    """The file was closed under a pool with changed pages, which can be written nowhere."""

    def __init__(self, path: str | os.PathLike[str], page_ids: Sequence[int]) -> None:
        self.page_ids = tuple(page_ids)
        shown = ", ".join(map(str, self.page_ids[:16])) + (", ..." if self.page_ids[16:] else "")
        super().__init__(
            os.fspath(path),
            f"the changes of {_count(len(self.page_ids), 'page')} are lost ({shown}); "
            "close the pool before its file",
        )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _some(pins: Mapping[int, int], limit: int = 16) -> str:
    shown = ", ".join(f"{page}: {count}" for page, count in list(pins.items())[:limit])
    return f"{{{shown}{', ...' if len(pins) > limit else ''}}}"
