"""Twelve senders at once before one channel: who waits, and what is dropped."""

from __future__ import annotations

import ipywidgets

from meridian.academy.widgets.playground import Playground, Shown, slider
from meridian.academy.widgets.tank_runs import run_tries
from meridian.academy.widgets.tank_svg import paint_tries

__all__ = ["SendOrTry"]


class SendOrTry(Playground):
    """Some senders at once before one channel: with `send` they wait, with `try_send` they drop."""

    def __init__(self, *, tries: int = 12, capacity: int = 8) -> None:
        self.way = ipywidgets.ToggleButtons(
            options=["try_send", "send"],
            value="try_send",
            layout=ipywidgets.Layout(margin="2px 24px 2px 2px"),
        )
        self.tries = slider("tries", tries, 1, 20, 1)
        self.capacity = slider("capacity", capacity, 1, 16, 1)
        self.taken = slider("then the consumer takes", 0, 0, 20, 1)
        super().__init__((self.way, self.tries, self.capacity, self.taken), self._shown)

    def _shown(self) -> Shown:
        run = run_tries(
            self.tries.value, self.capacity.value, self.taken.value, waits=self.way.value == "send"
        )
        names = ("taken", "in the channel", "waiting" if run.waits else "dropped")
        counts = ", ".join(f"{run.states.count(name)} {name}" for name in names)
        words = f"{len(run.states)} times {self.way.value}, capacity {run.capacity}: {counts}"
        return Shown(words, (paint_tries(run),))
