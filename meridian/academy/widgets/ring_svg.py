"""Paint a broadcast as the ring it is: slots in a circle, a cursor for each subscriber, accounts.

A cursor that has something to read is full, one that waits is hollow, one that was overtaken is
red and carries an exclamation mark.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import cos, pi, sin

from meridian.academy.widgets.base import (
    ACCENT,
    BAD,
    FAINT,
    GOOD,
    INK,
    LINE,
    MUTED,
    PANEL,
    svg_document,
)
from meridian.academy.widgets.fanout_runs import Reader, RingShot
from meridian.academy.widgets.svg_parts import BOLD, ON_FILL, Hatch, line, rect, text

__all__ = ["paint_ring"]

_WIDTH, _HEIGHT = 740.0, 388.0
_X, _Y = 176.0, 196.0
_OUTER, _INNER = 140.0, 98.0
_TRACKS = (80.0, 58.0, 36.0)  # a circle for each cursor
_LEFT, _BAR = 364.0, 360.0
_MISSED = Hatch(BAD)
_PARTS = {
    "received": f"fill:{GOOD}",
    "missed": f"fill:{_MISSED.fill};stroke:{BAD}",
    "pending": f"fill:#a6cee3;stroke:{LINE}",
}


def paint_ring(shot: RingShot, number: int, total: int, *, batches: int) -> str:
    """`shot`, which is number `number` of `total`, as an SVG document.

    `batches` is how many the whole run sends: the bars are to that scale.
    """
    title = f"step {number} of {total}, {shot.at_s:.1f} s: {shot.head} sent"
    parts = [_MISSED.defs, text(8, 16, title, size=13, extra=BOLD)]
    for slot in range(shot.capacity):
        parts += _slot(shot, slot)
    parts += _next(shot)
    tracks = list(zip(_TRACKS, shot.readers, strict=True))
    parts += [_hand(shot, reader, track) for track, reader in tracks]
    for track, reader in tracks:
        parts += _cursor(shot, reader, track)
    for place, reader in enumerate(shot.readers):
        parts += _account(shot, reader, 50 + place * 94.0, _BAR / batches)
    parts += _legend(366)
    return svg_document(_WIDTH, _HEIGHT, "".join(parts), title=f"{title}. {shot.said}")


def _slot(shot: RingShot, slot: int) -> Iterable[str]:
    """One slot as a piece of the circle, with the number of the batch that lies in it."""
    batch = shot.slots[slot]
    held = batch is not None and shot.tail <= batch - 1 < shot.head
    width = 2 * pi / shot.capacity
    start, stop = slot * width + 0.02, (slot + 1) * width - 0.02
    large = int(stop - start > pi)
    (x0, y0), (x1, y1) = _at(start, _OUTER), _at(stop, _OUTER)
    (x2, y2), (x3, y3) = _at(stop, _INNER), _at(start, _INNER)
    look = "fill:#a6cee3" if held else f"fill:none;stroke:{LINE};stroke-dasharray:4 3"
    yield (
        f'<path d="M{x0:.1f} {y0:.1f}A{_OUTER:g} {_OUTER:g} 0 {large} 1 {x1:.1f} {y1:.1f}'
        f"L{x2:.1f} {y2:.1f}A{_INNER:g} {_INNER:g} 0 {large} 0 {x3:.1f} {y3:.1f}z"
        f'" style="{look}"/>'
    )
    if held:
        x, y = _at((start + stop) / 2, (_OUTER + _INNER) / 2)
        yield text(x, y + 5, str(batch), size=14, fill=ON_FILL, anchor="middle", extra=BOLD)


def _next(shot: RingShot) -> Iterable[str]:
    """An arrow at the slot that the next batch goes to."""
    angle = _middle(shot, shot.head)
    (x, y), (x1, y1), (x2, y2) = (
        _at(angle, _OUTER + 3),
        _at(angle - 0.05, _OUTER + 14),
        _at(angle + 0.05, _OUTER + 14),
    )
    path = f"M{x:.1f} {y:.1f}L{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}z"
    yield f'<path d="{path}" style="fill:{INK}"/>'


def _hand(shot: RingShot, reader: Reader, track: float) -> str:
    """The circle that a cursor runs on, and a line from it to its slot; under all cursors."""
    angle = _middle(shot, reader.place)
    (x0, y0), (x1, y1) = _at(angle, track), _at(angle, _INNER - 2)
    return (
        f'<circle cx="{_X:g}" cy="{_Y:g}" r="{track:g}" style="fill:none;stroke:{FAINT}" '
        f'stroke-width="1"/>{line(x0, y0, x1, y1, _edge(reader), 1.4)}'
    )


def _cursor(shot: RingShot, reader: Reader, track: float) -> Iterable[str]:
    x, y = _at(_middle(shot, reader.place), track)
    edge = _edge(reader)
    fill = edge if reader.pending else "var(--jp-layout-color0, #ffffff)"
    ink = "#ffffff" if reader.pending else edge
    yield (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="10" style="fill:{fill};stroke:{edge}" '
        'stroke-width="1.8"/>'
    )
    name = reader.name + "!" * (edge == BAD)
    yield text(x, y + 4, name, size=11, fill=ink, anchor="middle", extra=BOLD)


def _edge(reader: Reader) -> str:
    return BAD if reader.untold or reader.lagged else ACCENT


def _account(shot: RingShot, reader: Reader, y: float, scale: float) -> Iterable[str]:
    """Name, state, a bar in three parts, and the sum that always comes out."""
    yield text(_LEFT, y, f"session {reader.name}", size=12.5, extra=BOLD)
    yield text(_LEFT + 78, y, f"{reader.work_s:g} s a batch; {reader.doing}", size=11, fill=MUTED)
    if reader.lagged:
        yield (
            f'<rect x="{_WIDTH - 96:g}" y="{y - 15:g}" width="88" height="21" rx="4" '
            f'style="fill:{BAD}"/>'
        )
        words = f"Lagged({reader.lagged})"
        yield text(_WIDTH - 52, y, words, size=12, fill="#ffffff", anchor="middle", extra=BOLD)
    elif reader.untold:
        words = f"! overtaken by {reader.untold}"
        yield text(_WIDTH - 8, y, words, size=11, fill=BAD, anchor="end", extra=BOLD)
    yield rect(_LEFT, y + 9, _BAR, 18, f"fill:{PANEL}")
    x = _LEFT
    counts = (reader.received, reader.missed, reader.pending)
    for count, look in zip(counts, _PARTS.values(), strict=True):
        if count:
            yield rect(x, y + 9, count * scale, 18, look)
        x += count * scale
    words = (
        f"{reader.received} received + {reader.missed} missed + {reader.pending} pending "
        f"= {shot.head} sent"
    )
    yield text(_LEFT, y + 43, words, size=11)


def _legend(y: float) -> Iterable[str]:
    yield text(
        8,
        y,
        "In the slots: numbers of batches. Black arrow: the next one goes here.",
        size=10,
        fill=MUTED,
    )
    words = "Full cursor: has something to read. Hollow: waits. Red with !: overtaken."
    yield text(8, y + 14, words, size=10, fill=MUTED)
    x = 470.0
    for words, look in _PARTS.items():
        yield rect(x, y + 5, 12, 10, look)
        yield text(x + 17, y + 14, words, size=10, fill=MUTED)
        x += 82


def _middle(shot: RingShot, position: int) -> float:
    return (position % shot.capacity + 0.5) * 2 * pi / shot.capacity


def _at(angle: float, radius: float) -> tuple[float, float]:
    """The point at `angle` from twelve o'clock, clockwise."""
    return _X + radius * sin(angle), _Y - radius * cos(angle)
