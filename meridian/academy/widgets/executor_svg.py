"""Paint an executor between two steps: the run queue as a row of boxes, every task with its state.

A state is a word; a task that nobody can wake is grey, hatched and says so.
"""

from __future__ import annotations

from collections.abc import Iterable

from meridian.academy.widgets.base import ACCENT, BAD, GOOD, INK, LINE, MUTED, PANEL, svg_document
from meridian.academy.widgets.executor_runs import Shot, TaskState
from meridian.academy.widgets.svg_parts import BOLD, ON_FILL, text

__all__ = ["paint_executor"]

_WIDTH = 640.0
_LEFT = 92.0
_BOX, _TALL, _GAP = 108.0, 34.0, 12.0
_CARD, _CARD_TALL = 168.0, 78.0
_FILLS = {"queued": "#fdbf6f", "pending": "#a6cee3", "done": "#b2df8a"}
_HATCH = (
    '<defs><pattern id="waker-lost" width="6" height="6" patternUnits="userSpaceOnUse">'
    '<rect width="6" height="6" fill="#d9d9d9"/>'
    '<path d="M-1 7L7 -1" stroke="#8a8a8a" stroke-width="1"/></pattern></defs>'
)


def paint_executor(shot: Shot, number: int, total: int) -> str:
    """`shot` as an SVG document; it is number `number` of `total`."""
    title = f"step {number} of {total}, {shot.at_s * 1e3:.0f} ms"
    parts = [
        _HATCH,
        text(8, 16, title, size=13, extra=BOLD),
        text(8, 52, "run queue", size=11.5, fill=MUTED),
        *_queue(shot.queue),
        text(8, 124, "tasks", size=11.5, fill=MUTED),
    ]
    for place, task in enumerate(shot.tasks):
        parts += _task(task, _LEFT + place * (_CARD + _GAP), 84, polled=task.name == shot.polled)
    return svg_document(_WIDTH, 172, "".join(parts), title=f"{title}: {shot.said}")


def _queue(names: tuple[str, ...]) -> Iterable[str]:
    y = 30.0
    if not names:
        yield (
            f'<rect x="{_LEFT:g}" y="{y:g}" width="{_BOX:g}" height="{_TALL:g}" fill="none" '
            f'style="stroke:{LINE}" stroke-dasharray="4 3"/>'
        )
        yield text(_LEFT + _BOX / 2, y + 22, "empty", size=11, fill=MUTED, anchor="middle")
    for place, name in enumerate(names):
        x = _LEFT + place * (_BOX + _GAP)
        yield (
            f'<rect x="{x:g}" y="{y:g}" width="{_BOX:g}" height="{_TALL:g}" rx="3" '
            f'fill="{_FILLS["queued"]}"/>'
        )
        yield text(x + _BOX / 2, y + 22, name, size=12, fill=ON_FILL, anchor="middle")
        if place == 0:
            yield text(x + 3, y - 4, "next", size=9.5, fill=MUTED)


def _task(task: TaskState, x: float, y: float, *, polled: bool) -> Iterable[str]:
    fill = "url(#waker-lost)" if task.lost else _FILLS[task.state]
    edge, width = (ACCENT, 2.4) if polled else (LINE, 1)
    yield (
        f'<rect x="{x:g}" y="{y:g}" width="{_CARD:g}" height="{_CARD_TALL:g}" rx="4" '
        f'style="fill:{PANEL};stroke:{edge}" stroke-width="{width:g}"/>'
        f'<rect x="{x + 8:g}" y="{y + 30:g}" width="{_CARD - 16:g}" height="20" rx="3" '
        f'fill="{fill}"/>'
    )
    yield text(x + 8, y + 20, task.name, size=12.5, extra=BOLD)
    if polled:
        yield text(x + _CARD - 8, y + 20, "polled now", size=10, fill=INK, anchor="end")
    word = "pending" if task.state == "pending" else task.state
    yield text(x + _CARD / 2, y + 44, word, size=11.5, fill=ON_FILL, anchor="middle")
    count = f"{task.polls} poll{'s' * (task.polls != 1)}"
    if task.lost:
        yield text(x + 8, y + 68, f"{count}; waker lost", size=10.5, fill=BAD)
    else:
        ends = {"done": "finished", "queued": "will be polled", "pending": "waker kept"}
        ink = GOOD if task.state == "done" else MUTED
        yield text(x + 8, y + 68, f"{count}; {ends[task.state]}", size=10.5, fill=ink)
