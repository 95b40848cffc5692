"""A buffer pool to step through: type a trace, choose a policy, watch who leaves and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ipywidgets

from meridian.academy.widgets.base import BAD, PicturedBox, escape, picture
from meridian.academy.widgets.page_picture import PagePicture
from meridian.academy.widgets.pool_svg import paint_pool, summary
from meridian.academy.widgets.pool_trace import run_trace

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


class PoolStepper(PicturedBox):
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
        self.run = run_trace(trace, frames, policy)
        wide = ipywidgets.Layout(width="44rem")
        self.trace = ipywidgets.Text(
            trace, description="trace", continuous_update=False, layout=wide
        )
        self.example = ipywidgets.Dropdown(
            options=[("choose an example", ""), *((name, text) for name, text in traces.items())],
            description="or",
            layout=ipywidgets.Layout(width="22rem"),
        )
        self.policy = ipywidgets.Dropdown(
            options=list(POLICIES.items()),
            value=policy,
            description="policy",
            layout=ipywidgets.Layout(width="11rem"),
        )
        self.frames = ipywidgets.IntSlider(
            frames, 1, MAX_FRAMES, description="frames", continuous_update=False,
            layout=ipywidgets.Layout(width="19rem"),
        )  # fmt: skip
        self.step = ipywidgets.IntSlider(
            self._within(step), 0, len(self.run.accesses), description="access",
            layout=ipywidgets.Layout(width="22rem"),
        )  # fmt: skip
        self.play = ipywidgets.Play(
            value=self.step.value, min=0, max=self.step.max, interval=1200, show_repeat=False
        )
        ipywidgets.link((self.play, "value"), (self.step, "value"))
        self._problem = ipywidgets.HTML()
        self._view = ipywidgets.HTML()
        rows = [
            self.trace,
            ipywidgets.HBox([self.example, self.policy, self.frames]),
            ipywidgets.HBox(
                [self.play, self._button("Back", -1), self._button("Step", +1), self.step]
            ),
            self._problem,
            self._view,
        ]
        super().__init__(rows, draw=self.svg, alt="A buffer pool stepping through a trace")
        self.example.observe(self._on_example, "value")
        for control in (self.trace, self.policy, self.frames):
            control.observe(self._on_change, "value")
        self.step.observe(self._on_step, "value")
        self._on_step()

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
        return PagePicture(self.svg(), summary(self.run, self.step.value))

    def static_html(self) -> str:
        return picture(self.svg(), summary(self.run, self.step.value))

    def static_text(self) -> str:
        return f"[picture] {summary(self.run, self.step.value)}"

    def _button(self, words: str, by: int) -> ipywidgets.Button:
        button = ipywidgets.Button(description=words, layout=ipywidgets.Layout(width="5rem"))

        def press(_: object) -> None:
            self.step.value = self._within(self.step.value + by)

        button.on_click(press)
        return button

    def _within(self, step: int) -> int:
        return max(0, min(step, len(self.run.accesses)))

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
            self._problem.value = f'<b style="color:{BAD}">✘ {escape(error)}</b>'
            return
        self._problem.value = ""
        last = len(self.run.accesses)
        if self.step.value > last:
            self.step.value = last
        self.step.max = self.play.max = last
        self._on_step()

    def _on_step(self, _: object = None) -> None:
        self._view.value = self.svg()
