"""A timeline of tasks to read moment by moment: a slider for the cursor, a sentence for what is."""

from __future__ import annotations

import ipywidgets

from meridian.academy.timeline import Lane, Timeline
from meridian.academy.widgets.base import PicturedBox, escape, picture
from meridian.academy.widgets.timeline_svg import paint_timeline, summary

__all__ = ["TaskTimeline", "what_is"]


class TaskTimeline(PicturedBox):
    """The tasks of a recorded run (`meridian.academy.timeline.record`), one lane each.

    The slider and the two buttons go from one event to the next: a step that begins or ends, a
    mark, a task's end. `until_s` is where the axis ends, to compare two runs.
    """

    def __init__(
        self,
        timeline: Timeline,
        *,
        title: str = "",
        unit: str = "ms",
        until_s: float | None = None,
    ) -> None:
        self.timeline = timeline
        self._title = title
        self._unit = unit
        self._until_s = until_s
        self._moments = _moments(timeline)
        last = len(self._moments) - 1
        self.moment = ipywidgets.IntSlider(
            0, 0, last, description="event", layout=ipywidgets.Layout(width="26rem")
        )
        self._said = ipywidgets.HTML()
        self._view = ipywidgets.HTML()
        row = [self._button("Back", -1), self._button("Next", +1), self.moment]
        children = [ipywidgets.HBox(row), self._said, self._view]
        super().__init__(children, draw=self.svg, alt=summary(timeline, unit))
        self.moment.observe(self._on_moment, "value")
        self._on_moment()

    @property
    def said(self) -> str:
        """The sentence under the slider."""
        return what_is(self.timeline, self._moments[self.moment.value], self._unit)

    def svg(self, *, cursor: bool = False) -> str:
        """The picture, with the cursor where the slider is."""
        return paint_timeline(
            self.timeline,
            title=self._title,
            unit=self._unit,
            at_s=self._moments[self.moment.value] if cursor else None,
            until_s=self._until_s,
        )

    def static_html(self) -> str:
        return picture(self.svg(), summary(self.timeline, self._unit))

    def static_text(self) -> str:
        return f"[picture] {summary(self.timeline, self._unit)}"

    def _button(self, words: str, by: int) -> ipywidgets.Button:
        button = ipywidgets.Button(description=words, layout=ipywidgets.Layout(width="5rem"))

        def press(_: object) -> None:
            self.moment.value = max(0, min(self.moment.value + by, self.moment.max))

        button.on_click(press)
        return button

    def _on_moment(self, _: object = None) -> None:
        self._said.value = escape(self.said)
        self._view.value = self.svg(cursor=True)


def what_is(timeline: Timeline, at_s: float, unit: str = "ms") -> str:
    """Who runs, who waits and what just happened at that moment, in words."""
    scale = {"s": 1.0, "ms": 1e3, "us": 1e6, "tick": 1.0}[unit]
    runs = [lane.name for lane in timeline.lanes if _runs(lane, at_s)]
    waits = [lane.name for lane in timeline.lanes if _alive(lane, at_s) and lane.name not in runs]
    marks = [
        f"{lane.name}: {mark.label or mark.kind}"
        for lane in timeline.lanes
        for mark in lane.marks
        if mark.at_s == at_s
    ]
    words = [f"{at_s * scale:.4g} {unit}", f"{runs[0]} runs" if runs else "nobody runs"]
    if waits:
        words.append(f"{', '.join(waits)} wait" + "s" * (len(waits) == 1))
    return "; ".join([*words, *marks])


def _runs(lane: Lane, at_s: float) -> bool:
    return any(step.start_s <= at_s < step.end_s for step in lane.steps)


def _alive(lane: Lane, at_s: float) -> bool:
    return lane.start_s <= at_s and (lane.end_s is None or at_s < lane.end_s)


def _moments(timeline: Timeline) -> list[float]:
    """Every moment at which something changes, once each, in order."""
    found = {0.0}
    for lane in timeline.lanes:
        found.add(lane.start_s)
        found.update(step.start_s for step in lane.steps)
        found.update(step.end_s for step in lane.steps)
        found.update(mark.at_s for mark in lane.marks)
    return sorted(found)
