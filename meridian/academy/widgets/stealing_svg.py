"""Paint a work-stealing scheduler after one tick: the queues above, what every worker did below.

Where a task came from is a letter and a hatch, not a colour alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from meridian.academy.widgets.base import ACCENT, LINE, MUTED, svg_document
from meridian.academy.widgets.stealing_model import Shot, StealingRun, WorkerShot
from meridian.academy.widgets.svg_parts import BOLD, ON_FILL, line, text

__all__ = ["paint_stealing", "said"]

_WIDTH = 760.0
_LEFT, _SLOT, _QUEUE, _NOTE = 78.0, 156.0, 218.0, 556.0
_BOX, _TALL, _GAP, _ROW = 27.0, 22.0, 4.0, 32.0
_SHOWN = 10
_LANE = 15.0
_FILLS = {"local": "#a6cee3", "global": "#fdbf6f", "stolen": "#b2df8a"}
_WORDS = {
    "local": "from its own slot or queue",
    "global": "G from the global queue",
    "stolen": "S stolen from another worker",
    "idle": "found nothing",
}
_HATCHES = (
    '<defs><pattern id="steal-global" width="5" height="5" patternUnits="userSpaceOnUse">'
    '<rect width="5" height="5" fill="#fdbf6f"/><circle cx="2.5" cy="2.5" r="1" fill="#8a4b00"/>'
    '</pattern><pattern id="steal-stolen" width="5" height="5" patternUnits="userSpaceOnUse">'
    '<rect width="5" height="5" fill="#b2df8a"/>'
    '<path d="M-1 6L6 -1" stroke="#245c14" stroke-width="1"/></pattern></defs>'
)


def paint_stealing(run: StealingRun, tick: int) -> str:
    """`run` after `tick` of its ticks as an SVG document."""
    shot = run.shots[tick]
    parts = [
        _HATCHES,
        text(8, 16, f"after tick {tick} of {run.ticks}", size=13, extra=BOLD),
        text(8, 47, "global queue", size=11),
        *_boxes(shot.waiting, _LEFT + 18, 32, most=17),
        text(_LEFT, 76, "polled", size=10, fill=MUTED),
        text(_SLOT, 76, "slot", size=10, fill=MUTED),
        text(_QUEUE, 76, "queue, the next one at the left", size=10, fill=MUTED),
    ]
    top = 82.0
    for number, worker in enumerate(shot.workers):
        parts += _worker(worker, number, top + number * _ROW)
    top += len(shot.workers) * _ROW + 24
    parts.append(text(_LEFT, top - 6, "what each worker polled, tick by tick", size=10, fill=MUTED))
    parts += _lanes(run, tick, top)
    top += len(shot.workers) * _LANE + 26
    parts += _legend(top)
    return svg_document(_WIDTH, top + 8, "".join(parts), title=said(run, tick))


def said(run: StealingRun, tick: int) -> str:
    """What the workers did in that tick, and how the whole run went."""
    shot = run.shots[tick]
    stolen = [
        f"worker {number} {worker.note}"
        for number, worker in enumerate(shot.workers)
        if worker.source == "stolen"
    ]
    words = [f"tick {tick}: {', '.join(stolen) or _busy(shot)}"]
    if run.call_waited is None:
        words.append(
            f"All done after {run.ticks} ticks; {run.idle} of {run.ticks * len(shot.workers)} "
            f"turns idle; {run.steals} steals of {run.moved} tasks"
        )
    else:
        words.append(f"The call waited {run.call_waited} ticks in the global queue")
    return ". ".join(words)


def _busy(shot: Shot) -> str:
    busy = sum(bool(worker.running) for worker in shot.workers)
    count = len(shot.workers)
    return f"{busy} of {count} worker{'s' * (count != 1)} busy"


def _worker(worker: WorkerShot, number: int, y: float) -> Iterable[str]:
    yield text(8, y + 15, f"worker {number}", size=11)
    yield from _boxes([worker.running] if worker.running else [], _LEFT, y, worker.source, wide=64)
    yield from _boxes([worker.slot] if worker.slot else [], _SLOT, y)
    yield from _boxes(worker.queue, _QUEUE, y)
    yield text(_NOTE, y + 15, worker.note, size=10.5, fill=MUTED)


def _boxes(
    names: Sequence[str],
    x: float,
    y: float,
    source: str = "local",
    *,
    most: int = _SHOWN,
    wide: float = _BOX,
) -> Iterable[str]:
    if not names:
        yield (
            f'<rect x="{x:g}" y="{y:g}" width="{wide:g}" height="{_TALL:g}" fill="none" '
            f'style="stroke:{LINE}" stroke-dasharray="3 3"/>'
        )
    for place, name in enumerate(names[:most]):
        left = x + place * (wide + _GAP)
        width = 64 if len(name) > 4 else wide
        yield (
            f'<rect x="{left:g}" y="{y:g}" width="{width:g}" height="{_TALL:g}" rx="3" '
            f'fill="{_FILLS[source]}"/>'
        )
        letter = {"global": " G", "stolen": " S"}.get(source, "")
        label = f"{name}{letter}"
        middle = left + width / 2
        yield text(middle, y + 15, label, size=11, fill=ON_FILL, anchor="middle")
    if len(names) > most:
        yield text(x + most * (wide + _GAP) + 2, y + 15, f"+{len(names) - most}", fill=MUTED)


def _lanes(run: StealingRun, tick: int, top: float) -> Iterable[str]:
    scale = min(22.0, (_WIDTH - _LEFT - 12) / max(1, run.ticks))
    for number in range(len(run.shots[0].workers)):
        y = top + number * _LANE
        yield text(8, y + 10, f"worker {number}", size=10, fill=MUTED)
        for at, shot in enumerate(run.shots[1:]):
            x = _LEFT + at * scale
            source = shot.workers[number].source
            faded = ' opacity="0.3"' if at >= tick else ""
            size = f'width="{scale - min(1.0, scale / 4):.2f}" height="{_LANE - 3:g}"'
            if source == "idle":
                ink = f'fill="none" style="stroke:{LINE}" stroke-width="0.6"'
            else:
                ink = f'fill="{_fill(source)}"'
            yield f'<rect x="{x:.2f}" y="{y:g}" {size} {ink}{faded}/>'
    x, bottom = _LEFT + tick * scale, top + len(run.shots[0].workers) * _LANE
    yield line(x, top - 3, x, bottom, ACCENT, 1.6, "4 3")


def _fill(source: str) -> str:
    return _FILLS["local"] if source == "local" else f"url(#steal-{source})"


def _legend(y: float) -> Iterable[str]:
    x = 8.0
    for source, words in _WORDS.items():
        ink = (
            f'fill="none" style="stroke:{LINE}"' if source == "idle" else f'fill="{_fill(source)}"'
        )
        yield f'<rect x="{x:g}" y="{y - 9:g}" width="13" height="11" {ink}/>'
        yield text(x + 18, y, words, size=10.5, fill=MUTED)
        x += 44 + 5.4 * len(words)
