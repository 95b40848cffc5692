"""One stream, two readers of one speed: what a broadcast and a watch make of being too slow."""

from __future__ import annotations

import ipywidgets

from meridian.academy.widgets.base import PicturedBox, picture
from meridian.academy.widgets.fanout_runs import LagRun, run_lag
from meridian.academy.widgets.fanout_svg import lag_words, paint_lag

__all__ = ["FanOutLag"]


class FanOutLag(PicturedBox):
    """Forty numbers, one a second, through a real broadcast and a real watch in virtual time.

    The sliders say how long the reader of each takes for what it has read, and how many numbers
    the broadcast holds.
    """

    def __init__(self, *, work_s: float = 3.0, capacity: int = 8) -> None:
        self.work_s = ipywidgets.FloatSlider(
            work_s, min=0.5, max=8.0, step=0.5, description="takes (s)", readout_format=".1f"
        )
        self.capacity = ipywidgets.IntSlider(capacity, min=1, max=32, description="capacity")
        self._view = ipywidgets.HTML()
        row = ipywidgets.HBox([self.work_s, self.capacity])
        super().__init__([row, self._view], draw=self.svg, alt="")
        self.work_s.continuous_update = self.capacity.continuous_update = False
        self.run: LagRun
        self._play()
        self.work_s.observe(self._play, "value")
        self.capacity.observe(self._play, "value")

    def svg(self) -> str:
        return paint_lag(self.run)

    def static_html(self) -> str:
        return picture(self.svg(), "; ".join(lag_words(self.run)))

    def static_text(self) -> str:
        return f"[picture] {'; '.join(lag_words(self.run))}"

    def _play(self, _: object = None) -> None:
        self.run = run_lag(self.work_s.value, capacity=self.capacity.value)
        self._view.value = self.svg()
