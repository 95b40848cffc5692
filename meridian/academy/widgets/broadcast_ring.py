"""Step a real broadcast past a slow subscriber, and see what it loses and when it is told."""

from __future__ import annotations

from meridian.academy.widgets.fanout_runs import RingShot, run_ring
from meridian.academy.widgets.playground import slider
from meridian.academy.widgets.ring_svg import paint_ring
from meridian.academy.widgets.stepper import Stepper

__all__ = ["BroadcastRing"]


class BroadcastRing(Stepper):
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
        self.slow_s = slider("C takes (s)", slow_s, 0.5, 6.0, 0.5)
        self.capacity = slider("capacity", capacity, 1, 12, 1)
        self.shots: list[RingShot] = []
        super().__init__([self.slow_s, self.capacity], jumps={"Next Lagged": self._next_lag})
        for knob in (self.slow_s, self.capacity):
            knob.observe(lambda _: self._run(), "value")
        self._run()
        self.go(self._next_lag() if step is None else step)

    @property
    def shot(self) -> RingShot:
        number: int = self.step.value
        return self.shots[number]

    @property
    def said(self) -> str:
        """What happened in the step before."""
        said: str = self.shot.said
        return said

    def svg(self) -> str:
        """The ring after the chosen step."""
        last = len(self.shots) - 1
        return paint_ring(self.shot, self.step.value, last, batches=self._batches)

    def _run(self) -> None:
        self.shots = run_ring(
            self.slow_s.value, capacity=self.capacity.value, batches=self._batches
        )
        self._load(len(self.shots) - 1)

    def _next_lag(self) -> int:
        """The next step after this one in which somebody is told; the last if there is none."""
        for number in range(self.step.value + 1, len(self.shots)):
            if any(reader.lagged for reader in self.shots[number].readers):
                return number
        return len(self.shots) - 1
