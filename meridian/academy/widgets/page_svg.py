"""Paint a page to scale: every byte is a cell, 64 bytes a row, every region outlined and named.

Colour never carries a meaning alone: garbage is hatched, tombstones are crossed, free space is
dotted, records carry a label. Text stands on a light fill of its own or, outside the grid, in the
theme's text colour.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Sequence
from textwrap import wrap

from meridian.academy.widgets.base import BAD, INK, escape, svg_document
from meridian.academy.widgets.page_geometry import LEFT, WIDTH, Grid
from meridian.academy.widgets.page_overlays import arrows as draw_arrows
from meridian.academy.widgets.page_overlays import chips, hex_rows, ring
from meridian.academy.widgets.page_regions import Kind, PageMap, Region, Slot
from meridian.academy.widgets.svg_parts import BOLD, ON_FILL, text
from meridian.database.storage import HEADER_SIZE

__all__ = ["Verdict", "paint_page"]

Verdict = tuple[bool, str]  # whether the engine accepts the page, and what it says
ARROWS_UP_TO = 16

FILLS = {
    Kind.HEADER: "#a6cee3",
    Kind.CHECKSUM: "#8fb8ea",
    Kind.SLOT: "#fdbf6f",
    Kind.TOMBSTONE: "url(#x{id})",
    Kind.FREE: "url(#d{id})",
    Kind.RECORD: "#b2df8a",
    Kind.STUB: "#cab2d6",
    Kind.GARBAGE: "url(#h{id})",
    Kind.LINK: "#fdbf6f",
    Kind.PAYLOAD: "#cab2d6",
    Kind.BODY: "#d9d9d9",
}
_EVERY_OTHER_RECORD = "#d3ecb9"
_ALARM_FILL = "#d62728"
_PATTERNS = (
    '<defs><pattern id="h{id}" width="6" height="6" patternUnits="userSpaceOnUse">'
    '<rect width="6" height="6" fill="#e4e4e4"/>'
    '<path d="M-1 7L7 -1" stroke="#6b6b6b" stroke-width="1.3"/></pattern>'
    '<pattern id="x{id}" width="5" height="5" patternUnits="userSpaceOnUse">'
    '<rect width="5" height="5" fill="#fff3e0"/>'
    '<path d="M0 0L5 5M5 0L0 5" stroke="#b8690e" stroke-width="0.9"/></pattern>'
    '<pattern id="d{id}" width="20" height="11" patternUnits="userSpaceOnUse">'
    '<circle cx="5" cy="1.5" r="0.9" fill="#8c8c8c"/></pattern>'
    '<marker id="t{id}" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="6" markerHeight="6" '
    'orient="auto"><path d="M0 0L8 4L0 8z" fill="context-stroke"/></marker></defs>'
)


def paint_page(
    page: PageMap,
    raw: bytes,
    *,
    title: str = "",
    verdict: Verdict | None = None,
    arrows: bool | Collection[int] | None = None,
    before: Sequence[Slot] = (),
    rids: bool = False,
    mark: int | None = None,
    hex_range: tuple[int, int] | None = None,
) -> str:
    """The picture of `page`, whose bytes are `raw`, as an SVG document.

    `verdict` replaces the painter's own line on what is wrong. `arrows` lead from slot to record,
    for all slots (the default when there are at most 16), none, or those named; slots of `before`
    that lay elsewhere get a dashed arrow to their old place. `rids` lists the record ids under the
    grid. `mark` rings one byte. `hex_range` adds the hex of those bytes, each on the colour of its
    region.
    """
    # Patterns are found by id in the whole document, where many pictures may stand.
    seed = (raw, title, verdict, arrows, tuple(before), rids, mark, hex_range)
    name = f"{zlib.crc32(repr(seed).encode()):08x}"
    verdict = verdict or _own_verdict(page)
    headline, top = _headline(page, title, verdict)
    grid = Grid(page.size, top=top)
    parts = [_PATTERNS.replace("{id}", name), *headline]
    parts += _row_offsets(grid)
    parts += _regions(page, grid, name, broken=bool(page.faults) or not verdict[0])
    if arrows is None:
        arrows = len(page.slots) <= ARROWS_UP_TO
    if isinstance(arrows, bool):
        arrows = range(len(page.slots)) if arrows else ()
    parts += draw_arrows(page, grid, f"t{name}", before, only=arrows)
    if mark is not None:
        parts += ring(grid, mark)
    y = grid.bottom + 12
    if rids:
        lines, y = chips(page, y)
        parts += lines
    lines, y = _legend(page, name, y)
    parts += lines
    if hex_range is not None:
        fills = {kind: fill for kind, fill in FILLS.items() if not fill.startswith("url")}
        lines, y = hex_rows(page, raw, hex_range, y + 8, fills, mark)
        parts += lines
    return svg_document(WIDTH, y + 2, "".join(parts), title=page.summary())


def _own_verdict(page: PageMap) -> Verdict:
    if page.faults:
        return False, "; ".join(page.faults)
    if not page.sealed:
        return True, "in memory: the CRC is written when the page is sealed"
    return True, f"CRC {page.stored:#010x} matches the bytes"


def _headline(page: PageMap, title: str, verdict: Verdict) -> tuple[list[str], float]:
    """Title, what the page is, its header read out, the verdict; and where the grid starts."""
    good, words = verdict
    summary = page.summary()
    lines = [(title or summary[0].upper() + summary[1:], 12.5, INK, True)]
    if title:
        lines.append((summary[0].upper() + summary[1:], 11, INK, False))
    fields = [f"{r.label} {r.detail}" for r in page.regions if r.stop <= HEADER_SIZE]
    lines.append(("Header: " + ", ".join(fields), 11, INK, False))
    links = [f"{r.label} {r.detail}" for r in page.regions if r.kind is Kind.LINK]
    if links:  # four bytes are too narrow for words of their own
        lines.append(("Body: " + ", ".join(links), 11, INK, False))
    mark, ink = ("✔", INK) if good else ("✘", BAD)
    lines.append((f"{mark} {words}", 12, ink, True))
    parts = []
    y = 0.0
    for content, size, colour, strong in lines:
        extra = BOLD if strong else ""
        columns = int((WIDTH - LEFT) / (size * (0.62 if strong else 0.57)))
        for line in wrap(content, columns):
            y += size + 6
            parts.append(text(LEFT, y - 3, line, size=size, fill=colour, extra=extra))
    return parts, y + 8


def _row_offsets(grid: Grid) -> list[str]:
    every = 1
    while grid.height * every < 14 or grid.rows // every > 16:
        every *= 2
    return [
        text(LEFT - 6, grid.y(row * grid.columns) + min(grid.height / 2 + 4, 10),
             f"{row * grid.columns:,}", size=10, anchor="end")
        for row in range(0, grid.rows, every)
    ]  # fmt: skip


def _regions(page: PageMap, grid: Grid, name: str, *, broken: bool) -> list[str]:
    parts = []
    odd = False
    for region in page.regions:
        fill, ink = FILLS[region.kind].replace("{id}", name), ON_FILL
        if region.kind is Kind.RECORD:
            fill, odd = (_EVERY_OTHER_RECORD if odd else fill), not odd
        if region.kind is Kind.CHECKSUM and page.crc_differs:
            fill, ink = _ALARM_FILL, "#ffffff"
        tip = f"bytes {region.start:,} to {region.stop - 1:,}: {region.kind.value} {region.label}"
        tip += f", {region.detail}" if region.detail else ""
        parts.append(
            f'<path d="{grid.outline(region.start, region.stop)}" fill="{fill}" stroke="#555" '
            f'stroke-width="0.8"><title>{escape(tip)}</title></path>'
        )
        parts += _label(region, grid, ink)
    if broken:
        whole = grid.outline(0, page.size)
        parts.append(f'<path d="{whole}" fill="none" style="stroke:{BAD}" stroke-width="3"/>')
    return parts


def _label(region: Region, grid: Grid, ink: str) -> list[str]:
    x, y, width = grid.widest_run(region.start, region.stop)
    size = min(11.0, grid.height - 1)
    if size < 7:
        return []
    content = region.label
    if region.kind is Kind.FREE:
        content, ink = f"{region.label}: {region.stop - region.start:,} bytes", INK
    elif region.kind is Kind.GARBAGE:
        content = f"{region.stop - region.start:,}"
    elif region.kind in (Kind.LINK, Kind.STUB) and region.detail:
        content = f"{region.label}: {region.detail}"
    for shorter in (content, region.label, region.label[:1]):
        needed = len(shorter) * size * 0.58 + 2
        if shorter and needed <= width:
            break
    else:
        return []
    label = text(x, y + size * 0.36, shorter, size=size, fill=ink, anchor="middle")
    if region.kind not in (Kind.GARBAGE, Kind.TOMBSTONE):
        return [label]
    plate = (  # letters on hatching need a ground of their own
        f'<rect x="{x - needed / 2:.1f}" y="{y - size / 2:.1f}" width="{needed:.1f}" '
        f'height="{size:.1f}" fill="#f2f2f2"/>'
    )
    return [plate, label]


def _legend(page: PageMap, name: str, y: float) -> tuple[list[str], float]:
    """Every kind on the page with its bytes; they add up to the page size."""
    totals: dict[Kind, int] = {}
    for region in page.regions:
        totals[region.kind] = totals.get(region.kind, 0) + region.stop - region.start
    parts = []
    x = LEFT
    for kind, total in totals.items():
        content = f"{kind.value} {total:,} B"
        needed = 24 + len(content) * 6.3 + 10
        if x + needed > WIDTH:
            x, y = LEFT, y + 18
        fill = FILLS[kind].replace("{id}", name)
        parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="18" height="12" stroke="#555" '
            f'stroke-width="0.8" fill="{fill}"/>'
        )
        parts.append(text(x + 23, y + 10, content))
        x += needed
    return parts, y + 18
