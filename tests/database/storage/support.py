"""Pages made and records read in one line."""

from __future__ import annotations

from meridian.database.storage import BufferPool, PageType, SlottedPage, seal


def sealed_page(page_id: int, record: bytes = b"", page_size: int = 4096) -> bytearray:
    page = bytearray(page_size)
    SlottedPage.format(page, page_id, PageType.DATA).insert(record)
    seal(page)
    return page


def record_of(pool: BufferPool, page_id: int) -> bytes:
    """The first record of a page, copied."""
    with pool.fetch(page_id) as page:
        found = SlottedPage(page.data).get(0)
        assert found is not None
        record = bytes(found)
        found.release()
        return record
