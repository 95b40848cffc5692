"""Step a real broadcast past a slow subscriber, and see what it loses and when it is told."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets

from meridian.academy.widgets.base import PicturedBox, escape, picture
from meridian.academy.widgets.fanout_runs import RingShot, run_ring
from meridian.academy.widgets.ring_svg import paint_ring

__all__ = ["BroadcastRing"]


class BroadcastRing(PicturedBox):
    """A broadcast of one batch a second to three sessions, step by step.

    One slider says how long session C takes for a batch, another how many batches the ring holds;
    the program is run anew, in virtual time, with every change. `step` is the one to start at,
    ``None`` the first in which somebody is told ``Lagged``.
    """

    def __init__(
        self,
        *,
        slow_s: float = 3.0,
        capacity: int = 6,
        batches: int = 18,
        step: int | None = None,
    ) -> None:
        self._batches = batches
        self.slow_s = ipywidgets.FloatSlider(
            slow_s, min=0.5, max=6.0, step=0.5, description="C takes (s)", readout_format=".1f"
        )
        self.capacity = ipywidgets.IntSlider(capacity, min=1, max=12, description="capacity")
        self.step = ipywidgets.IntSlider(
            0, 0, 1, description="step", layout=ipywidgets.Layout(width="24rem")
        )
        self.back = self._button("Back", lambda: self._go(self.step.value - 1))
        self.forward = self._button("Step", lambda: self._go(self.step.value + 1))
        self.next_lag = self._button("Next Lagged", lambda: self._go(self._next_lag()), wide=True)
        self._said = ipywidgets.HTML()
        self._view = ipywidgets.HTML()
        self.shots: list[RingShot] = []
        rows = [
            ipywidgets.HBox([self.slow_s, self.capacity]),
            ipywidgets.HBox([self.back, self.forward, self.next_lag, self.step]),
            self._said,
            self._view,
        ]
        super().__init__(rows, draw=self.svg, alt="A broadcast ring with three subscribers")
        self._run()
        self._go(self._next_lag() if step is None else step)
        self._paint()
        for slider in (self.slow_s, self.capacity):
            slider.continuous_update = False
            slider.observe(self._on_program, "value")
        self.step.observe(self._paint, "value")

    @property
    def shot(self) -> RingShot:
        number: int = self.step.value
        return self.shots[number]

    def svg(self) -> str:
        """The ring after the chosen step."""
        last = len(self.shots) - 1
        return paint_ring(self.shot, self.step.value, last, batches=self._batches)

    def static_html(self) -> str:
        return f"{picture(self.svg(), self.shot.said)}<p>{escape(self.shot.said)}</p>"

    def static_text(self) -> str:
        return f"[picture] {self.shot.said}"

    def _run(self) -> None:
        self.shots = run_ring(
            self.slow_s.value, capacity=self.capacity.value, batches=self._batches
        )
        last = len(self.shots) - 1
        self.step.value = min(self.step.value, last)
        self.step.max = last

    def _next_lag(self) -> int:
        """The next step after this one in which somebody is told; the last if there is none."""
        for number in range(self.step.value + 1, len(self.shots)):
            if any(reader.lagged for reader in self.shots[number].readers):
                return number
        return len(self.shots) - 1

    def _go(self, number: int) -> None:
        self.step.value = max(0, min(number, self.step.max))

    def _button(
        self, words: str, press: Callable[[], None], *, wide: bool = False
    ) -> ipywidgets.Button:
        layout = ipywidgets.Layout(width="8rem" if wide else "5rem")
        button = ipywidgets.Button(description=words, layout=layout)
        button.on_click(lambda _: press())
        return button

    def _on_program(self, _: object) -> None:
        self._run()
        self._paint()

    def _paint(self, _: object = None) -> None:
        self._said.value = escape(self.shot.said)
        self._view.value = self.svg()
