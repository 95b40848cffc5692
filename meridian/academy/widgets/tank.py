"""A bounded channel as a tank: producer, consumer, capacity, and any moment of twenty seconds."""

from __future__ import annotations

import statistics

from meridian.academy.widgets.playground import choice, slider
from meridian.academy.widgets.stepper import Stepper
from meridian.academy.widgets.tank_runs import TankRun, run_tank
from meridian.academy.widgets.tank_svg import paint_curves, paint_tank

__all__ = ["Tank", "tank_words"]

_SECONDS = 20.0
_STEP_S = 0.1


class Tank(Stepper):
    """A bounded channel of twenty seconds, at any moment of them; Play lets them pass.

    Every turn of a knob runs producer and consumer anew, on a real channel in virtual time.
    """

    def __init__(
        self, *, produce: int = 12, consume: int = 10, capacity: int = 8, at_s: float = 12.2
    ) -> None:
        self.produce = slider("producer, items/s", produce, 1, 30, 1)
        self.consume = slider("consumer, items/s", consume, 1, 30, 1)
        self.capacity = slider("capacity", capacity, 1, 64, 1)
        self.way = choice(
            "a full channel:", ("send waits", "try_send drops"), "send waits", width="17rem"
        )
        self.run: TankRun
        knobs = (self.produce, self.consume, self.capacity, self.way)
        super().__init__(knobs, what="moment", interval_ms=100)
        self.step.readout = False  # the picture says the time
        for knob in knobs:
            knob.observe(lambda _: self._run(), "value")
        self._run(round(at_s / _STEP_S))

    @property
    def said(self) -> str:
        """What the whole run came to."""
        return tank_words(self.run)

    def svg(self) -> str:
        """The tank at the chosen moment."""
        return paint_tank(self.run, self.step.value * _STEP_S)

    def _pictures(self) -> tuple[str, str]:
        return self.svg(), paint_curves(self.run, self.step.value * _STEP_S)

    def _run(self, at: int | None = None) -> None:
        self.run = run_tank(
            self.produce.value,
            self.consume.value,
            self.capacity.value,
            waits=self.way.value == "send waits",
            seconds=_SECONDS,
        )
        self._load(round(_SECONDS / _STEP_S), at)


def tank_words(run: TankRun) -> str:
    """What a run came to, in a sentence."""
    lay_s = run.tank_s
    middle_ms = statistics.median(lay_s) * 1e3 if lay_s else 0.0
    rate = len(lay_s) / run.seconds
    cost = f"{100 * run.blocked_s / run.seconds:.0f} % of its time the producer waited"
    if not run.waits:
        cost = f"{run.dropped} of {len(run.items)} items were dropped"
    through = f"{rate:.1f} items a second came through"
    return f"{through}; half lay there {middle_ms:.0f} ms or longer; {cost}"
