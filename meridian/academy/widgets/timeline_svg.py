"""Paint a timeline of tasks: a lane each, thick where it holds the loop, thin where it waits.

Steps are often a thousand times shorter than the waiting between them; they keep a least width, so
that a picture to scale does not lose them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from meridian.academy.timeline import Lane, Mark, Timeline
from meridian.academy.widgets.base import ACCENT, BAD, FAINT, INK, MUTED, svg_document
from meridian.academy.widgets.svg_parts import BOLD, dot, line, text, tick_step

__all__ = ["paint_timeline", "summary"]

_WIDTH = 720.0
_RIGHT = 14.0
_ROW, _BAR = 38.0, 14.0
_LEAST = 1.6
_CHAR = 5.6  # of text at 9.5
_NAME_CHARS = 22
_ENDS = {"ended": ("✔", INK), "failed": ("✘", BAD), "cancelled": ("⊘", BAD)}
_UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "tick": 1.0}


def summary(timeline: Timeline, unit: str = "ms") -> str:
    """One line: how many tasks, how long, how long the loop was held."""
    busy = sum(lane.busy_s for lane in timeline.lanes)
    long = _length(timeline.duration_s, unit)
    count = len(timeline.lanes)
    ended = f", ended with {timeline.error}" if timeline.error else ""
    tasks = f"{count} task{'s' * (count != 1)}"
    return f"{tasks} over {long}, the loop held for {_length(busy, unit)}{ended}"


def paint_timeline(
    timeline: Timeline,
    *,
    title: str = "",
    unit: str = "ms",
    at_s: float | None = None,
    until_s: float | None = None,
) -> str:
    """The timeline as an SVG document.

    `unit` is that of the axis: ``s``, ``ms``, ``us``, or ``tick`` for a program that counts steps.
    `at_s` draws a cursor; `until_s` is where the axis ends, to compare two pictures.
    """
    if unit not in _UNITS:
        raise ValueError(f"Expected a unit of {', '.join(_UNITS)}, got {unit!r}")
    whole = max(until_s or 0.0, timeline.duration_s) or 1.0
    names = [_cut(lane.name) for lane in timeline.lanes]
    left = 18 + 6.9 * max(map(len, names), default=4)
    scale = (_WIDTH - left - _RIGHT) / whole
    top = 30.0 if title else 10.0
    parts = [text(8, 16, title, size=13, extra=BOLD)] if title else []
    bottom = top + _ROW * len(timeline.lanes)
    parts += _axis(whole, unit, left, scale, top, bottom)
    for number, (lane, name) in enumerate(zip(timeline.lanes, names, strict=True)):
        parts += _lane(lane, name, left, scale, top + number * _ROW, whole)
    if at_s is not None:
        x = left + at_s * scale
        parts.append(line(x, top, x, bottom, ACCENT, 1.4, "4 3"))
    y = bottom + 32
    parts += _legend(timeline, y)
    return svg_document(_WIDTH, y + 10, "".join(parts), title=summary(timeline, unit))


def _lane(
    lane: Lane, name: str, left: float, scale: float, y: float, whole_s: float
) -> Iterable[str]:
    middle = y + 4 + _BAR / 2
    yield text(left - 8, middle + 4, name, size=11, anchor="end")
    start, end = left + lane.start_s * scale, left + (lane.end_s or whole_s) * scale
    yield line(start, middle, end, middle, MUTED, 1.6)
    for step in lane.steps:
        x = left + step.start_s * scale
        width = max(_LEAST, (step.end_s - step.start_s) * scale)
        yield (
            f'<rect x="{x:.2f}" y="{y + 4:.1f}" width="{width:.2f}" height="{_BAR:g}" '
            f'style="fill:{ACCENT}"/>'
        )
    yield from _marks(lane.marks, left, scale, y)


def _marks(marks: Sequence[Mark], left: float, scale: float, y: float) -> Iterable[str]:
    """Signs at their moments, and what they say below where there is room."""
    free_from = 0.0
    for mark in sorted(marks, key=lambda mark: mark.at_s):
        x = left + mark.at_s * scale
        sign, ink = _ENDS.get(mark.kind, ("", INK))
        said = mark.label
        if mark.kind == "raised":
            ink = BAD
            yield f'<path d="M{x:.2f} {y + 5:.1f}l-4 -7h8z" style="fill:{BAD}"/>'
        elif sign:
            yield text(x + 2, y + 15, sign, size=11, fill=ink)
            continue
        else:
            yield line(x, y + 2, x, y + 6 + _BAR, INK, 1.2)
        width = _CHAR * len(said)
        place = min(max(x - width / 2, left - 20), _WIDTH - width - 2)
        if said and place >= free_from:
            yield text(place, y + 17 + _BAR, said, size=9.5, fill=ink)
            free_from = place + width + 6
        elif said:
            yield dot(x, y + 1, 1.6, ink)


def _axis(
    whole_s: float, unit: str, left: float, scale: float, top: float, bottom: float
) -> Iterable[str]:
    # At most 8 lines of the grid; there is no part of a tick.
    step = tick_step(whole_s, 8, 1.0 if unit == "tick" else 1e-9)
    count = int(whole_s / step + 1e-9)
    for number in range(count + 1):
        x = left + number * step * scale
        yield line(x, top, x, bottom + 4, FAINT, 1)
        words = f"{number * step * _UNITS[unit]:g}"
        if number == count:
            words += f" {unit}" + "s" * (unit == "tick")
        anchor = "end" if x > _WIDTH - 28 else "middle"
        yield text(min(x, _WIDTH - 2), bottom + 15, words, size=9.5, fill=MUTED, anchor=anchor)


def _legend(timeline: Timeline, y: float) -> Iterable[str]:
    kinds = {mark.kind for lane in timeline.lanes for mark in lane.marks}
    x = 8.0
    yield f'<rect x="{x:g}" y="{y - 8:g}" width="12" height="9" style="fill:{ACCENT}"/>'
    yield text(x + 16, y, "holds the loop", size=10, fill=MUTED)
    x += 104
    yield line(x, y - 3.5, x + 14, y - 3.5, MUTED, 1.6)
    yield text(x + 18, y, "waits", size=10, fill=MUTED)
    x += 60
    words = {"ended": "ended", "failed": "failed", "cancelled": "cancelled"}
    for kind, said in words.items():
        if kind in kinds:
            yield text(x, y, f"{_ENDS[kind][0]} {said}", size=10, fill=MUTED)
            x += 74
    if "raised" in kinds:
        yield f'<path d="M{x + 4:g} {y:g}l-4 -7h8z" style="fill:{BAD}"/>'
        yield text(x + 13, y, "an exception is thrown in", size=10, fill=MUTED)


def _length(seconds: float, unit: str) -> str:
    amount = seconds * _UNITS[unit]
    return f"{amount:.4g} {unit}" + "s" * (unit == "tick" and amount != 1)


def _cut(name: str) -> str:
    return name if len(name) <= _NAME_CHARS else name[: _NAME_CHARS - 1] + "…"
