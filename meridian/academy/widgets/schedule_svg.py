"""Paint an interleaving: a column for each thread, time going down, the locks beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from meridian.academy.widgets.base import (
    ACCENT,
    BAD,
    FAINT,
    INK,
    LINE,
    MUTED,
    PANEL,
    WARN,
    svg_document,
)
from meridian.academy.widgets.lock_story import Event, Scene
from meridian.academy.widgets.lock_svg import (
    ORDER_HEIGHT,
    Box,
    legend,
    paint_order,
    paint_round,
    summary,
)
from meridian.academy.widgets.svg_parts import BOLD, dot, line, text

__all__ = ["paint_schedule"]

_WIDTH = 720.0
_ROW = 21.0
_NUMBERS = 30.0
_ROUND = 190.0
_INKS = {"stuck": BAD, "takes": INK, "wants": INK}


def paint_schedule(events: Sequence[Event], at: int, *, title: str = "") -> str:
    """The interleaving as an SVG document; beside it the round and the order after event `at`.

    Raises `ValueError` for no events, `IndexError` for a number beyond them.
    """
    if not events:
        raise ValueError("Expected an interleaving with at least one lock operation, got none")
    scene = events[at].scene
    threads = [state.thread for state in scene.threads]
    top = 30.0 if title else 8.0
    columns = _WIDTH * (0.56 if len(threads) > 2 else 0.5) - _NUMBERS
    parts = [text(8, 16, title, size=13, extra=BOLD)] if title else []
    parts += _columns(events, threads, at, top, columns)
    left = _NUMBERS + columns + 16
    uses = {
        (state.thread, lock)
        for event in events
        for state in event.scene.threads
        for lock in (*state.holds, *([state.waits_for] if state.waits_for else []))
    }
    width = _WIDTH - left - 6
    parts += paint_round(scene, Box(left, top, width, _ROUND), sorted(uses))
    bottom = top + 24 + _ROW * len(events)
    if len(scene.locks) > 1:
        parts += paint_order(scene, Box(left, top + _ROUND + 6, width, ORDER_HEIGHT))
        bottom = max(bottom, top + _ROUND + ORDER_HEIGHT + 14)
    bottom = max(bottom, top + _ROUND)
    parts += legend(8, bottom + 24, scene)
    return svg_document(_WIDTH, bottom + 34, "".join(parts), title=_alt(events, scene))


def _alt(events: Sequence[Event], scene: Scene) -> str:
    threads = ", ".join(state.thread for state in scene.threads)
    return f"{len(events)} steps of {threads}; {summary(scene)}"


def _columns(
    events: Sequence[Event], threads: Sequence[str], at: int, top: float, width: float
) -> Iterable[str]:
    step = width / max(1, len(threads))
    xs = {thread: _NUMBERS + step * n + 10 for n, thread in enumerate(threads)}
    first = top + 24
    y = first + at * _ROW
    yield (
        f'<rect x="2" y="{y:.1f}" width="{_NUMBERS + width:.1f}" height="{_ROW:g}" '
        f'style="fill:{PANEL};stroke:{LINE}" stroke-width="0.8"/>'
    )
    for thread, x in xs.items():
        yield text(x - 5, top + 14, thread, extra=BOLD)
        yield from _life(events, thread, x, first)
    for number, event in enumerate(events):
        y = first + number * _ROW + 14.5
        mark = "▸" if number == at else ""
        yield text(_NUMBERS - 6, y, f"{mark}{number + 1}", size=9, fill=MUTED, anchor="end")
        x = xs.get(event.thread, _NUMBERS)
        ink = _INKS.get(event.kind, MUTED)
        if number > at:
            ink = MUTED if event.kind != "stuck" else BAD
        yield dot(x, y - 4, 3.4, ink)
        weight = BOLD if number == at else ""
        yield text(x + 9, y, event.said, size=10, fill=ink, extra=weight)


def _life(events: Sequence[Event], thread: str, x: float, first: float) -> Iterable[str]:
    """Thick while it holds a lock, twice as thick with two; dashed while it waits."""
    middle = first + _ROW / 2
    yield line(x, middle, x, middle + _ROW * (len(events) - 1), FAINT, 1.2)
    for number, event in enumerate(events):
        state = next(s for s in event.scene.threads if s.thread == thread)
        y = middle + number * _ROW
        end = y + _ROW if number + 1 < len(events) else y + 6
        if state.holds:
            yield line(x, y, x, end, ACCENT, 2.5 + 2.5 * len(state.holds))
        if state.waits_for or thread in dict(event.scene.asleep):
            yield line(x - 7, y, x - 7, end, WARN, 2.0, "3 3")
