"""The same records on pages of other sizes: what one read drags along and what is left over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from meridian.academy.widgets.page_regions import read_page_map
from meridian.academy.widgets.page_svg import paint_page
from meridian.academy.widgets.playground import Playground, Shown, choice
from meridian.database.storage import SlottedPage, seal

__all__ = ["SIZES", "Packing", "PageSizes", "pack_page"]

SIZES = (512, 1024, 2048, 4096, 8192, 16384, 32768)


class Packing(NamedTuple):
    """How records of one size lie on pages of one size, counted on a real page."""

    page_size: int
    records: int
    amplification: float  # bytes read for one byte asked for
    wasted_bytes: int  # of a full page: all that is not record
    pages: int  # for the catalog
    file_bytes: int


def pack_page(page_size: int, record: bytes, objects: int) -> tuple[bytearray, Packing]:
    """Fill a page with copies of `record` until it refuses; the page, and what that means."""
    buf = bytearray(page_size)
    page = SlottedPage.format(buf, 1)
    count = 0
    while page.insert(record) is not None:
        count += 1
    if not count:
        raise ValueError(f"A record of {len(record):,} bytes does not fit {page_size:,} bytes")
    seal(buf)
    pages = -(-objects // count)
    return buf, Packing(
        page_size,
        count,
        page_size / len(record),
        page_size - count * len(record),
        pages,
        pages * page_size,
    )


class PageSizes(Playground):
    """A dropdown of page sizes over a full page of `record`, and what `objects` of them cost."""

    def __init__(
        self, record: bytes, objects: int = 100_000, *, sizes: Sequence[int] = SIZES
    ) -> None:
        self._record, self._objects = record, objects
        self.size = choice(
            "page size",
            {f"{size:,} bytes": size for size in sizes},
            4096 if 4096 in sizes else sizes[0],
            width="18rem",
        )
        super().__init__([self.size], self._fill)

    def _fill(self) -> Shown:
        page, packing = pack_page(self.size.value, self._record, self._objects)
        words = (
            f"{packing.amplification:.1f} bytes read per byte asked for; {packing.wasted_bytes:,} "
            f"of {packing.page_size:,} hold no record; {self._objects:,} objects need "
            f"{packing.pages:,} pages, {packing.file_bytes / 1e6:.1f} MB"
        )
        title = f"A full page of {packing.page_size:,} bytes"
        svg = paint_page(
            read_page_map(page), bytes(page), title=title, verdict=(True, words), arrows=False
        )
        return Shown(f"{title}: {words}", (svg,), aloud=False)
