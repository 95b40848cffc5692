"""A buffer pool to step through: type a trace, choose a policy, watch who leaves and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ipywidgets

from meridian.academy.widgets.base import BAD, escape
from meridian.academy.widgets.page_picture import PagePicture
from meridian.academy.widgets.playground import choice, slider
from meridian.academy.widgets.pool_svg import paint_pool, summary
from meridian.academy.widgets.pool_trace import run_trace
from meridian.academy.widgets.stepper import Stepper

__all__ = ["MAX_FRAMES", "TRACES", "PoolStepper"]

MAX_FRAMES = 12
POLICIES = {"CLOCK": "clock", "LRU": "lru", "2Q": "2q"}
TRACES: Mapping[str, str] = {  # each has its point with 5 frames
    "a working set, some writes": "1 2w 3 1 4 2 5 1 6w 2 1 7 2",
    "a scan floods the pool": "1 2 3 4 5 6 1 2 3 1 2 3 11 12 13 14 15 16 1 2 3",
    "the same, marked as a scan": "1 2 3 4 5 6 1 2 3 1 2 3 11s 12s 13s 14s 15s 16s 1 2 3",
    "pinned pages stay": "1+ 2 3 4w 5 6 7 1- 8 9 10",
    "every frame pinned": "1+ 2+ 3+ 4+ 5+ 6 2- 6",
}


class PoolStepper(Stepper):
    """Step a real `BufferPool` through a trace: forward, back, or played.

    The trace is run once whenever it, the policy or the number of frames changes; stepping shows
    the states on the way. Trace language: see `pool_trace.read_trace`.
    """

    def __init__(
        self,
        trace: str = TRACES["a working set, some writes"],
        *,
        policy: str = "clock",
        frames: int = 5,
        step: int = 0,
        traces: Mapping[str, str] = TRACES,
    ) -> None:
        self.trace = ipywidgets.Text(
            trace,
            description="trace",
            continuous_update=False,
            layout=ipywidgets.Layout(width="44rem"),
        )
        self.example = choice("or", {"choose an example": "", **traces}, "", width="22rem")
        self.policy = choice("policy", POLICIES, policy, width="11rem")
        self.frames = slider("frames", frames, 1, MAX_FRAMES, 1, width="19rem")
        self._problem = ""
        super().__init__(
            [self.trace],
            [self.example, self.policy, self.frames],
            what="access",
            interval_ms=1200,
        )
        self.run = run_trace(trace, frames, policy)
        self._load(len(self.run.accesses), step)
        self.example.observe(self._on_example, "value")
        for control in (self.trace, self.policy, self.frames):
            control.observe(self._on_change, "value")

    @property
    def said(self) -> str:
        """The sentence under the trace."""
        step: int = self.step.value
        return self.run.steps[step].why

    def svg(self) -> str:
        """The pool after the chosen access."""
        return paint_pool(self.run, self.step.value)

    def picture(self) -> PagePicture:
        """The pool as it is now, as a picture that stays as it is."""
        return PagePicture(self.svg(), self._alt_text())

    def _above(self) -> str:
        """What is wrong with the trace; what happened stands in the picture."""
        return self._problem

    def _alt_text(self) -> str:
        return summary(self.run, self.step.value)

    def _on_example(self, change: Any) -> None:
        if change.new:
            self.step.value = 0
            self.trace.value = change.new

    def _on_change(self, _: object) -> None:
        if self.example.value != self.trace.value:
            self.example.value = ""  # so that the same example can be chosen again
        try:
            self.run = run_trace(self.trace.value, self.frames.value, self.policy.value)
        except ValueError as error:  # what was typed; the picture keeps the last good trace
            self._problem = f'<b style="color:{BAD}">✘ {escape(error)}</b>'
        else:
            self._problem = ""
        self._load(len(self.run.accesses))
