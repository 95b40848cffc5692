"""Who asks an actor what, and when it answers: a sequence of messages, time running down."""

from __future__ import annotations

import math

from meridian.academy.widgets.ask_runs import AskRun
from meridian.academy.widgets.base import (
    ACCENT,
    BAD,
    GOOD,
    INK,
    LINE,
    MUTED,
    PANEL,
    WARN,
    svg_document,
)
from meridian.academy.widgets.svg_parts import BOLD, head, line, rect, text

__all__ = ["paint_asks"]

_WIDTH = 680.0


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
