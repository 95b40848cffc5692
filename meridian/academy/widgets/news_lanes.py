"""Who learns of something, and when: one lane for each way of waiting, redrawn by a slider."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from meridian.academy.widgets.base import (
    ACCENT,
    BAD,
    FAINT,
    GOOD,
    INK,
    MUTED,
    svg_document,
)
from meridian.academy.widgets.playground import Playground, Shown, slider
from meridian.academy.widgets.svg_parts import BOLD, dot, line, text, tick_step

__all__ = ["NewsLane", "NewsLanes", "NewsRun", "paint_news"]

_WIDTH, _RIGHT, _CHAR = 740.0, 20.0, 7.0
_TOP, _ROW = 34.0, 46.0


class NewsLane(NamedTuple):
    """One that waits from `start_s` to `end_s`; ``None``: still when the picture ends."""

    name: str
    start_s: float
    end_s: float | None
    said: str
    good: bool


class NewsRun(NamedTuple):
    """The lanes of one run, and what happened beside them: moments with a word."""

    lanes: tuple[NewsLane, ...]
    events: tuple[tuple[float, str], ...]
    until_s: float


def paint_news(run: NewsRun) -> str:
    """The lanes over time, as an SVG document."""
    left = 20 + _CHAR * max(len(lane.name) for lane in run.lanes)
    scale = (_WIDTH - left - _RIGHT) / run.until_s
    bottom = _TOP + _ROW * len(run.lanes)
    parts = [*_axis(run.until_s, left, scale, bottom), *_events(run, left, scale)]
    for place, lane in enumerate(run.lanes):
        parts += _lane(lane, run.until_s, left, scale, _TOP + place * _ROW)
    return svg_document(_WIDTH, bottom + 24, "".join(parts), title=_said(run))


def _lane(lane: NewsLane, until_s: float, left: float, scale: float, y: float) -> Iterable[str]:
    end_s = until_s if lane.end_s is None else lane.end_s
    x0, x1 = left + lane.start_s * scale, left + end_s * scale
    ink = GOOD if lane.good else BAD
    yield text(left - 12, y + 19, lane.name, size=11.5, anchor="end")
    yield line(x0, y + 15, x1, y + 15, ACCENT, 6, "6 4" if lane.end_s is None else "")
    yield line(x0, y + 8, x0, y + 22, INK, 1.6)
    words = f"{'✔' if lane.good else '✘'} {lane.said}"
    if lane.end_s is not None:
        yield dot(x1, y + 15, 5.5, ink)
    width = 6.0 * len(words)
    yield text(max(left, min(x0, _WIDTH - width)), y + 36, words, size=11, fill=ink, extra=BOLD)


def _events(run: NewsRun, left: float, scale: float) -> Iterable[str]:
    """A dashed line through the bars for each; the words below the bars stay free."""
    free_from = 0.0
    for at_s, word in run.events:
        x = left + at_s * scale
        strokes = [f"M{x:.1f} {_TOP - 8:.1f}v8"]
        strokes += [f"M{x:.1f} {_TOP + place * _ROW:.1f}v26" for place in range(len(run.lanes))]
        yield (
            f'<path d="{"".join(strokes)}" style="stroke:{INK}" stroke-width="1.2" '
            'stroke-dasharray="3 3"/>'
        )
        half = 3.1 * len(word)
        middle = min(max(x, left + half), _WIDTH - half - 4)
        if word and middle - half >= free_from:
            yield text(middle, _TOP - 14, word, size=11, anchor="middle")
            free_from = middle + half + 8


def _axis(until_s: float, left: float, scale: float, bottom: float) -> Iterable[str]:
    step = tick_step(until_s, 12)
    last = int(until_s / step)
    for number in range(last + 1):
        x = left + number * step * scale
        yield line(x, _TOP - 4, x, bottom + 3, FAINT)
        words = f"{number * step:g}" + " s" * (number == last)
        yield text(x, bottom + 16, words, size=9.5, fill=MUTED, anchor="middle")


def _said(run: NewsRun) -> str:
    return "; ".join(f"{lane.name}: {lane.said}" for lane in run.lanes)


class NewsLanes(Playground):
    """A slider, and the lanes of what `run` makes of its value, run anew with every change."""

    def __init__(
        self,
        run: Callable[[float], NewsRun],
        *,
        control: str,
        low: float,
        high: float,
        start: float,
        step: float = 1.0,
    ) -> None:
        self._make = run
        self.control = slider(control, start, low, high, step, width="30rem")
        self.control.readout_format = ".0f" if step == int(step) else ".1f"
        self.run: NewsRun
        super().__init__([self.control], self._learn)

    def _learn(self) -> Shown:
        self.run = self._make(self.control.value)
        return Shown(_said(self.run), (paint_news(self.run),), aloud=False)
