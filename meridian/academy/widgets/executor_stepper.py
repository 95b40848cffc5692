"""Step a real executor through a small program, and see what one forgotten waker does."""

from __future__ import annotations

import ipywidgets

from meridian.academy.widgets.base import PicturedBox, escape, picture
from meridian.academy.widgets.executor_runs import run_program
from meridian.academy.widgets.executor_svg import paint_executor

__all__ = ["ExecutorStepper"]


class ExecutorStepper(PicturedBox):
    """The run queue and the tasks of a `MiniExecutor`, step by step: back, forward, or to the end.

    The checkbox makes the mailbox between two of the tasks forget its waker; the program is run
    anew, and the same steps show what comes of it.
    """

    def __init__(self, *, forgets: bool = False, step: int = 0) -> None:
        self._shots = run_program(forgets=forgets)
        last = len(self._shots) - 1
        self.forgets = ipywidgets.Checkbox(
            forgets, description="the mailbox forgets the waker", indent=False
        )
        self.step = ipywidgets.IntSlider(
            min(step, last), 0, last, description="step", layout=ipywidgets.Layout(width="20rem")
        )
        self._said = ipywidgets.HTML()
        self._view = ipywidgets.HTML()
        buttons = [self._button("Back", -1), self._button("Step", +1), self._button("Run", last)]
        rows = [
            ipywidgets.HBox([*buttons, self.step]),
            self.forgets,
            self._said,
            self._view,
        ]
        super().__init__(rows, draw=self.svg, alt="An executor stepping through three tasks")
        self.step.observe(self._on_step, "value")
        self.forgets.observe(self._on_forgets, "value")
        self._on_step()

    @property
    def said(self) -> str:
        """What happened in the step before."""
        said: str = self._shots[self.step.value].said
        return said

    def svg(self) -> str:
        """The executor after the chosen step."""
        number = self.step.value
        return paint_executor(self._shots[number], number, len(self._shots) - 1)

    def static_html(self) -> str:
        return f"{picture(self.svg(), self.said)}<p>{escape(self.said)}</p>"

    def static_text(self) -> str:
        return f"[picture] {self.said}"

    def _button(self, words: str, by: int) -> ipywidgets.Button:
        button = ipywidgets.Button(description=words, layout=ipywidgets.Layout(width="5rem"))

        def press(_: object) -> None:
            self.step.value = max(0, min(self.step.value + by, self.step.max))

        button.on_click(press)
        return button

    def _on_forgets(self, _: object) -> None:
        self._shots = run_program(forgets=self.forgets.value)
        last = len(self._shots) - 1
        self.step.value = min(self.step.value, last)
        self.step.max = last
        self._on_step()

    def _on_step(self, _: object = None) -> None:
        self._said.value = escape(self.said)
        self._view.value = self.svg()
