"""Paint threads and locks: who waits for whom as a round, the order of locks as a line of arcs.

The round is the resource graph of textbooks (Holt, 1972): an arrow from a lock to its holder, one
from a thread to what it waits for. A deadlock is then a closed circle of arrows. The line is the
other half: while every arc leads to the right there is an order, and no circle can ever close.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from meridian.academy.widgets.base import ACCENT, BAD, GOOD, INK, LINE, MUTED, PANEL, svg_document
from meridian.academy.widgets.lock_story import Order, Scene, circle, in_order, seating
from meridian.academy.widgets.svg_parts import BOLD, head, line, text

__all__ = ["ORDER_HEIGHT", "Box", "paint_locks", "paint_order", "paint_round", "summary"]

_CHAR = 6.9  # of text at 11, with some air
ORDER_HEIGHT = 150.0
_PAD = 5.0  # between an arrow and what it leads to


@dataclass(frozen=True, slots=True)
class Box:
    """A part of a picture, in its user units."""

    x: float
    y: float
    width: float
    height: float


def summary(scene: Scene) -> str:
    """One line on the scene: a deadlock, or who waits."""
    way = circle(scene)
    if way:
        pairs = zip(way[::2], way[1::2], strict=True)
        return "deadlock: " + ", ".join(f"{thread} waits for {lock}" for thread, lock in pairs)
    waits = [f"{s.thread} waits for {s.waits_for}" for s in scene.threads if s.waits_for]
    return ", ".join(waits) or "nobody waits for a lock"


def paint_locks(scene: Scene, *, title: str = "", height: float = 270.0) -> str:
    """Both pictures side by side, as an SVG document."""
    top = 44.0 if title else 24.0
    parts = [text(8, 16, title, size=13, extra=BOLD)] if title else []
    parts.append(text(170, top, "now: who holds, who waits", fill=MUTED, anchor="middle"))
    parts.append(
        text(540, top, "so far: which was wanted under which", fill=MUTED, anchor="middle")
    )
    parts += paint_round(scene, Box(8, top + 8, 324, height))
    lower = top + 8 + max(0.0, (height - ORDER_HEIGHT) / 2 - 14)
    parts += paint_order(scene, Box(366, lower, 346, ORDER_HEIGHT))
    bottom = top + 8 + height
    parts += legend(8, bottom + 16, scene)
    return svg_document(720, bottom + 26, "".join(parts), title=summary(scene))


def paint_round(
    scene: Scene, box: Box, uses: Iterable[tuple[str, str]] | None = None
) -> Iterable[str]:
    """Threads and locks in a round with their arrows. `uses`: thread and lock, to seat them by."""
    places = _places(scene, box, uses)
    closed = circle(scene)
    pairs = set(zip(closed, (*closed[1:], *closed[:1]), strict=True))
    for state in scene.threads:
        for lock in state.holds:
            arrow = (lock, state.thread)
            yield from _arrow(*(places[name] for name in arrow), hot=arrow in pairs)
        if state.waits_for in places:
            arrow = (state.thread, state.waits_for)
            yield from _arrow(*(places[n] for n in arrow), hot=arrow in pairs, dashes="6 4")
    asleep = dict(scene.asleep)
    for state in scene.threads:
        spot = places[state.thread]
        yield from _node(spot, state.thread, round_=True, hot=state.thread in closed)
        if state.thread in asleep:
            words = f"asleep on {asleep[state.thread]}"
            yield text(_x(spot), spot.y - 4, words, size=9.5, fill=MUTED, anchor="middle")
    for node in scene.locks:
        words = node.name if node.rank is None else f"{node.name} · {node.rank}"
        yield from _node(places[node.name], words, round_=False, hot=node.name in closed)
    x, y = box.x + box.width / 2, box.y + box.height / 2
    if closed:
        yield text(x, y + 4, "deadlock", size=14, fill=BAD, anchor="middle", extra=BOLD)


def paint_order(scene: Scene, box: Box) -> Iterable[str]:
    """The locks in a line; an arc from each that was held to each that was wanted under it."""
    row = in_order(scene.locks, scene.orders)
    if not row:
        return
    step = box.width / max(2, len(row))
    first = box.x + box.width / 2 - step * (len(row) - 1) / 2
    at = {node.name: first + step * n for n, node in enumerate(row)}
    middle = box.y + box.height / 2
    back = []
    said: dict[tuple[str, str], list[str]] = {}
    for order in scene.orders:
        said.setdefault((order.held, order.wanted), []).append(order.thread)
    for (held, wanted), threads in said.items():
        if at[wanted] <= at[held]:
            back.append(Order(held, wanted, threads[0]))
        yield from _arc(at[held], at[wanted], middle, step, threads)
    for node in row:
        words = node.name if node.rank is None else f"{node.name} · {node.rank}"
        width = _CHAR * len(words) + 14
        spot = Box(at[node.name] - width / 2, middle - 12, width, 24)
        hot = any(node.name in (order.held, order.wanted) for order in back)
        yield from _node(spot, words, round_=False, hot=hot)
    x, y = box.x + box.width / 2, box.y + box.height + 4
    if back:
        words = f"an arc leads back: {back[0].held} → {back[0].wanted}. There is no order"
        yield text(x, y, words, fill=BAD, anchor="middle")
    elif said:
        words = "every arc leads to the right: there is an order"
        yield text(x, y, words, fill=GOOD, anchor="middle")


def legend(x: float, y: float, scene: Scene) -> Iterable[str]:
    """What the arrows of the round mean."""
    yield line(x, y - 4, x + 22, y - 4, ACCENT, 2.2)
    yield head(x + 26, y - 4, 0.0, ACCENT)
    yield text(x + 32, y, "lock to its holder", size=10, fill=MUTED)
    x += 140
    yield line(x, y - 4, x + 22, y - 4, INK, 1.6, "6 4")
    yield head(x + 26, y - 4, 0.0, INK)
    yield text(x + 32, y, "thread to the lock it waits for", size=10, fill=MUTED)
    x += 196
    yield line(x, y - 4, x + 22, y - 4, BAD, 3.4)
    yield text(x + 28, y, "part of a closed circle", size=10, fill=MUTED)
    if any(lock.rank is not None for lock in scene.locks):
        yield text(x + 176, y, "lock · rank", size=10, fill=MUTED)


def _places(scene: Scene, box: Box, uses: Iterable[tuple[str, str]] | None) -> dict[str, Box]:
    """Where everybody sits. Threads and locks alternate; a single lock is in the middle."""
    threads = [state.thread for state in scene.threads]
    labels = {
        node.name: node.name if node.rank is None else f"{node.name} · {node.rank}"
        for node in scene.locks
    }
    seats: list[str | None] = []
    if uses is None:
        uses = [(state.thread, lock) for state in scene.threads for lock in state.holds]
    locks = seating(threads, list(labels), uses)
    alone = len(locks) == 1 < len(threads)
    for n in range(max(len(threads), 0 if alone else len(locks))):
        seats.append(threads[n] if n < len(threads) else None)
        if not alone:
            seats.append(locks[n] if n < len(locks) else None)
    found = {}
    middle_x, middle_y = box.x + box.width / 2, box.y + box.height / 2
    for n, name in enumerate(seats):
        angle = 2 * math.pi * n / len(seats) - (math.pi if len(seats) <= 4 else math.pi / 2)
        x = middle_x + (box.width / 2 - 44) * math.cos(angle)
        y = middle_y + (box.height / 2 - 22) * math.sin(angle)
        if name is not None:
            found[name] = _spot(labels.get(name, name), x, y)
    if alone:
        found[locks[0]] = _spot(labels[locks[0]], middle_x, middle_y)
    return found


def _spot(words: str, x: float, y: float) -> Box:
    width = max(46.0, _CHAR * len(words) + 18)
    return Box(x - width / 2, y - 15, width, 30)


def _node(spot: Box, words: str, *, round_: bool, hot: bool) -> Iterable[str]:
    """A thread is round, a lock has corners."""
    ink, width = (BAD, 2.4) if hot else (LINE, 1.2)
    radius = spot.height / 2 if round_ else 2
    yield (
        f'<rect x="{spot.x:.1f}" y="{spot.y:.1f}" width="{spot.width:.1f}" '
        f'height="{spot.height:g}" rx="{radius:g}" style="fill:{PANEL};stroke:{ink}" '
        f'stroke-width="{width:g}"/>'
    )
    yield text(_x(spot), spot.y + spot.height / 2 + 4, words, anchor="middle")


def _arrow(start: Box, end: Box, *, hot: bool, dashes: str = "") -> Iterable[str]:
    ink = BAD if hot else INK if dashes else ACCENT
    (x0, y0), (x1, y1) = _edge(start, end), _edge(end, start)
    angle = math.atan2(y1 - y0, x1 - x0)
    back_x, back_y = x1 - 6 * math.cos(angle), y1 - 6 * math.sin(angle)
    yield line(x0, y0, back_x, back_y, ink, 3.4 if hot else 1.8, dashes)
    yield head(x1, y1, angle, ink, 1.3 if hot else 1.0)


def _edge(box: Box, towards: Box) -> tuple[float, float]:
    """Where the line to the other box leaves this one."""
    x, y = _x(box), box.y + box.height / 2
    dx, dy = _x(towards) - x, towards.y + towards.height / 2 - y
    reach = min(
        (box.width / 2 + _PAD) / abs(dx) if dx else math.inf,
        (box.height / 2 + _PAD) / abs(dy) if dy else math.inf,
    )
    return x + dx * reach, y + dy * reach


def _arc(start: float, end: float, y: float, step: float, threads: Sequence[str]) -> Iterable[str]:
    """Above to the right; below, and red, to the left."""
    right = end > start
    side, ink = (-1, ACCENT) if right else (1, BAD)
    length = abs(end - start) or 34.0
    height = min(56.0, 24.0 + 12.0 * length / step)
    shift = 6.0 if right else -6.0
    x0, x1 = (start + shift, end - shift) if end != start else (start + 14, start - 14)
    base = y + side * 14
    yield (
        f'<path d="M{x0:.1f} {base:.1f}C{x0:.1f} {base + side * height:.1f} {x1:.1f} '
        f'{base + side * height:.1f} {x1:.1f} {base + side * 6:.1f}" style="stroke:{ink}" '
        f'stroke-width="{2 if right else 3.2}" fill="none"/>'
    )
    yield head(x1, base, math.pi / 2 if right else -math.pi / 2, ink)
    who = ", ".join(dict.fromkeys(threads))
    place = base + side * (0.75 * height + (5 if right else 13))
    yield text((x0 + x1) / 2, place, who, size=9.5, fill=MUTED, anchor="middle")


def _x(box: Box) -> float:
    return box.x + box.width / 2
