"""Who gets the processor: among urgent frames without end, and of a router with one queue."""

from __future__ import annotations

import ipywidgets

from meridian.academy.widgets.base import (
    ACCENT,
    BAD,
    GOOD,
    INK,
    LINE,
    MUTED,
    WARN,
    PicturedBox,
    picture,
    svg_document,
)
from meridian.academy.widgets.fanin_router_runs import (
    Action,
    FeedRow,
    Overtaken,
    replay,
    through_lanes,
    through_router,
)
from meridian.academy.widgets.fanin_runs import PROCESS_S, Shares, shares
from meridian.academy.widgets.playground import Playground, Shown, slider
from meridian.academy.widgets.svg_parts import BOLD, rect, text

__all__ = [
    "HeadOfLine",
    "RouterTable",
    "Starvation",
    "paint_feeds",
    "paint_overtaken",
    "paint_shares",
]

_WIDTH = 640.0
_SATELLITES = (25544, 33591, 43013, 48274)


class Starvation(Playground):
    """Urgent frames at 0 to 120 % of what the processor can do, beside routine ones without end."""

    def __init__(self, load_percent: int = 60) -> None:
        self.load = slider("urgent, % of capacity", load_percent, 0, 120, 10)
        self.bounded = ipywidgets.Checkbox(False, description="max_high_run=4", indent=False)
        super().__init__([self.load, self.bounded], self._share)

    def _share(self) -> Shown:
        got = shares(self.load.value, 4 if self.bounded.value else None)
        bound = ", at most 4 urgent ones in a row" if self.bounded.value else ""
        words = (
            f"urgent load {self.load.value} %{bound}: {got.urgent:.0f} urgent and "
            f"{got.routine:.0f} routine frames a second"
        )
        return Shown(words, (paint_shares(got, words),))


def paint_shares(got: Shares, said: str) -> str:
    """One bar for what the processor does in a second, urgent part first."""
    capacity = 1 / PROCESS_S
    left, wide = 8.0, _WIDTH - 16
    scale = wide / max(capacity, got.urgent + got.routine)
    urgent, routine = got.urgent * scale, got.routine * scale
    parts = [
        rect(left, 8, urgent, 26, f"fill:{WARN}"),
        rect(left + urgent, 8, routine, 26, f"fill:{ACCENT}"),
        rect(left, 8, wide, 26, f"fill:none;stroke:{LINE}"),
        text(8, 52, "■", size=11, fill=WARN),
        text(22, 52, f"urgent {got.urgent:.0f}/s", size=11),
        text(128, 52, "■", size=11, fill=ACCENT),
        text(142, 52, f"routine {got.routine:.0f}/s", size=11),
    ]
    if got.routine < 1:
        parts.append(text(252, 52, "routine frames starve", size=11, fill=BAD))
    return svg_document(_WIDTH, 62, "".join(parts), title=said)


class HeadOfLine(Playground):
    """An urgent frame after a burst of routine ones: through one queue, and through two lanes."""

    def __init__(self, burst: int = 400, capacity: int = 512) -> None:
        self.burst = slider("routine frames in the burst", burst, 0, 800, 50)
        self.capacity = ipywidgets.Dropdown(
            options=(1, 8, 64, 512),
            value=capacity,
            description="places in the queue, and in the low lane",
            style={"description_width": "initial"},
            layout=ipywidgets.Layout(width="22rem"),
        )
        super().__init__([self.burst, self.capacity], self._send)

    def _send(self) -> Shown:
        burst, places = self.burst.value, self.capacity.value
        ways = {
            f"one router, one queue of {places}": through_router(burst, places),
            f"two lanes, the low one of {places}": through_lanes(burst, places),
        }
        queue_ms, lanes_ms = (run.waited_ms for run in ways.values())
        words = (
            f"an urgent frame after a burst of {burst}: done after {queue_ms:,.0f} ms through the "
            f"router, after {lanes_ms:,.0f} ms through the lanes"
        )
        return Shown(words, (paint_overtaken(ways, words),))


def _wait(run: Overtaken) -> str:
    return f"{run.waited_ms:,.0f} ms, behind {run.before} routine frames"


def paint_overtaken(ways: dict[str, Overtaken], said: str) -> str:
    """A bar for each way: the time from the sending of the urgent frame to its end."""
    left, wide = 8.0, _WIDTH - 32
    scale = wide / max(100.0, *(run.waited_ms for run in ways.values()))
    parts: list[str] = []
    for row, (way, run) in enumerate(ways.items()):
        y, length = 16 + row * 46.0, run.waited_ms * scale
        parts += [
            text(left, y, way, size=12, extra=BOLD),
            text(left + 250, y, _wait(run), size=12),
            rect(left, y + 7, length, 16, f"fill:none;stroke:{ACCENT}"),
            text(left + length + 4, y + 20, "◆", size=14, fill=WARN),
        ]
    y = 16 + 46.0 * len(ways)
    parts += [
        text(left, y, "bar: routine frames are processed", size=11, fill=MUTED),
        text(left + 250, y, "◆: the urgent one is done", size=11, fill=MUTED),
    ]
    return svg_document(_WIDTH, y + 8, "".join(parts), title=said)


class RouterTable(PicturedBox):
    """Add and remove feeds of a real router, and let time pass; the table says what came of each.

    Every button adds a line to a script, and the whole script is run anew in virtual time.
    """

    def __init__(self, actions: tuple[Action, ...] = ()) -> None:
        self.actions = list(actions)
        self.source = ipywidgets.Dropdown(
            options=_SATELLITES, description="feed", layout=ipywidgets.Layout(width="13rem")
        )
        self._view = ipywidgets.HTML()
        buttons = [
            self._button("Add", "add"),
            self._button("Remove, drain", "drain"),
            self._button("Remove, drop", "drop"),
            self._button("A second passes", "pass"),
            self._button("Start over", ""),
        ]
        rows = [ipywidgets.HBox([self.source, *buttons]), self._view]
        super().__init__(rows, draw=lambda: self._svg, alt="The feeds of a router")
        self._run()

    def static_text(self) -> str:
        return f"[picture] {_summary(self._rows)}"

    def static_html(self) -> str:
        return picture(self._svg, _summary(self._rows))

    def _button(self, words: str, what: str) -> ipywidgets.Button:
        button = ipywidgets.Button(description=words, layout=ipywidgets.Layout(width="auto"))

        def press(_: object) -> None:
            if what:
                self.actions.append(Action(what, self.source.value))
            else:
                self.actions.clear()
            self._run()

        button.on_click(press)
        return button

    def _run(self) -> None:
        self._rows = replay(self.actions)
        seconds = sum(action.what == "pass" for action in self.actions)
        self._svg = paint_feeds(self._rows, seconds)
        self._view.value = self._svg


def paint_feeds(rows: list[FeedRow], seconds: int) -> str:
    """A line for each feed: its id, the frames that came out, its state in words."""
    head = f"after {seconds} s; each feed sends 20 frames a second, downstream takes 30 in all"
    parts = [text(8, 16, head, size=12, fill=MUTED)]
    for x, words in ((8, "feed"), (110, "frames out"), (220, "state")):
        parts.append(text(x, 40, words, size=11, fill=INK, extra=BOLD))
    y = 40.0
    for row in rows:
        y += 20
        ink = GOOD if row.state == "live" else BAD if row.state.startswith("refused") else MUTED
        parts += [
            text(8, y, str(row.source_id), size=11.5),
            text(172, y, f"{row.forwarded:,}", size=11.5, anchor="end"),
            text(220, y, row.state, size=11.5, fill=ink),
        ]
    if not rows:
        y += 20
        parts.append(text(8, y, "no feed: choose one and press Add", size=11.5, fill=MUTED))
    return svg_document(_WIDTH, y + 12, "".join(parts), title=_summary(rows))


def _summary(rows: list[FeedRow]) -> str:
    words = [f"{row.source_id}: {row.forwarded} frames, {row.state}" for row in rows]
    return "; ".join(words) or "a router without feeds"
