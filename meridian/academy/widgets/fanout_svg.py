"""Paint what two slow readers made of one stream: numbers over time, below the line of the newest.

The distance down to the line is the age of what was read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from meridian.academy.widgets.base import ACCENT, BAD, FAINT, INK, MUTED, svg_document
from meridian.academy.widgets.fanout_runs import PERIOD_S, LagRun, Look
from meridian.academy.widgets.svg_parts import BOLD, dot, line, text, tick_step

__all__ = ["lag_words", "paint_lag"]

_WIDTH, _TALL = 740.0, 236.0
_TOP = 58.0
_LEFT, _GAP, _PLOT = 40.0, 44.0, 316.0


class _Plane(NamedTuple):
    """Seconds to the right, numbers upwards."""

    left: float
    seconds: float
    numbers: int

    def x(self, at_s: float) -> float:
        return self.left + at_s / self.seconds * _PLOT

    def y(self, number: float) -> float:
        return _TOP + _TALL * (1 - number / self.numbers)


def lag_words(run: LagRun) -> tuple[str, str]:
    """What each of the two readers got, in one sentence."""
    events, values = run.by_broadcast, run.by_watch
    told = f"{len(events)} read, {run.missed} missed and told, at most"
    untold = f"{len(values)} read, {run.skipped} skipped and not told, at most"
    return (
        f"broadcast of {run.capacity}: {told} {_oldest_s(events):.0f} s old",
        f"watch: {untold} {_oldest_s(values):.0f} s old",
    )


def paint_lag(run: LagRun) -> str:
    """Both readers side by side, as an SVG document."""
    last_s = max(look.at_s for look in (*run.by_broadcast, *run.by_watch))
    seconds = max(last_s, run.numbers * PERIOD_S) * 1.02
    words = lag_words(run)
    parts: list[str] = []
    for place, (looks, said) in enumerate(
        zip((run.by_broadcast, run.by_watch), words, strict=True)
    ):
        plane = _Plane(_LEFT + place * (_PLOT + _GAP), seconds, run.numbers)
        name, _, rest = said.partition(": ")
        parts.append(text(plane.left, 15, name, size=12.5, extra=BOLD))
        parts.append(text(plane.left, 31, rest, size=10.5, fill=MUTED))
        parts += _axes(plane)
        parts += _newest(plane)
        parts += _looks(plane, looks)
    y = _TOP + _TALL + 46
    parts.append(
        text(
            _LEFT,
            y,
            "Line: the newest number. Dot: one that was read; the stem above it: how old it was.",
            size=10,
            fill=MUTED,
        )
    )
    parts.append(
        text(
            _LEFT,
            y + 14,
            "Red cross: reported missing. What a watch skips leaves no mark.",
            size=10,
            fill=MUTED,
        )
    )
    return svg_document(_WIDTH, y + 24, "".join(parts), title="; ".join(words))


def _axes(plane: _Plane) -> Iterable[str]:
    bottom, right = _TOP + _TALL, plane.left + _PLOT
    step = int(tick_step(plane.numbers, 9))
    for number in range(0, plane.numbers + 1, step):
        y = plane.y(number)
        yield line(plane.left, y, right, y, FAINT)
        yield text(plane.left - 5, y + 3.5, str(number), size=9.5, fill=MUTED, anchor="end")
    step = int(tick_step(plane.seconds, 9))
    for at_s in range(0, int(plane.seconds) + 1, step):
        x = plane.x(at_s)
        yield line(x, bottom, x, bottom + 4, MUTED)
        yield text(x, bottom + 15, str(at_s), size=9.5, fill=MUTED, anchor="middle")
    yield text(right, bottom + 28, "seconds", size=9.5, fill=MUTED, anchor="end")
    yield text(plane.left - 20, _TOP - 9, "number", size=9.5, fill=MUTED)


def _newest(plane: _Plane) -> Iterable[str]:
    end_s = plane.numbers * PERIOD_S
    yield line(plane.x(0), plane.y(0), plane.x(end_s), plane.y(plane.numbers), INK, 1.4)
    x, y = plane.x(end_s), plane.y(plane.numbers)
    yield line(x, y, plane.left + _PLOT, y, INK, 1.4, "2 3")


def _looks(plane: _Plane, looks: tuple[Look, ...]) -> Iterable[str]:
    for look in looks:
        x, y = plane.x(look.at_s), plane.y(look.number)
        newest = min(plane.numbers, int(look.at_s / PERIOD_S + 1e-9))
        yield line(x, y, x, plane.y(newest), ACCENT, 1.0)
        for gone in range(look.number - look.missed, look.number):
            where = plane.y(gone)
            yield (
                f'<path d="M{x - 2.5:.1f} {where - 2.5:.1f}l5 5m0 -5l-5 5" '
                f'style="stroke:{BAD};fill:none" stroke-width="1.2"/>'
            )
        yield dot(x, y, 3, ACCENT)


def _oldest_s(looks: tuple[Look, ...]) -> float:
    """The greatest age of what was read, at the moment it was read."""
    return max((look.at_s - look.number * PERIOD_S for look in looks), default=0.0)
