"""Who still holds a sender, and who asks an actor what: drawn over time from what happened."""

from __future__ import annotations

import math

from meridian.academy.widgets.ask_runs import AskRun
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
from meridian.academy.widgets.clone_runs import CloneRun
from meridian.academy.widgets.svg_parts import BOLD, dot, head, line, rect, text

__all__ = ["paint_asks", "paint_clones"]

_WIDTH = 680.0


def paint_clones(run: CloneRun) -> str:
    """A bar for each sender while it is open, a dot for each frame; the consumer's loop below."""

    def x(when_s: float) -> float:
        return 90 + 440 * when_s / run.until_s

    parts: list[str] = []
    y = 14.0
    for holder in run.holders:
        end_s = run.until_s if holder.closed_s is None else holder.closed_s
        ink = BAD if holder.closed_s is None else ACCENT
        said = "OPEN" if holder.closed_s is None else f"closed at {holder.closed_s:.1f} s"
        parts += [
            text(8, y + 5, holder.name, size=12),
            rect(x(0), y - 3.5, x(end_s) - x(0), 7, f"fill:{ink};opacity:.5"),
            *(dot(x(s), y, 4, INK) for s in holder.sent_s),
            text(544, y + 5, said, size=12, fill=BAD if holder.closed_s is None else MUTED),
        ]
        if holder.closed_s is not None:
            parts.append(line(x(end_s), y - 8, x(end_s), y + 8, INK, 2))
        y += 26
    y += 8
    end_s = run.until_s if run.ended_s is None else run.ended_s
    hangs = run.ended_s is None
    said = "still waits" if hangs else f"loop ended at {run.ended_s:.1f} s"
    last_s = max(run.received_s, default=0.0)
    parts += [
        line(8, y - 16, 672, y - 16, FAINT),
        text(8, y + 5, "consumer", size=12, extra=BOLD),
        rect(x(0), y - 3.5, x(end_s) - x(0), 7, f"fill:{GOOD};opacity:.5"),
        *(dot(x(s), y, 4, INK) for s in run.received_s),
        text(544, y + 5, said, size=12, fill=BAD if hangs else GOOD, extra=BOLD),
    ]
    if hangs:
        parts.append(line(x(last_s), y, x(end_s), y, WARN, 3, "5 4"))
    y += 26
    for second in range(int(run.until_s) + 1):
        words = f"{second} s"
        parts.append(text(x(second), y, words, size=11, fill=MUTED, anchor="middle"))
    return svg_document(_WIDTH, y + 8, "".join(parts), title=f"Senders of a channel; {said}")


def paint_asks(run: AskRun) -> str:
    """Time runs down. Asks to the mailbox, the actor at work, and each answer on its way back."""
    lanes = [70.0 + 110 * n for n in range(run.askers)]
    box, actor = lanes[-1] + 120, lanes[-1] + 240
    end_s = max((ask.replied_s for ask in run.asks), default=1.0)
    high = max(160.0, 58.0 * len(run.asks))

    def y(when_s: float) -> float:
        return 46 + high * when_s / end_s

    parts: list[str] = []
    first, last = y(min((ask.begun_s for ask in run.asks), default=0.0)), y(end_s) + 12
    names = [*(f"task {n}" for n in range(1, run.askers + 1)), "mailbox", "actor"]
    for where, name in zip([*lanes, box, actor], names, strict=True):
        parts += [
            text(where, 18, name, size=12.5, anchor="middle", extra=BOLD),
            # The actor's own line ends at its first box, whose fill is thin in the saved picture.
            line(where, 26, where, first if name == "actor" else last, LINE, 1, "2 4"),
        ]
    lanes_free_at: list[float] = []
    for ask in sorted(run.asks, key=lambda ask: ask.asked_s):
        home, asked, begun, done = (
            lanes[ask.asker],
            y(ask.asked_s),
            y(ask.begun_s),
            y(ask.replied_s),
        )
        place = next((n for n, s in enumerate(lanes_free_at) if s <= ask.asked_s), None)
        if place is None:
            place = len(lanes_free_at)
            lanes_free_at.append(0.0)
        lanes_free_at[place] = ask.begun_s
        slot = box - 6 + 12 * place
        parts += [
            rect(home - 4, asked, 8, done - asked, f"fill:{WARN};opacity:.6"),
            _arrow(home + 4, asked, slot - 5, asked, ACCENT),
            rect(slot - 5, asked, 10, max(begun - asked, 2.0), f"fill:{ACCENT};opacity:.45"),
            _arrow(slot + 5, begun, actor - 26, begun, ACCENT),
            rect(actor - 26, begun, 52, done - begun, f"fill:{PANEL};stroke:{INK}"),
            text(actor, (begun + done) / 2 + 4, f"task {ask.asker + 1}", size=11, anchor="middle"),
            text(home + 10, asked + 13, ask.words, size=11.5),
            _arrow(actor - 26, done, home + 5, done, GOOD, dashed=True),
            text(actor + 34, done + 4, f"total {ask.answer}", size=11.5),
            text(actor + 104, done + 4, f"{ask.replied_s:.1f} s", size=11, fill=MUTED),
        ]
    foot = y(end_s) + 34
    said = f"total {run.total}, wanted {run.wanted}"
    lost = run.wanted - run.total
    words = f"{said}: {lost} lost" if lost else f"{said}: nothing lost"
    parts.append(text(8, foot, words, size=12.5, fill=BAD if lost else GOOD, extra=BOLD))
    return svg_document(max(_WIDTH, actor + 150), foot + 10, "".join(parts), title=words)


def _arrow(x0: float, y0: float, x1: float, y1: float, ink: str, *, dashed: bool = False) -> str:
    """Level, from left to right or back."""
    angle = 0.0 if x1 > x0 else math.pi
    shaft = line(x0, y0, x1, y1, ink, 1, "5 4" if dashed else "")
    return shaft + head(x1, y1, angle, ink, 0.9)
