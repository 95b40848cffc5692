"""Who still holds a sender, over time, and what the consumer's loop makes of it."""

from __future__ import annotations

from meridian.academy.widgets.base import (
    ACCENT,
    BAD,
    FAINT,
    GOOD,
    INK,
    MUTED,
    WARN,
    svg_document,
)
from meridian.academy.widgets.clone_runs import CloneRun
from meridian.academy.widgets.svg_parts import BOLD, dot, line, rect, text

__all__ = ["paint_clones"]

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
