"""Play a work-stealing scheduler: choose the load, the workers, the rules, and step through it."""

from __future__ import annotations

import ipywidgets

from meridian.academy.widgets.base import PicturedBox, escape, picture
from meridian.academy.widgets.stealing_model import PROGRAMS, simulate
from meridian.academy.widgets.stealing_svg import paint_stealing, said

__all__ = ["WorkStealing"]


class WorkStealing(PicturedBox):
    """A simulated scheduler, tick by tick: back, forward, or to the end.

    The run is simulated anew whenever the load or a rule changes, and shown at the same tick.
    """

    def __init__(
        self,
        program: str = "fan-out",
        *,
        workers: int = 4,
        interval: int = 61,
        steals: bool = True,
        tick: int = 0,
    ) -> None:
        self.program = ipywidgets.Dropdown(
            options=list(PROGRAMS.items()),
            value=program,
            description="load",
            layout=ipywidgets.Layout(width="24rem"),
        )
        self.workers = _slider("workers", workers, 1, 8, "17rem")
        self.steals = ipywidgets.Checkbox(steals, description="idle workers steal", indent=False)
        self.interval = _slider("global queue first at every n-th tick", interval, 1, 127, "28rem")
        self._simulate()
        self.tick = _slider("tick", min(tick, self.run.ticks), 0, self.run.ticks, "22rem")
        self.tick.continuous_update = True
        self._said = ipywidgets.HTML()
        self._view = ipywidgets.HTML()
        buttons = [self._button("Back", -1), self._button("Step", +1), self._button("End", 10_000)]
        rows = [
            ipywidgets.HBox([self.program, self.workers]),
            ipywidgets.HBox([self.interval, self.steals]),
            ipywidgets.HBox([*buttons, self.tick]),
            self._said,
            self._view,
        ]
        super().__init__(rows, draw=self.svg, alt="A simulated work-stealing scheduler")
        for control in (self.program, self.workers, self.steals, self.interval):
            control.observe(self._on_rule, "value")
        self.tick.observe(self._on_tick, "value")
        self._on_tick()

    @property
    def said(self) -> str:
        """What happened in the tick, and how the run went."""
        return said(self.run, self.tick.value)

    def svg(self) -> str:
        """The scheduler after the chosen tick."""
        return paint_stealing(self.run, self.tick.value)

    def static_html(self) -> str:
        return f"{picture(self.svg(), self.said)}<p>{escape(self.said)}</p>"

    def static_text(self) -> str:
        return f"[picture] {self.said}"

    def _simulate(self) -> None:
        self.run = simulate(
            self.program.value,
            workers=self.workers.value,
            interval=self.interval.value,
            steals=self.steals.value,
        )

    def _button(self, words: str, by: int) -> ipywidgets.Button:
        button = ipywidgets.Button(description=words, layout=ipywidgets.Layout(width="5rem"))

        def press(_: object) -> None:
            self.tick.value = max(0, min(self.tick.value + by, self.tick.max))

        button.on_click(press)
        return button

    def _on_rule(self, _: object) -> None:
        self._simulate()
        if self.tick.value > self.run.ticks:
            self.tick.value = self.run.ticks
        self.tick.max = self.run.ticks
        self._on_tick()

    def _on_tick(self, _: object = None) -> None:
        self._said.value = escape(self.said)
        self._view.value = self.svg()


def _slider(what: str, value: int, least: int, most: int, width: str) -> ipywidgets.IntSlider:
    return ipywidgets.IntSlider(
        value,
        least,
        most,
        description=what,
        continuous_update=False,
        style={"description_width": "initial"},
        layout=ipywidgets.Layout(width=width),
    )
