"""A bounded channel drawn as a tank, with what came of it over time; and twelve tries at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from meridian.academy.widgets.base import (
    ACCENT,
    BAD,
    FAINT,
    GOOD,
    INK,
    LINE,
    MUTED,
    PANEL,
    WARN,
    svg_document,
)
from meridian.academy.widgets.svg_parts import BOLD, line, rect, text
from meridian.academy.widgets.tank_runs import TankRun, TriesRun

__all__ = ["paint_curves", "paint_tank", "paint_tries"]

_WIDTH = 680.0


def paint_tank(run: TankRun, at_s: float) -> str:
    """Producer, tank and consumer as they are `at_s` seconds into the run."""
    level = next(count for when, count in reversed(run.levels) if when <= at_s)
    stuck = _waiting_since(run, at_s)
    made = [item for item in run.items if item.made_s <= at_s]
    dropped = sum(item.dropped for item in made)
    taken = sum(item.out_s is not None and item.out_s <= at_s for item in made)
    left, top, wide, high = 250.0, 34.0, 170.0, 132.0
    surface = top + high * (1 - level / run.capacity)
    parts = [
        text(8, 16, f"{at_s:.1f} s", size=13, extra=BOLD),
        _box(20, 30, 130, 46, "producer", f"{len(made)} made"),
        _box(530, 128, 130, 46, "consumer", f"{taken} taken"),
        rect(left, surface, wide, top + high - surface, f"fill:{ACCENT};opacity:.55"),
        _path(f"M{left} {top - 8} V{top + high} H{left + wide} V{top - 8}", INK, 2.5),
    ]
    if run.capacity <= 32:
        levels = (top + high * n / run.capacity for n in range(run.capacity))
        parts += [line(left, y, left + wide, y, FAINT) for y in levels]
    parts += [
        text(
            left + wide / 2, top + high + 20, f"{level} of {run.capacity}", size=13, anchor="middle"
        ),
        line(150, 53, left - 16, 53, INK, 6),
        line(left + wide, 151, 530, 151, INK, 6),
    ]
    if stuck is not None:
        parts += [
            f'<path d="M{left - 18} 40 v26" style="stroke:{BAD};stroke-width:5"/>',
            text(20, 96, f"send waits, for {(at_s - stuck) * 1e3:.0f} ms now", size=12, fill=BAD),
        ]
    else:
        parts += [
            f'<path d="M{left - 18} 46 l14 7 -14 7 z" style="fill:{GOOD}"/>',
            text(20, 96, "makes the next item", size=12, fill=MUTED),
        ]
    if not run.waits:
        parts += [
            _path(f"M{left + wide} {top + 2} h26 q10 0 10 10 v12", WARN, 4),
            text(left + wide + 46, top + 22, f"{dropped} dropped", size=12, fill=BAD),
        ]
    said = f"After {at_s:.1f} s: {level} of {run.capacity} in the channel, {taken} taken"
    return svg_document(_WIDTH, 196, "".join(parts), title=said)


def paint_curves(run: TankRun, at_s: float | None = None) -> str:
    """How full it is, how long each item lay in it, and how long its sender waited, over time."""
    tank = [(i.out_s, (i.out_s - i.in_s) * 1e3) for i in run.items if i.out_s and i.in_s]
    waited = [(i.made_s, (i.in_s - i.made_s) * 1e3) for i in run.items if i.in_s is not None]
    drops = [i.made_s for i in run.items if i.dropped]

    def x(when_s: float) -> float:
        return 70 + 590 * when_s / run.seconds

    parts: list[str] = []
    fill = "".join(
        f"H{x(when):.1f}V{22 + 70 * (1 - n / run.capacity):.1f}" for when, n in run.levels[1:]
    )
    parts += [
        text(8, 14, "items in the channel", size=11.5, extra=BOLD),
        *_frame(22, 92, f"{run.capacity}"),
        f'<path d="M70 92{fill}H660" fill="none" style="stroke:{ACCENT};stroke-width:1.4"/>',
    ]
    for top, head, dots in (
        (124.0, "ms that an item lay in the channel", tank),
        (226.0, "ms that its sender waited before", waited),
    ):
        most_ms = max((value for _, value in dots), default=0.0) or 1.0
        parts += [
            text(8, top - 8, head, size=11.5, extra=BOLD),
            *_frame(top, top + 70, f"{most_ms:.0f}"),
            *_dots(dots, x, _scale(top, most_ms)),
        ]
    if drops:
        parts += [line(x(s), 286, x(s), 296, BAD, 1.6) for s in drops]
        parts.append(text(656, 222, f"| dropped: {len(drops)}", size=11, fill=BAD, anchor="end"))
    if at_s is not None:
        parts.append(line(x(at_s), 18, x(at_s), 300, INK, 1, "3 3"))
    ticks = range(0, int(run.seconds) + 1, 5)
    parts += [text(x(s), 314, f"{s} s", size=11, fill=MUTED, anchor="middle") for s in ticks]
    title = "How full the channel is, and how long items and their senders wait"
    return svg_document(_WIDTH, 322, "".join(parts), title=title)


def paint_tries(run: TriesRun) -> str:
    """Each item in the column of what became of it, in the order of the tries."""
    columns = ("taken", "in the channel", "dropped" if not run.waits else "waiting")
    looks = {"taken": GOOD, "in the channel": ACCENT, "dropped": BAD, "waiting": WARN}
    parts: list[str] = []
    y = 8.0
    for name in columns:
        numbers = [n for n, state in enumerate(run.states, 1) if state == name]
        parts.append(text(8, y + 17, f"{name}: {len(numbers)}", size=12, extra=BOLD))
        places = max(len(numbers), run.capacity if name == "in the channel" else 0)
        for place in range(places):
            x = 150 + place * 26.0
            parts.append(rect(x, y, 23, 23, f"fill:{PANEL};stroke:{LINE}"))
            if place < len(numbers):
                parts.append(rect(x, y, 23, 23, f"fill:{looks[name]};opacity:.35"))
                number = f"{numbers[place]}"
                parts.append(text(x + 11.5, y + 16, number, size=11, anchor="middle"))
        y += 34
    title = "; ".join(f"{name}: {run.states.count(name)}" for name in columns)
    return svg_document(_WIDTH, y, "".join(parts), title=title)


def _waiting_since(run: TankRun, at_s: float) -> float | None:
    last = next((item for item in reversed(run.items) if item.made_s <= at_s), None)
    if last is None or last.dropped or (last.in_s is not None and last.in_s <= at_s):
        return None
    return last.made_s


def _scale(top: float, most: float) -> Callable[[float], float]:
    return lambda value: top + 70 * (1 - value / most)


def _frame(top: float, bottom: float, most: str) -> list[str]:
    return [
        line(70, bottom, 660, bottom, LINE),
        line(70, top, 660, top, FAINT, 1, "2 3"),
        text(64, top + 4, most, size=11, fill=MUTED, anchor="end"),
        text(64, bottom + 4, "0", size=11, fill=MUTED, anchor="end"),
    ]


def _dots(
    dots: Iterable[tuple[float, float]], x: Callable[[float], float], y: Callable[[float], float]
) -> list[str]:
    path = "".join(f"M{x(when):.1f} {y(value):.1f}h0" for when, value in dots)
    look = f"stroke:{ACCENT};stroke-width:3.4;stroke-linecap:round"
    return [f'<path d="{path}" fill="none" style="{look}"/>'] if path else []


def _path(shape: str, ink: str, width: float) -> str:
    return f'<path d="{shape}" fill="none" style="stroke:{ink};stroke-width:{width:g}"/>'


def _box(x: float, y: float, wide: float, high: float, name: str, words: str) -> str:
    return (
        rect(x, y, wide, high, f"fill:{PANEL};stroke:{LINE}")
        + text(x + wide / 2, y + 19, name, size=12.5, anchor="middle", extra=BOLD)
        + text(x + wide / 2, y + 36, words, size=11.5, anchor="middle", fill=MUTED)
    )
