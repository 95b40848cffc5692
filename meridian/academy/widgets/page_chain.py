"""A record larger than a page, followed from its stub through every overflow page."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from meridian.academy.widgets.base import BAD, INK, svg_document
from meridian.academy.widgets.page_regions import Kind, PageMap, read_page_map
from meridian.academy.widgets.page_svg import FILLS
from meridian.academy.widgets.svg_parts import BOLD, ON_FILL, text

__all__ = ["Chain", "paint_chain", "read_chain"]

_STEP, _BOX, _TALL = 116, 88, 150
_TIP = (
    '<defs><marker id="chain" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
    'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="context-stroke"/></marker></defs>'
)


@dataclass(slots=True)
class Chain:
    """The data page, the stub in it, and the overflow pages in the order of their links."""

    home: PageMap
    slot: int
    stub_at: int
    total: int
    first: int
    links: list[PageMap] = field(default_factory=list)
    fault: str = ""
    back_to: int | None = None  # position in `links` that the last page leads back to

    @property
    def found(self) -> int:
        return sum(_payload(page) for page in self.links)

    def summary(self) -> str:
        ids = " -> ".join(str(page.page_id) for page in self.links)
        words = f"record ({self.home.page_id}, {self.slot}) of {self.total:,} bytes on pages {ids}"
        return f"{words}: {self.fault}" if self.fault else words


def read_chain(
    read: Callable[[int], bytes | bytearray | memoryview], page_id: int, slot: int
) -> Chain:
    """Follow the chain that starts at slot `slot` of page `page_id`. See `show_chain`."""
    raw = bytes(read(page_id))
    home = read_page_map(raw)
    entry = next((s for s in home.slots if s.index == slot and s.overflow), None)
    if entry is None or entry.length != 8 or entry.offset + 8 > len(raw):
        raise ValueError(f"Slot {slot} of page {page_id} holds no overflow stub")
    total, first = struct.unpack_from("<II", raw, entry.offset)
    chain = Chain(home, slot, entry.offset, total, first)
    seen: set[int] = set()
    following = first
    while following:
        if following in seen:
            chain.fault = f"the chain comes back to page {following}"
            chain.back_to = [page.page_id for page in chain.links].index(following)
            return chain
        seen.add(following)
        page = read_page_map(read(following))
        if page.page_type != "OVERFLOW":
            chain.fault = f"page {following} is {page.page_type}, not OVERFLOW"
            return chain
        chain.links.append(page)
        following = _next(page)
    if chain.found != total:
        chain.fault = f"{chain.found:,} bytes found, {total:,} promised"
    return chain


def _next(page: PageMap) -> int:
    return int(next(r.detail for r in page.regions if r.kind is Kind.LINK and r.label == "next"))


def _payload(page: PageMap) -> int:
    return sum(r.stop - r.start for r in page.regions if r.kind is Kind.PAYLOAD)


def paint_chain(chain: Chain) -> str:
    """Each page a column to scale, six a row; payload drawn full height, arrows along the links."""
    parts = [
        _TIP,
        text(8, 18, f"Record ({chain.home.page_id}, {chain.slot}): {chain.total:,} bytes, "
             f"{len(chain.links)} overflow pages", size=13, extra=BOLD),
        text(8, 36, f"✘ {chain.fault}" if chain.fault
             else f"✔ payloads add up: {chain.found:,} bytes", size=12,
             fill=BAD if chain.fault else INK, extra=BOLD),
    ]  # fmt: skip
    pages = [chain.home, *chain.links]
    for index, page in enumerate(pages):
        x, y = _corner(index)
        parts += _column(page, x, y, chain if index == 0 else None)
        if index + 1 < len(pages):
            parts.append(_link(x, y, wraps=index % 6 == 5, first=index == 0, chain=chain))
        elif not chain.fault:
            parts.append(text(x + _BOX / 2, y + _TALL + 30, "next 0: end", anchor="middle"))
    if chain.back_to is not None:
        parts.append(_way_back(len(pages) - 1, chain.back_to + 1))
    height = 66 + -(-len(pages) // 6) * (_TALL + 62) - 14
    if chain.back_to is not None:
        height += 14
    return svg_document(8 + 6 * _STEP, height, "".join(parts), title=chain.summary())


def _corner(index: int) -> tuple[float, float]:
    """Top left of the column of page `index`."""
    return 8 + index % 6 * _STEP, 66 + index // 6 * (_TALL + 62)


def _way_back(last: int, target: int) -> str:
    """The link that closes a circle, under the columns."""
    (x0, y0), (x1, y1) = _corner(last), _corner(target)
    x0, x1 = x0 + _BOX / 2, x1 + _BOX / 2
    y0, y1 = y0 + _TALL + 20, y1 + _TALL + 20
    return (
        f'<path d="M{x0:g} {y0:g}C{x0:g} {y0 + 40:g} {x1:g} {y1 + 40:g} {x1:g} {y1:g}" '
        f'fill="none" style="stroke:{BAD}" stroke-width="2" stroke-dasharray="6 4" '
        'marker-end="url(#chain)"/>'
    )


def _column(page: PageMap, x: float, y: float, chain: Chain | None) -> list[str]:
    scale = _TALL / page.size
    parts = [text(x + _BOX / 2, y - 6, f"page {page.page_id}", anchor="middle",
                  extra=BOLD)]  # fmt: skip
    for region in page.regions:
        fill = FILLS[region.kind]
        if fill.startswith("url"):
            fill = "none"
        height = (region.stop - region.start) * scale
        # A line of 8 bytes would vanish; the stub is what the eye looks for.
        thick = max(height, 7.0) if region.kind is Kind.STUB else height
        top = y + region.start * scale - (thick - height)
        edge = 'stroke="#555" stroke-width="0.6"' if height > 2 or thick > height else ""
        parts.append(
            f'<rect x="{x:g}" y="{top:.2f}" width="{_BOX}" height="{thick:.2f}" fill="{fill}" '
            f"{edge}/>"
        )
    parts.append(
        f'<rect x="{x:g}" y="{y:g}" width="{_BOX}" height="{_TALL}" fill="none" '
        f'style="stroke:{INK}" stroke-width="1.2"/>'
    )
    role = page.page_type if chain is None else f"{page.page_type}, 8-byte stub"
    if chain is None:
        words, ink = (f"{_payload(page):,} bytes", ON_FILL)
        parts.append(text(x + _BOX / 2, y + min(_TALL / 2, _payload(page) * scale / 2 + 8),
                          words, fill=ink, anchor="middle"))  # fmt: skip
    parts.append(text(x + _BOX / 2, y + _TALL + 15, role, size=10, anchor="middle"))
    return parts


def _link(x: float, y: float, *, wraps: bool, first: bool, chain: Chain) -> str:
    style = 'fill="none" stroke="#c2570c" stroke-width="1.8" marker-end="url(#chain)"'
    start = y + (chain.stub_at / chain.home.size * _TALL if first else 6)
    if wraps:
        below = y + _TALL + 22
        return f'<path d="M{x + _BOX:g} {start:.1f}h12V{below:g}H2V{below + 46:g}H8" {style}/>'
    return (
        f'<path d="M{x + _BOX:g} {start:.1f}C{x + _BOX + 18:g} {start:.1f} '
        f'{x + _STEP - 18:g} {y + 6:g} {x + _STEP:g} {y + 6:g}" {style}/>'
    )
