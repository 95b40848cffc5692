"""Paint a shutdown as a waterfall: a bar for each session, from the request to its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from meridian.academy.widgets.base import ACCENT, BAD, FAINT, INK, MUTED, WARN, svg_document
from meridian.academy.widgets.svg_parts import Hatch, line, rect, text, tick_step

__all__ = ["Bar", "paint_drain"]

_CUT_OFF = Hatch(BAD, 5, 2)
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
    parts = [_CUT_OFF.defs]
    for tick in range(0, int(whole_s) + 1, int(tick_step(whole_s, 12))):
        x = _LEFT + tick * scale
        parts.append(line(x, _TOP, x, bottom, FAINT))
        parts.append(text(x, bottom + 13, f"{tick}", size=9.5, fill=MUTED, anchor="middle"))
    parts.append(text(_FATES, bottom + 13, "s since the request", size=9.5, fill=MUTED))
    for number, bar in enumerate(bars):
        parts += _bar(bar, scale, _TOP + number * _ROW)
    deadline_x, limit_x = _LEFT + deadline_s * scale, _LEFT + limit_s * scale
    parts.append(line(deadline_x, _TOP - 4, deadline_x, bottom, WARN, 1.6, "5 3"))
    parts.append(line(limit_x, _TOP - 4, limit_x, bottom, BAD, 1.6, "2 3"))
    parts.append(text(deadline_x - 4, _TOP - 8, "deadline: abort", size=9.5, anchor="end"))
    parts.append(text(limit_x + 4, _TOP - 8, "grace over: report", size=9.5))
    if deadline_x < _LEFT + 70:  # no room to the left of it
        parts[-2:] = [text(_LEFT - 40, _TOP - 8, "abort at once; then report", size=9.5)]
    took_x = _LEFT + took_s * scale
    parts.append(line(took_x, _TOP, took_x, bottom, INK, 1.4))
    parts.append(text(took_x, bottom + 29, f"answer: {took_s:g} s", size=10, anchor="middle"))
    return svg_document(_WIDTH, bottom + 36, "".join(parts), title=summary)


def _bar(bar: Bar, scale: float, y: float) -> list[str]:
    width = max(1.5, bar.end_s * scale)
    fill = ACCENT if bar.fate == "drained" else _CUT_OFF.fill
    edge = ACCENT if bar.fate == "drained" else BAD
    parts = [text(_LEFT - 6, y + 14, bar.name, size=10.5, anchor="end")]
    parts.append(rect(_LEFT, y + 4, width, 12, f"fill:{fill};stroke:{edge}"))
    if bar.fate == "stuck":
        end = _LEFT + width
        parts.append(f'<path d="M{end:.1f} {y + 2:.1f}l9 8l-9 8z" style="fill:{BAD}"/>')
    sign = {"drained": "✔", "aborted": "⊘", "stuck": "✘"}[bar.fate]
    ink = INK if bar.fate == "drained" else BAD
    when = "" if bar.fate == "stuck" else f", {bar.end_s:.2g} s"
    parts.append(text(_FATES, y + 14, f"{sign} {bar.fate}{when}", size=10.5, fill=ink))
    return parts
