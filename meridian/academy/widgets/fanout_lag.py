"""One stream, two readers of one speed: what a broadcast and a watch make of being too slow."""

from __future__ import annotations

from meridian.academy.widgets.fanout_runs import LagRun, run_lag
from meridian.academy.widgets.fanout_svg import lag_words, paint_lag
from meridian.academy.widgets.playground import Playground, Shown, slider

__all__ = ["FanOutLag"]


class FanOutLag(Playground):
    """Forty numbers, one a second, through a real broadcast and a real watch in virtual time.

    The sliders say how long the reader of each takes for what it has read, and how many numbers
    the broadcast holds.
    """

    def __init__(self, *, work_s: float = 3.0, capacity: int = 8) -> None:
        self.work_s = slider("takes (s)", work_s, 0.5, 8.0, 0.5)
        self.capacity = slider("capacity", capacity, 1, 32, 1)
        self.run: LagRun
        super().__init__([self.work_s, self.capacity], self._read)

    def _read(self) -> Shown:
        self.run = run_lag(self.work_s.value, capacity=self.capacity.value)
        return Shown("; ".join(lag_words(self.run)), (paint_lag(self.run),), aloud=False)
