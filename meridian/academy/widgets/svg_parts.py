"""What the drawings are made of: text, lines, boxes, arrow heads, hatches, and round ticks.

Every part takes its ink as a CSS colour, so that those of `base` follow the theme.
"""

from __future__ import annotations

import math
import zlib
from typing import NamedTuple

from meridian.academy.widgets.base import INK, escape

__all__ = ["BOLD", "ON_FILL", "Hatch", "dot", "head", "line", "rect", "text", "tick_step"]

BOLD = 'font-weight="600"'
ON_FILL = "#1a1a1a"  # the light fills stay light, whatever the theme
_SPREAD = 2.7  # radians between an arrow and each of its two barbs


def text(
    x: float,
    y: float,
    content: str,
    *,
    size: float = 11,
    fill: str = INK,
    anchor: str = "start",
    extra: str = "",
) -> str:
    """One line of SVG text; `content` is escaped, `extra` is SVG source."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" style="fill:{fill}" '
        f'text-anchor="{anchor}" {extra}>{escape(content)}</text>'
    )


def line(
    x0: float, y0: float, x1: float, y1: float, ink: str, width: float = 1.0, dashes: str = ""
) -> str:
    """A straight line; `dashes` are lengths of strokes and gaps."""
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<path d="M{x0:.2f} {y0:.2f}L{x1:.2f} {y1:.2f}" style="stroke:{ink};fill:none" '
        f'stroke-width="{width:g}"{dashed}/>'
    )


def rect(x: float, y: float, wide: float, high: float, look: str, extra: str = "") -> str:
    """A box; `look` is CSS, `extra` is SVG source."""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" '
        f'style="{look}" {extra}/>'
    )


def dot(x: float, y: float, radius: float, ink: str) -> str:
    """A full circle."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" style="fill:{ink}"/>'


def head(x: float, y: float, angle: float, ink: str, size: float = 1.0) -> str:
    """The head of an arrow that arrives at a point; `angle` in radians, 0 leads to the right."""
    barbs = " ".join(
        f"{x + 9 * size * math.cos(a):.1f},{y + 9 * size * math.sin(a):.1f}"
        for a in (angle + _SPREAD, angle - _SPREAD)
    )
    return f'<polygon points="{x:.1f},{y:.1f} {barbs}" style="fill:{ink}"/>'


class Hatch(NamedTuple):
    """Slanted strokes to fill with: put `defs` into the drawing once, and `fill` into a style.

    The id follows from the look. A page finds patterns by id in all the drawings on it, so that
    two of one id must be the same.
    """

    ink: str
    pitch: float = 6.0
    width: float = 3.0

    @property
    def fill(self) -> str:
        return f"url(#{self._id})"

    @property
    def defs(self) -> str:
        return (
            f'<defs><pattern id="{self._id}" width="{self.pitch:g}" height="{self.pitch:g}" '
            f'patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
            f'<path d="M0 0V{self.pitch:g}" style="stroke:{self.ink}" '
            f'stroke-width="{self.width:g}"/></pattern></defs>'
        )

    @property
    def _id(self) -> str:
        return f"hatch-{zlib.crc32(repr(tuple(self)).encode()):08x}"


def tick_step(whole: float, most: int, least: float = 1.0) -> float:
    """The distance of ticks: 1, 2 or 5 times a power of ten, so that at most `most` fit `whole`.

    Never below `least`, a power of ten itself.
    """
    exponent = round(math.log10(least))
    while True:
        for factor in (1, 2, 5):
            step = factor * 10.0**exponent
            if whole / step <= most:
                return step
        exponent += 1
