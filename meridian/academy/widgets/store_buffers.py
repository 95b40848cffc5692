"""Step through a litmus test on a drawn machine with store buffers: who runs, what drains, when."""

from __future__ import annotations

from itertools import pairwise

import ipywidgets

from meridian.academy.widgets.base import PicturedBox, escape, picture
from meridian.academy.widgets.store_buffer_model import CORES, Machine, Move, start
from meridian.academy.widgets.store_buffer_svg import happened, last_step, paint_machine
from meridian.foundation.sync.litmus import LITMUS

__all__ = ["StoreBuffers", "play"]

_ORDERS = {"relaxed, or release and acquire": False, "seq_cst: a store waits until drained": True}
_TESTS = {"SB  store buffering": "SB", "MP  message passing": "MP", "LB  load buffering": "LB"}


def play(test: str, steps: str, *, fenced: bool = False) -> list[Machine]:
    """The machine before the first of `steps` and after each.

    ``A`` lets core A run its next access, ``a`` lets its oldest store reach memory. Raises
    `ValueError` for a step that cannot happen.
    """
    states = [start(test, fenced=fenced)]
    for step in steps:
        if step.upper() not in CORES:
            raise ValueError(f"Expected steps of A to D and a to d, got {step!r} in {steps!r}")
        move = Move(CORES.index(step.upper()), "run" if step.isupper() else "drain")
        states.append(states[-1].after(move))
    return states


class StoreBuffers(PicturedBox):
    """Two cores, two store buffers, one memory; the reader decides, as the hardware, what is next.

    A drawn model (x86-TSO), not a measurement: `LitmusPanel` beside it asks the real machine.
    """

    def __init__(self, test: str = "SB", *, steps: str = "", fenced: bool = False) -> None:
        if test not in _TESTS.values():
            raise ValueError(f"Expected one of {', '.join(_TESTS.values())}, got {test!r}")
        self.states = play(test, steps, fenced=fenced)
        layout = ipywidgets.Layout(width="20rem")
        self.test = ipywidgets.Dropdown(
            options=_TESTS, value=test, description="test", layout=layout
        )
        self.order = ipywidgets.Dropdown(
            options=_ORDERS, value=fenced, description="order", layout=layout
        )
        self.buttons: dict[Move, ipywidgets.Button] = {}
        rows = []
        for core in range(2):
            moves = {
                Move(core, "run"): f"Core {CORES[core]}: run next",
                Move(core, "drain"): f"Core {CORES[core]}: drain one",
            }
            for move, words in moves.items():
                self.buttons[move] = _button(words)
                self.buttons[move].on_click(lambda _, move=move: self.step(move))
            rows.append(ipywidgets.HBox([self.buttons[move] for move in moves]))
        self.undo, self.restart = _button("Undo", "6rem"), _button("Restart", "6rem")
        self.undo.on_click(lambda _: self._go_back(1))
        self.restart.on_click(lambda _: self._go_back(len(self.states) - 1))
        self._view = ipywidgets.HTML()
        self._said = ipywidgets.HTML()
        children = [
            ipywidgets.HBox([self.test, self.order]),
            ipywidgets.HBox([*rows, self.undo, self.restart]),
            self._said,
            self._view,
        ]
        super().__init__(children, draw=self.svg, alt="")
        self.test.observe(self._begin, "value")
        self.order.observe(self._begin, "value")
        self._redraw()

    @property
    def machine(self) -> Machine:
        return self.states[-1]

    @property
    def said(self) -> str:
        return happened(self.machine, LITMUS[self.test.value].weak)

    @property
    def history(self) -> str:
        """All steps so far, numbered."""
        steps = [last_step(before, after) for before, after in pairwise(self.states)]
        return ";  ".join(f"{number}. {step}" for number, step in enumerate(steps, 1))

    def step(self, move: Move) -> None:
        """Let `move` happen, if it can."""
        if move in self.machine.moves():
            self.states.append(self.machine.after(move))
            self._redraw()

    def svg(self) -> str:
        order = "seq_cst" if self.order.value else "no stronger than release and acquire"
        title = f"Model: {self.test.value}, {order}, after {len(self.states) - 1} steps"
        return paint_machine(self.machine, LITMUS[self.test.value].weak, title=title)

    def static_html(self) -> str:
        return picture(self.svg(), self.said)

    def static_text(self) -> str:
        return f"[picture] {self.said}"

    def _begin(self, _: object) -> None:
        self.states = [start(self.test.value, fenced=self.order.value)]
        self._redraw()

    def _go_back(self, steps: int) -> None:
        if 0 < steps < len(self.states):
            del self.states[-steps:]
            self._redraw()

    def _redraw(self) -> None:
        possible = self.machine.moves()
        for move, button in self.buttons.items():
            button.disabled = move not in possible
        self.undo.disabled = self.restart.disabled = len(self.states) == 1
        self._view.value = self.svg()
        self._said.value = escape(self.history)


def _button(words: str, width: str = "9rem") -> ipywidgets.Button:
    return ipywidgets.Button(description=words, layout=ipywidgets.Layout(width=width))
