"""Paint a shutdown as a waterfall: a bar for each session, from the request to its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from meridian.academy.widgets.base import ACCENT, BAD, FAINT, INK, MUTED, WARN, svg_document
from meridian.academy.widgets.page_geometry import text

__all__ = ["HATCH", "Bar", "paint_drain"]

HATCH = (
    '<defs><pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" '
    f'patternTransform="rotate(45)"><path d="M0 0V5" style="stroke:{BAD}" stroke-width="2"/>'
    "</pattern></defs>"
)
"""What ``url(#hatch)`` fills with."""

_LEFT, _RIGHT, _WIDTH = 62.0, 140.0, 720.0
_TOP, _ROW = 36.0, 21.0
_FATES = _WIDTH - _RIGHT + 26  # where the words at the right begin
_LEAST_S = 12.0  # of the axis, so that runs can be compared


class Bar(NamedTuple):
    """One session: when it ended, and as what: ``drained``, ``aborted`` or ``stuck``."""

    name: str
    end_s: float
    fate: str


def paint_drain(
    bars: Sequence[Bar], *, deadline_s: float, limit_s: float, took_s: float, summary: str
) -> str:
    """The waterfall as an SVG document; dashed lines are the two promises, the solid one is when
    the shutdown had its answer. Times in seconds since the request.
    """
    whole_s = max(_LEAST_S, took_s, limit_s)
    scale = (_WIDTH - _LEFT - _RIGHT) / whole_s
    bottom = _TOP + _ROW * len(bars)
    parts = [HATCH]
    step_s = next(step for step in (1, 2, 5, 10, 20, 50) if whole_s / step <= 12)
    for tick in range(0, int(whole_s) + 1, step_s):
        x = _LEFT + tick * scale
        parts.append(_line(x, _TOP, bottom, FAINT, 1.0))
        parts.append(text(x, bottom + 13, f"{tick}", size=9.5, fill=MUTED, anchor="middle"))
    parts.append(text(_FATES, bottom + 13, "s since the request", size=9.5, fill=MUTED))
    for number, bar in enumerate(bars):
        parts += _bar(bar, scale, _TOP + number * _ROW)
    deadline_x, limit_x = _LEFT + deadline_s * scale, _LEFT + limit_s * scale
    parts.append(_line(deadline_x, _TOP - 4, bottom, WARN, 1.6, "5 3"))
    parts.append(_line(limit_x, _TOP - 4, bottom, BAD, 1.6, "2 3"))
    parts.append(text(deadline_x - 4, _TOP - 8, "deadline: abort", size=9.5, anchor="end"))
    parts.append(text(limit_x + 4, _TOP - 8, "grace over: report", size=9.5))
    if deadline_x < _LEFT + 70:  # no room to the left of it
        parts[-2:] = [text(_LEFT - 40, _TOP - 8, "abort at once; then report", size=9.5)]
    took_x = _LEFT + took_s * scale
    parts.append(_line(took_x, _TOP, bottom, INK, 1.4))
    parts.append(text(took_x, bottom + 29, f"answer: {took_s:g} s", size=10, anchor="middle"))
    return svg_document(_WIDTH, bottom + 36, "".join(parts), title=summary)


def _bar(bar: Bar, scale: float, y: float) -> list[str]:
    width = max(1.5, bar.end_s * scale)
    fill = ACCENT if bar.fate == "drained" else "url(#hatch)"
    edge = ACCENT if bar.fate == "drained" else BAD
    parts = [text(_LEFT - 6, y + 14, bar.name, size=10.5, anchor="end")]
    parts.append(
        f'<rect x="{_LEFT:g}" y="{y + 4:.1f}" width="{width:.1f}" height="12" '
        f'style="fill:{fill};stroke:{edge}" stroke-width="1"/>'
    )
    if bar.fate == "stuck":
        end = _LEFT + width
        parts.append(f'<path d="M{end:.1f} {y + 2:.1f}l9 8l-9 8z" style="fill:{BAD}"/>')
    sign = {"drained": "✔", "aborted": "⊘", "stuck": "✘"}[bar.fate]
    ink = INK if bar.fate == "drained" else BAD
    when = "" if bar.fate == "stuck" else f", {bar.end_s:.2g} s"
    parts.append(text(_FATES, y + 14, f"{sign} {bar.fate}{when}", size=10.5, fill=ink))
    return parts


def _line(x: float, top: float, bottom: float, ink: str, width: float, dashes: str = "") -> str:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<path d="M{x:.1f} {top:.1f}V{bottom:.1f}" style="stroke:{ink}" '
        f'stroke-width="{width:g}"{dashed}/>'
    )
