"""Records longer than a page: a chain of pages, and a stub of 8 bytes in the slot.

Stub: total length u32, first page u32. Overflow page, from byte 17: next page u32 (0 = last),
payload length u16, payload. SQLite and InnoDB chain long values in the same way.
"""

from __future__ import annotations

import struct
from contextlib import suppress

from meridian.database.storage.buffer_pool import BufferPool
from meridian.database.storage.errors import (
    BadPageType,
    CorruptPage,
    PageOutOfRange,
    RecordTooLarge,
    StorageError,
)
from meridian.database.storage.page import HEADER_SIZE, PageType

__all__ = ["STUB_SIZE", "OverflowChains", "overflow_capacity"]

_STUB = struct.Struct("<II")
_LINK = struct.Struct("<IH")
_PAYLOAD_AT = HEADER_SIZE + _LINK.size
_MAX_RECORD = 2**32 - 1
STUB_SIZE = _STUB.size


def overflow_capacity(page_size: int) -> int:
    """Payload bytes of one overflow page: 4,073 of 4,096."""
    return page_size - _PAYLOAD_AT


class OverflowChains:
    """Write, read and free chains, one page pinned at a time, so that any pool is large enough."""

    def __init__(self, pool: BufferPool) -> None:
        self._pool = pool
        self._capacity = overflow_capacity(pool.file.page_size)

    def write(self, record: memoryview) -> bytes:
        """Store `record` in new pages; return its stub. After an error no page is left behind."""
        if len(record) > _MAX_RECORD:
            raise RecordTooLarge(len(record), _MAX_RECORD)
        written: list[int] = []
        try:
            # Last page first: each page can then be finished while it is pinned.
            for start in reversed(range(0, len(record), self._capacity)):
                part = record[start : start + self._capacity]
                with self._pool.new_page(PageType.OVERFLOW) as page:
                    written.append(page.page_id)
                    data = page.data_mut()
                    _LINK.pack_into(data, HEADER_SIZE, written[-2] if written[1:] else 0, len(part))
                    data[_PAYLOAD_AT : _PAYLOAD_AT + len(part)] = part
        except BaseException:
            with suppress(StorageError, OSError):  # the first error is the one to tell
                self.free_pages(written)
            raise
        return _STUB.pack(len(record), written[-1] if written else 0)

    def read(self, page_id: int, stub: bytes) -> bytes:
        """The record behind `stub`, which is in data page `page_id`.

        Raises `CorruptPage` if the chain is broken, runs in a circle, or does not add up.
        """
        return b"".join(part for _, part in self._walk(page_id, stub))

    def pages(self, page_id: int, stub: bytes) -> list[int]:
        """The pages of the chain behind `stub`, checked as `read` checks them."""
        return [overflow_id for overflow_id, _ in self._walk(page_id, stub)]

    def free(self, stub: bytes) -> None:
        """Free a chain just written, whose stub found no place."""
        with suppress(StorageError, OSError):  # an error is on its way already
            self.free_pages(self.pages(0, stub))

    def free_pages(self, page_ids: list[int]) -> None:
        """Free pages of a chain that nothing refers to any more.

        If one cannot be freed the others are, and its error comes out: the page is lost space,
        no data.
        """
        failed: Exception | None = None
        for page_id in page_ids:
            try:
                self._pool.free_page(page_id)
            except (StorageError, OSError) as error:
                failed = failed or error
        if failed is not None:
            raise failed

    def _walk(self, page_id: int, stub: bytes) -> list[tuple[int, bytes]]:
        if len(stub) != STUB_SIZE:
            raise CorruptPage(page_id, f"an overflow stub has {STUB_SIZE} bytes, not {len(stub)}")
        total, following = _STUB.unpack(stub)
        parts: dict[int, bytes] = {}
        length = 0
        while following:
            if following in parts:
                raise CorruptPage(following, "its overflow chain runs in a circle")
            try:
                page = self._pool.fetch(following, scan=True)
            except PageOutOfRange:
                raise CorruptPage(page_id, f"its overflow chain goes on to {following}") from None
            with page:
                raw = bytes(page.data)
            if raw[8] != PageType.OVERFLOW:
                raise BadPageType(following, raw[8], "an overflow page")
            here = following
            following, size = _LINK.unpack_from(raw, HEADER_SIZE)
            length += size
            if not 0 < size <= self._capacity or length > total:
                raise CorruptPage(here, f"{length} bytes so far in a chain of {total}")
            parts[here] = raw[_PAYLOAD_AT : _PAYLOAD_AT + size]
        if length != total:
            raise CorruptPage(page_id, f"its overflow chain has {length} bytes, expected {total}")
        return list(parts.items())
