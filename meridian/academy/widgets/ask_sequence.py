"""Tasks that add to a number an actor holds: with one message each, or with two."""

from __future__ import annotations

from meridian.academy.widgets.ask_runs import ONE_MESSAGE, TWO_MESSAGES, run_asks
from meridian.academy.widgets.ask_svg import paint_asks
from meridian.academy.widgets.playground import Playground, Shown, choice, slider

__all__ = ["AskSequence"]


class AskSequence(Playground):
    """Tasks that ask an actor to count, as a sequence of messages."""

    def __init__(self, *, way: str = ONE_MESSAGE) -> None:
        self.askers = slider("tasks", 2, 1, 4, 1)
        self.each = slider("additions each", 2, 1, 3, 1)
        self.work_s = slider("the actor takes (s)", 0.4, 0.1, 1.0, 0.1)
        self.apart_s = slider("tasks start apart (s)", 0.1, 0.0, 1.0, 0.1)
        self.way = choice("adding is", (ONE_MESSAGE, TWO_MESSAGES), way, width="22rem")
        controls = (self.askers, self.each, self.work_s, self.apart_s, self.way)
        super().__init__(controls, self._shown)

    def _shown(self) -> Shown:
        run = run_asks(
            self.askers.value,
            self.each.value,
            self.work_s.value,
            self.apart_s.value,
            self.way.value,
        )
        longest_s = max(ask.replied_s - ask.asked_s for ask in run.asks)
        words = (
            f"{len(run.asks)} messages, one at a time; the longest wait for an answer was "
            f"{longest_s:.1f} s; total {run.total}, wanted {run.wanted}"
        )
        return Shown(words, (paint_asks(run),))
