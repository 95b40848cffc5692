"""Look at every page of a file once, to know where its records and its free bytes are."""

from __future__ import annotations

from meridian.database.storage.errors import BadSlot, CorruptPage
from meridian.database.storage.free_space import FreeSpaceMap
from meridian.database.storage.page import PageType, verify
from meridian.database.storage.page_file import PageFile
from meridian.database.storage.slotted_page import SlottedPage

__all__ = ["survey"]

_BATCH = 64


def survey(file: PageFile, space: FreeSpaceMap, reuse_slots: bool) -> tuple[int, ...]:
    """Fill `space` from the data pages of `file`; return the pages that cannot be read."""
    damaged: list[int] = []
    size = file.page_size
    buffer = memoryview(bytearray(_BATCH * size))
    views = [buffer[i * size : (i + 1) * size] for i in range(_BATCH)]
    for first in range(1, file.page_count, _BATCH):
        page_ids = range(first, min(first + _BATCH, file.page_count))
        pages = views[: len(page_ids)]
        file.read_pages(page_ids, pages, verify=False)
        for page_id, page in zip(page_ids, pages, strict=True):
            try:
                if verify(page, page_id).page_type == PageType.DATA:
                    _examine(page_id, page, space, reuse_slots)
            except CorruptPage:
                damaged.append(page_id)
    return tuple(damaged)


def _examine(page_id: int, page: memoryview, space: FreeSpaceMap, reuse_slots: bool) -> None:
    slotted = SlottedPage(page)
    try:
        slotted.check()
        holes = slotted.slot_count - slotted.live_count if reuse_slots else 0
        space.add(page_id, slotted.free_total, holes)
    except BadSlot:
        # Its sound records can still be read, and scanned; it takes no new ones.
        space.add(page_id, 0, 0)
        raise
