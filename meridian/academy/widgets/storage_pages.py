"""Pictures of real pages: what the storage lessons and anyone with a hex question look at.

- `show_page(buf)`: one page, any type, intact or not.
- `show_chain(read, page_id, slot)`: a record too large for its page, from stub to last page.
- `PagePainter`: insert, delete, compact with buttons; arrows move, record ids stay.
- `BitFlipper`: flip any bit; the engine's verdict turns red.
- `PageSizes`: the same records on pages of 512 to 32,768 bytes.

All of them paint bytes, not objects: the picture is of what would be on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from meridian.academy.widgets.bit_flipper import BitFlipper
from meridian.academy.widgets.page_chain import paint_chain, read_chain
from meridian.academy.widgets.page_painter import PagePainter
from meridian.academy.widgets.page_picture import PagePicture
from meridian.academy.widgets.page_regions import PageMap, read_page_map
from meridian.academy.widgets.page_sizes import PageSizes
from meridian.academy.widgets.page_svg import paint_page

__all__ = [
    "BitFlipper",
    "PageMap",
    "PagePainter",
    "PagePicture",
    "PageSizes",
    "read_page_map",
    "show_chain",
    "show_page",
]

Bytes = bytes | bytearray | memoryview


def show_page(
    buf: Bytes,
    *,
    title: str = "",
    label: Callable[[bytes], str] | None = None,
    arrows: bool | Collection[int] | None = None,
    rids: bool = False,
    sealed: bool = True,
    mark: int | None = None,
    hex: tuple[int, int] | None = None,  # noqa: A002
) -> PagePicture:
    """Paint a page: header fields, slot directory, free space, records, garbage, checksum verdict.

    `label` turns a record's bytes into the text on it (default: its slot number). `arrows` lead
    from slots to records: all (the default up to 16 slots), none, or those of the slots named.
    `rids` lists the record ids. Say ``sealed=False`` for a page in memory, whose checksum is not
    yet written. `mark` rings one byte. ``hex=(start, stop)`` adds those bytes in hex.

    Raises `TypeError` for what has no bytes, `ValueError` for fewer bytes than a header or a
    `mark` outside the page; damage is painted.
    """
    page = read_page_map(buf, label=label, sealed=sealed)
    raw = bytes(memoryview(buf).cast("B"))
    if mark is not None and not 0 <= mark < page.size:
        raise ValueError(f"Expected a byte from 0 to {page.size - 1:,} to mark, got {mark!r}")
    svg = paint_page(page, raw, title=title, arrows=arrows, rids=rids, mark=mark, hex_range=hex)
    return PagePicture(svg, page.summary())


def show_chain(read: Callable[[int], Bytes], page_id: int, slot: int) -> PagePicture:
    """Paint the overflow chain of the record at ``(page_id, slot)``.

    `read` returns the bytes of a page by its id. A chain that is cut, runs in a circle or does not
    add up is painted with what is wrong. Raises `ValueError` when the slot holds no stub.
    """
    chain = read_chain(read, page_id, slot)
    return PagePicture(paint_chain(chain), chain.summary())
