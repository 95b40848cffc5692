"""A timeline of tasks to read moment by moment: a slider for the cursor, a sentence for what is."""

from __future__ import annotations

from meridian.academy.timeline import Lane, Timeline
from meridian.academy.widgets.base import picture
from meridian.academy.widgets.stepper import Stepper
from meridian.academy.widgets.timeline_svg import paint_timeline, summary

__all__ = ["TaskTimeline", "what_is"]


class TaskTimeline(Stepper):
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
        super().__init__(what="event")
        self._load(len(self._moments) - 1)

    @property
    def said(self) -> str:
        """The sentence under the slider."""
        return what_is(self.timeline, self._moments[self.step.value], self._unit)

    def svg(self, *, cursor: bool = False) -> str:
        """The picture, with the cursor where the slider is."""
        return paint_timeline(
            self.timeline,
            title=self._title,
            unit=self._unit,
            at_s=self._moments[self.step.value] if cursor else None,
            until_s=self._until_s,
        )

    def static_html(self) -> str:
        return picture(self.svg(), self._alt_text())  # the whole run, at no moment of it

    def _pictures(self) -> tuple[str, ...]:
        return (self.svg(cursor=True),)

    def _alt_text(self) -> str:
        return summary(self.timeline, self._unit)


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
