"""Playgrounds of the first lesson on channels: a tank, twelve tries, a clone, and two askers."""

from __future__ import annotations

import statistics

import ipywidgets

from meridian.academy.widgets.ask_runs import ONE_MESSAGE, TWO_MESSAGES, run_asks
from meridian.academy.widgets.ask_svg import paint_asks, paint_clones
from meridian.academy.widgets.base import PicturedBox, escape, picture
from meridian.academy.widgets.clone_runs import CloneRun, run_clones
from meridian.academy.widgets.playground import Playground, Shown, choice, slider
from meridian.academy.widgets.tank_runs import TankRun, run_tank, run_tries
from meridian.academy.widgets.tank_svg import paint_curves, paint_tank, paint_tries

__all__ = ["AskSequence", "ForgottenClone", "SendOrTry", "Tank"]

_SECONDS = 20.0
_STEP_S = 0.1


class Tank(PicturedBox):
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
        steps = round(_SECONDS / _STEP_S)
        self.play = ipywidgets.Play(
            value=round(at_s / _STEP_S), min=0, max=steps, step=1, interval=100
        )
        self.moment = ipywidgets.IntSlider(
            round(at_s / _STEP_S), 0, steps, description="moment", readout=False
        )
        self._link = ipywidgets.link((self.play, "value"), (self.moment, "value"))
        self._said, self._tank, self._curves = (ipywidgets.HTML() for _ in range(3))
        wrap = ipywidgets.Layout(flex_flow="row wrap")
        knobs = ipywidgets.HBox([self.produce, self.consume, self.capacity, self.way], layout=wrap)
        time = ipywidgets.HBox([self.play, self.moment])
        children = [knobs, self._said, time, self._tank, self._curves]
        super().__init__(children, draw=lambda: self._tank.value, alt="")
        self.run: TankRun
        for knob in (self.produce, self.consume, self.capacity, self.way):
            knob.observe(self._run, "value")
        self.moment.observe(self._look, "value")
        self._run()

    def static_html(self) -> str:
        said = tank_words(self.run)
        pictures = (self._tank.value, self._curves.value)
        return f"<p>{escape(said)}</p>" + "<br>".join(picture(svg, said) for svg in pictures)

    def static_text(self) -> str:
        return f"[picture] {tank_words(self.run)}"

    def _run(self, _: object = None) -> None:
        self.run = run_tank(
            self.produce.value,
            self.consume.value,
            self.capacity.value,
            waits=self.way.value == "send waits",
            seconds=_SECONDS,
        )
        self._said.value = escape(tank_words(self.run))
        self._look()

    def _look(self, _: object = None) -> None:
        at_s = self.moment.value * _STEP_S
        self._tank.value = paint_tank(self.run, at_s)
        self._curves.value = paint_curves(self.run, at_s)


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


class ForgottenClone(Playground):
    """A consumer's loop, and who of four has closed its sender."""

    def __init__(self) -> None:
        names = ("main", "uplink 1", "uplink 2", "uplink 3")
        self.closes = tuple(
            ipywidgets.Checkbox(
                name != "main",
                description=f"{name} closes",
                indent=False,
                layout=ipywidgets.Layout(width="9.5rem"),
            )
            for name in names
        )
        super().__init__(self.closes, self._shown)

    def _shown(self) -> Shown:
        run = run_clones([box.value for box in self.closes])
        return Shown(clone_words(run), (paint_clones(run),))


def clone_words(run: CloneRun) -> str:
    """Whether the loop ended, and whose sender kept it waiting."""
    got = f"{len(run.received_s)} frames received"
    if run.ended_s is not None:
        return f"{got}; all senders are closed, and the loop ended at {run.ended_s:.1f} s"
    held = ", ".join(holder.name for holder in run.holders if holder.closed_s is None)
    return f"{got}; after {run.until_s:g} s the loop still waits. Open: the sender of {held}"


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
