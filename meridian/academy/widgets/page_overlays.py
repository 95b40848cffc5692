"""What is drawn over and under the grid of a page: arrows, one ringed byte, record ids, hex."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from meridian.academy.widgets.base import INK, MONO
from meridian.academy.widgets.page_geometry import LEFT, Grid
from meridian.academy.widgets.page_regions import Kind, PageMap, Slot
from meridian.academy.widgets.svg_parts import BOLD, ON_FILL, text
from meridian.database.storage import HEADER_SIZE, SLOT_SIZE

__all__ = ["arrows", "chips", "hex_rows", "ring"]

_POINTED_AT = (Kind.RECORD, Kind.STUB)
_PLAIN = "#ededed"


def arrows(
    page: PageMap, grid: Grid, tip: str, before: Sequence[Slot], *, only: Collection[int]
) -> list[str]:
    """Slots in `only` to the first byte of their records; dashed to where they lay `before`."""
    old = {slot.index: slot.offset for slot in before if slot.live}
    targets = [(r.slot, r.start) for r in page.regions if r.kind in _POINTED_AT and r.slot in only]
    moved = [
        (slot, old[slot])
        for slot, start in targets
        if old.get(slot, start) != start and old[slot] < page.size
    ]
    return [
        *(_arrow(grid, slot, at, tip, 'stroke="#8f8f8f" stroke-width="1.3" stroke-dasharray="3 4"')
          for slot, at in moved),
        *(_arrow(grid, slot, at, tip, 'stroke="#c2570c" stroke-width="1.7"')
          for slot, at in targets),
    ]  # fmt: skip


def _arrow(grid: Grid, slot: int, target: int, tip: str, style: str) -> str:
    cell = HEADER_SIZE + SLOT_SIZE * slot
    x0, y0 = grid.x(cell) + 2 * grid.cell, grid.y(cell) + grid.height
    x1, y1 = grid.x(target) + min(6.0, grid.cell), grid.y(target) + 2
    bend = max(18.0, (y1 - y0) * 0.45)
    return (
        f'<path d="M{x0:.1f} {y0:.1f}C{x0:.1f} {y0 + bend:.1f} {x1:.1f} {y1 - bend:.1f} '
        f'{x1:.1f} {y1:.1f}" fill="none" {style} marker-end="url(#{tip})"/>'
    )


def ring(grid: Grid, byte: int) -> list[str]:
    """The cell of `byte` in red, with a circle around it that cannot be overlooked."""
    x, y = grid.x(byte), grid.y(byte)
    box = f'x="{x:.1f}" y="{y:.1f}" width="{grid.cell:g}" height="{grid.height:g}"'
    centre = f'cx="{x + grid.cell / 2:.1f}" cy="{y + grid.height / 2:.1f}"'
    circle = f'<circle {centre} r="13" fill="none" '
    return [
        f'<rect {box} fill="#d62728" stroke="#fff"/>',
        circle + 'stroke="#fff" stroke-width="5"/>',
        circle + 'stroke="#d62728" stroke-width="2.5"/>',
    ]


def chips(page: PageMap, y: float) -> tuple[list[str], float]:
    """Record ids in slot order, three a line: the side of the page the rest of the engine sees."""
    names = {r.slot: r.label for r in page.regions if r.kind in _POINTED_AT}
    parts = []
    for slot in page.slots:
        x = LEFT + slot.index % 3 * 214.5
        top = y + slot.index // 3 * 22
        dash = "" if slot.live else 'stroke-dasharray="4 3"'
        parts.append(
            f'<rect x="{x:.1f}" y="{top:.1f}" width="211" height="18" rx="3" fill="none" '
            f'style="stroke:{INK}" stroke-width="0.8" {dash}/>'
        )
        name = names.get(slot.index, "")
        what = f"{name if name != str(slot.index) else 'record'} at byte {slot.offset:,}"
        parts.append(text(x + 6, top + 13, f"({page.page_id}, {slot.index})", extra=BOLD))
        parts.append(text(x + 46, top + 13, what if slot.live else "† deleted"))
    lines = -(-len(page.slots) // 3)
    return parts, y + lines * 22 + (6 if lines else 0)


def hex_rows(
    page: PageMap,
    raw: bytes,
    hex_range: tuple[int, int],
    y: float,
    fills: Mapping[Kind, str],
    mark: int | None,
) -> tuple[list[str], float]:
    """Sixteen bytes a line, each on the fill of its region, printable ones again as letters."""
    first, last = max(0, hex_range[0]), min(len(raw), hex_range[1])
    parts = []
    for row in range(first - first % 16, last, 16):
        parts.append(text(LEFT - 6, y + 11, f"{row:,}", size=10, anchor="end"))
        letters = ""
        for byte in range(row, min(row + 16, last)):
            shown = byte >= first
            letters += chr(raw[byte]) if shown and 32 <= raw[byte] < 127 else "·"
            if not shown:
                continue
            x = LEFT + (byte - row) * 26
            fill = fills.get(page.at(byte).kind, _PLAIN)
            edge = 'stroke="#d62728" stroke-width="2.5"' if byte == mark else ""
            parts.append(
                f'<rect x="{x:g}" y="{y:.1f}" width="25" height="14" fill="{fill}" {edge}/>'
            )
            mono = f'font-family="{MONO}"'
            parts.append(
                text(
                    x + 12.5, y + 11, f"{raw[byte]:02x}", fill=ON_FILL, anchor="middle", extra=mono
                )
            )
        parts.append(
            text(LEFT + 432, y + 11, letters, extra=f'font-family="{MONO}" xml:space="preserve"')
        )
        y += 15
    return parts, y
