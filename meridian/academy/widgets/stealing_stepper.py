"""Play a work-stealing scheduler: choose the load, the workers, the rules, and step through it."""

from __future__ import annotations

import ipywidgets

from meridian.academy.widgets.playground import choice, slider
from meridian.academy.widgets.stealing_model import PROGRAMS, simulate
from meridian.academy.widgets.stealing_svg import paint_stealing, said
from meridian.academy.widgets.stepper import Stepper

__all__ = ["WorkStealing"]


class WorkStealing(Stepper):
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
        self.program = choice("load", PROGRAMS, program, width="24rem")
        self.workers = slider("workers", workers, 1, 8, 1, width="17rem")
        self.steals = ipywidgets.Checkbox(steals, description="idle workers steal", indent=False)
        self.interval = slider(
            "global queue first at every n-th tick", interval, 1, 127, 1, width="28rem"
        )
        super().__init__(
            [self.program, self.workers],
            [self.interval, self.steals],
            what="tick",
            jumps={"End": lambda: self.run.ticks},
        )
        for control in (self.program, self.workers, self.steals, self.interval):
            control.observe(lambda _: self._simulate(), "value")
        self._simulate(tick)

    @property
    def said(self) -> str:
        """What happened in the tick, and how the run went."""
        return said(self.run, self.step.value)

    def svg(self) -> str:
        """The scheduler after the chosen tick."""
        return paint_stealing(self.run, self.step.value)

    def _simulate(self, at: int | None = None) -> None:
        self.run = simulate(
            self.program.value,
            workers=self.workers.value,
            interval=self.interval.value,
            steals=self.steals.value,
        )
        self._load(self.run.ticks, at)
