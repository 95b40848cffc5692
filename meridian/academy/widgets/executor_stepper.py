"""Step a real executor through a small program, and see what one forgotten waker does."""

from __future__ import annotations

import ipywidgets

from meridian.academy.widgets.executor_runs import run_program
from meridian.academy.widgets.executor_svg import paint_executor
from meridian.academy.widgets.stepper import Stepper

__all__ = ["ExecutorStepper"]


class ExecutorStepper(Stepper):
    """The run queue and the tasks of a `MiniExecutor`, step by step: back, forward, or to the end.

    The checkbox makes the mailbox between two of the tasks forget its waker; the program is run
    anew, and the same steps show what comes of it.
    """

    def __init__(self, *, forgets: bool = False, step: int = 0) -> None:
        self.forgets = ipywidgets.Checkbox(
            forgets, description="the mailbox forgets the waker", indent=False
        )
        super().__init__([self.forgets], jumps={"Run": lambda: len(self._shots)})
        self.forgets.observe(lambda _: self._run(), "value")
        self._run(step)

    @property
    def said(self) -> str:
        """What happened in the step before."""
        said: str = self._shots[self.step.value].said
        return said

    def svg(self) -> str:
        """The executor after the chosen step."""
        number = self.step.value
        return paint_executor(self._shots[number], number, len(self._shots) - 1)

    def _run(self, at: int | None = None) -> None:
        self._shots = run_program(forgets=self.forgets.value)
        self._load(len(self._shots) - 1, at)
