"""Paint a buffer pool between two accesses: frames, hand or queues, and the sentence that says why.

Nothing is told by colour alone: a hit, a load and a refusal carry their word, a dirty page a
hatched plate, a pin its count, a page that just left is struck out above the one that came.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from textwrap import wrap

from meridian.academy.widgets.base import ACCENT, BAD, INK, LINE, MUTED, svg_document
from meridian.academy.widgets.pool_state import Outcome, PoolState, Step
from meridian.academy.widgets.pool_trace import TraceRun
from meridian.academy.widgets.svg_parts import BOLD, ON_FILL, text

__all__ = ["paint_pool", "summary"]

_WIDTH = 700.0
_LEFT = 8.0
_PITCH, _BOX, _TALL = 114.0, 106.0, 92.0
_A_ROW = 6
_TOKEN = 36.0
_TOKENS_A_ROW = 19
_NAMES = {"lru": "LRU", "clock": "CLOCK", "2q": "2Q"}
_FILLS = {
    Outcome.HIT: "#b2df8a",
    Outcome.MISS: "#a6cee3",
    Outcome.UNPIN: "#fdbf6f",
}
_USED = {Outcome.HIT: "hit", Outcome.MISS: "loaded", Outcome.UNPIN: "unpinned"}
_QUEUE_NOTES = {
    "LRU": "left: fetched longest ago",
    "A1in": "left: oldest",
    "Am": "left: fetched longest ago",
    "A1out": "ghosts: ids that are remembered, no pages",
}
_IDLE, _EMPTY = "#e8e8e8", "#f7f7f7"
_MARKS = {
    Outcome.HIT: "hit",
    Outcome.MISS: "miss",
    Outcome.REFUSED: "full",
    Outcome.UNPIN: "unpin",
    Outcome.NOT_PINNED: "none",
}
_COLUMNS = 86  # of bold text at 12.5 that surely fit the width
_HATCH = (
    '<defs><pattern id="w{id}" width="5" height="5" patternUnits="userSpaceOnUse">'
    '<rect width="5" height="5" fill="#fff"/>'
    '<path d="M-1 6L6 -1" stroke="#c2570c" stroke-width="1.2"/></pattern></defs>'
)


def summary(run: TraceRun, at: int) -> str:
    """One line on the pool after access `at`."""
    state = run.steps[at].state
    pages = " ".join("-" if f.page_id is None else str(f.page_id) for f in state.frames)
    counts = f"{state.hits} hits, {state.misses} misses, {_evictions(state)}"
    return f"{_NAMES[run.policy]} pool after {at} of {len(run.accesses)}: frames {pages}; {counts}"


def paint_pool(run: TraceRun, at: int) -> str:
    """The pool of `run` after access `at` (0: before the first) as an SVG document."""
    step = run.steps[at]
    state = step.state
    name = f"{zlib.crc32(repr((run.policy, run.accesses, at, state)).encode()):08x}"
    title = f"{_NAMES[run.policy]}, {len(state.frames)} frames, access {at} of {len(run.accesses)}"
    parts = [
        _HATCH.replace("{id}", name),
        text(_LEFT, 15, title, size=13, extra=BOLD),
        text(_WIDTH - _LEFT, 15, _counters(state), size=11.5, anchor="end"),
    ]
    lines, y = _trace(run, at, 26)
    parts += lines
    lines, y = _sentence(run, at, y + 16)
    parts += lines
    lines, y = _frames(step, state, name, y + (2 if state.hand is None else 14))
    parts += lines
    lines, y = _queues(state, y)
    parts += lines
    return svg_document(_WIDTH, y + 2, "".join(parts), title=summary(run, at))


def _counters(state: PoolState) -> str:
    fetches = state.hits + state.misses
    words = f"{state.hits} of {fetches} hit, {_evictions(state)}"
    words += f", {state.writebacks} written back"
    return f"{words}, {state.exhausted} refused" if state.exhausted else words


def _evictions(state: PoolState) -> str:
    return f"{state.evictions} eviction{'s' * (state.evictions != 1)}"


def _trace(run: TraceRun, at: int, y: float) -> tuple[list[str], float]:
    """The tokens, each with its outcome once it is known; the last one done is boxed."""
    parts = []
    for number, access in enumerate(run.accesses, 1):
        row, place = divmod(number - 1, _TOKENS_A_ROW)
        x, top = _LEFT + place * _TOKEN, y + row * 34
        done = number <= at
        if number == at:
            parts.append(
                f'<rect x="{x:g}" y="{top:g}" width="{_TOKEN - 4:g}" height="31" rx="4" '
                f'fill="none" style="stroke:{ACCENT}" stroke-width="2"/>'
            )
        weight = BOLD if number == at else ""
        ink = INK if done else MUTED
        middle = x + _TOKEN / 2 - 2
        size = 12 if len(access.text) < 5 else 9
        parts.append(
            text(middle, top + 13, access.text, size=size, fill=ink, anchor="middle", extra=weight)
        )
        if done:
            word = _MARKS[run.steps[number].outcome]
            weight = BOLD if word == "hit" else ""
            parts.append(text(middle, top + 25, word, size=9.5, anchor="middle", extra=weight))
    return parts, y + -(-len(run.accesses) // _TOKENS_A_ROW) * 34


def _sentence(run: TraceRun, at: int, y: float) -> tuple[list[str], float]:
    """The reason. Room is kept for the longest one, so that stepping does not move the frames."""
    ink = BAD if run.steps[at].outcome is Outcome.REFUSED else INK
    lines = wrap(run.steps[at].why, _COLUMNS)
    room = max(len(wrap(step.why, _COLUMNS)) for step in run.steps)
    parts = [
        text(_LEFT, y + 17 * i, line, size=12.5, fill=ink, extra=BOLD)
        for i, line in enumerate(lines)
    ]
    return parts, y + 17 * room


def _frames(step: Step, state: PoolState, name: str, y: float) -> tuple[list[str], float]:
    parts = []
    for number in range(len(state.frames)):
        row, place = divmod(number, _A_ROW)
        x, top = _LEFT + place * _PITCH, y + row * (_TALL + 26)
        parts += _frame(step, state, number, name, x, top)
        if state.hand == number:
            middle = x + _BOX / 2
            parts.append(
                f'<path d="M{middle - 7:g} {top - 14:g}h14l-7 11z" style="fill:{INK}"/>'
                + text(middle + 12, top - 5, "hand", size=11)
            )
    return parts, y + -(-len(state.frames) // _A_ROW) * (_TALL + 26) - 10


def _frame(step: Step, state: PoolState, number: int, name: str, x: float, y: float) -> list[str]:
    frame = state.frames[number]
    used = step.frame == number and step.outcome in _FILLS
    fill = _FILLS[step.outcome] if used else _EMPTY if frame.page_id is None else _IDLE
    edge = f'style="stroke:{ACCENT}" stroke-width="3"' if used else 'stroke="#555"'
    dashes = 'stroke-dasharray="4 3"' if frame.page_id is None else ""
    box = (
        f'<rect x="{x:g}" y="{y:g}" width="{_BOX:g}" height="{_TALL:g}" rx="5" fill="{fill}" '
        f"{edge} {dashes}/>"
    )
    parts = [box, text(x + 6, y + 14, f"frame {number}", size=10, fill=ON_FILL)]
    if state.hand is not None and frame.page_id is not None:
        cleared = number in step.cleared
        words = "ref 1 → 0" if cleared else f"ref {int(frame.ref)}"
        weight = BOLD if frame.ref or cleared else ""
        parts.append(
            text(x + _BOX - 6, y + 14, words, size=10, fill=ON_FILL, anchor="end", extra=weight)
        )
    middle = x + _BOX / 2
    if frame.page_id is None:
        return [*parts, text(middle, y + 52, "empty", size=12, fill="#555", anchor="middle")]
    shown = f"page {frame.page_id}"
    parts.append(text(middle, y + 48, shown, size=17, fill=ON_FILL, anchor="middle", extra=BOLD))
    if used:
        said = _USED[step.outcome] if step.victim is None else f"replaces page {step.victim}"
        parts.append(text(middle, y + 63, said, size=10.5, fill=ON_FILL, anchor="middle"))
    if frame.pins:
        pins = f"{frame.pins} pin{'s' * (frame.pins > 1)}"
        parts.append(_plate(x + 6, y + _TALL - 22, 42, "#ffffff", pins))
    if frame.dirty:
        parts.append(_plate(x + _BOX - 50, y + _TALL - 22, 44, f"url(#w{name})", "dirty"))
    return parts


def _plate(x: float, y: float, width: float, fill: str, words: str) -> str:
    letters = text(x + width / 2, y + 12, words, size=10.5, fill=ON_FILL, anchor="middle",
                   extra=BOLD)  # fmt: skip
    ground = ""
    if fill.startswith("url"):  # letters on hatching need a ground of their own
        ground = (
            f'<rect x="{x + 6:g}" y="{y + 3:g}" width="{width - 12:g}" height="10" fill="#fff"/>'
        )
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="16" rx="3" fill="{fill}" '
        f'stroke="#333" stroke-width="0.8"/>{ground}{letters}'
    )


def _queues(state: PoolState, y: float) -> tuple[list[str], float]:
    """Each queue as a row of page numbers, the next to leave on the left."""
    parts: list[str] = []
    for label, pages in state.queues.items():
        dashes = 'stroke-dasharray="3 2"' if label == "A1out" else ""
        parts.append(text(_LEFT, y + 18, label, size=11.5, extra=BOLD))
        parts += _chips(pages, _LEFT + 54, y + 4, dashes)
        note = _QUEUE_NOTES[label]
        x = _LEFT + 54 + (len(pages) * 32 or 44) + 8
        parts.append(text(x, y + 18, note, size=10.5, fill=MUTED))
        y += 27
    return parts, y


def _chips(pages: Sequence[int], x: float, y: float, dashes: str) -> list[str]:
    if not pages:
        return [text(x + 4, y + 14, "empty", size=11, fill=MUTED)]
    return [
        f'<rect x="{x + i * 32:g}" y="{y:g}" width="28" height="20" rx="3" fill="none" '
        f'style="stroke:{LINE}" {dashes}/>'
        + text(x + i * 32 + 14, y + 14, str(page), size=11.5, anchor="middle")
        for i, page in enumerate(pages)
    ]
