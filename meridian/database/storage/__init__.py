"""The bottom of the database: a page file, a buffer pool, slotted records, a heap file.

Read in this order: `page` (what a page is), `page_file` (pages on disk), `buffer_pool` and
`policies` (pages in memory), `slotted_page` (records in a page), `page_manager` (records in a
file). Names are loaded when first used: importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meridian.lazy import lazy_names

if TYPE_CHECKING:
    from meridian.database.storage.background import flusher as flusher
    from meridian.database.storage.buffer_pool import *  # noqa: F403
    from meridian.database.storage.errors import *  # noqa: F403
    from meridian.database.storage.heap import PageInfo as PageInfo
    from meridian.database.storage.io_stats import *  # noqa: F403
    from meridian.database.storage.page import *  # noqa: F403
    from meridian.database.storage.page_file import *  # noqa: F403
    from meridian.database.storage.page_manager import PageManager as PageManager
    from meridian.database.storage.pinned_page import *  # noqa: F403
    from meridian.database.storage.policies import *  # noqa: F403
    from meridian.database.storage.pool_stats import *  # noqa: F403
    from meridian.database.storage.rid import *  # noqa: F403
    from meridian.database.storage.tle import *  # noqa: F403

_EXPORTS = {
    "errors": (
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
    ),
    "page": (
        "HEADER_SIZE",
        "MAGIC",
        "MAX_INLINE",
        "PAGE_SIZE",
        "SLOT_SIZE",
        "TOMBSTONE",
        "USABLE",
        "PageHeader",
        "PageType",
        "SlottedPage",
        "page_checksum",
        "seal",
        "verify",
    ),
    "buffer_pool": ("BufferPool",),
    "background": ("flusher",),
    "heap": ("PageInfo",),
    "page_manager": ("PageManager",),
    "pinned_page": ("PinnedPage",),
    "policies": ("Clock", "Lru", "Policy", "TwoQueue", "make_policy"),
    "pool_stats": ("PoolStatistics", "PoolStats"),
    "io_stats": ("IoStatistics", "IoStats"),
    "page_file": ("PageFile",),
    "rid": ("RecordId",),
    "tle": ("TLE_DTYPE", "TleRecord", "epoch_key"),
}
__all__ = sorted(name for names in _EXPORTS.values() for name in names)

__getattr__, __dir__ = lazy_names(__name__, _EXPORTS)
