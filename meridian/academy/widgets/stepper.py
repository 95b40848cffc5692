"""What widgets that step through a run share: back, forward, a slider, a sentence, pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import ipywidgets

from meridian.academy.widgets.base import PicturedBox, captioned, escape, stacked

__all__ = ["Stepper"]


class Stepper(PicturedBox):
    """The states of a run that has been recorded, one at a time, as fast as the reader likes.

    A subclass gives its rows of controls, calls `_load` with the number of the last state whenever
    it has recorded another run, and has `said` and `svg` for the state ``step.value``. `jumps` are
    further buttons, each with what it goes to; with `interval_ms` there is a Play button.
    """

    def __init__(
        self,
        *rows: Sequence[ipywidgets.Widget],
        what: str = "step",
        first: int = 0,
        jumps: Mapping[str, Callable[[], int]] | None = None,
        interval_ms: int | None = None,
    ) -> None:
        self.step = ipywidgets.IntSlider(
            first, first, first, description=what, layout=ipywidgets.Layout(width="24rem")
        )
        moves = {
            "Back": lambda: self.step.value - 1,
            "Step": lambda: self.step.value + 1,
            **(jumps or {}),
        }
        self.buttons = {words: self._button(words, target) for words, target in moves.items()}
        line = [*self.buttons.values(), self.step]
        if interval_ms is not None:
            self.play = ipywidgets.Play(
                value=first, min=first, max=first, interval=interval_ms, show_repeat=False
            )
            for trait in ("max", "value"):
                ipywidgets.link((self.play, trait), (self.step, trait))
            line.insert(0, self.play)
        self._said = ipywidgets.HTML()
        self._view = ipywidgets.HTML()
        wrap = ipywidgets.Layout(flex_flow="row wrap")
        children = [ipywidgets.HBox(row, layout=wrap) for row in (*rows, line)]
        super().__init__([*children, self._said, self._view], draw=self.svg, alt="")
        self.step.observe(self._redraw, "value")

    @property
    def said(self) -> str:
        """What happened in the step that led here; empty where the picture says it all."""
        return ""

    def svg(self) -> str:
        """The state after the chosen step."""
        raise NotImplementedError(f"{type(self).__name__} must implement svg()")

    def go(self, number: int) -> None:
        """To this step, or to the nearest there is."""
        self.step.value = max(self.step.min, min(number, self.step.max))

    def static_html(self) -> str:
        return captioned(self._above(), self._pictures(), self._alt_text())

    def static_text(self) -> str:
        return f"[picture] {self._alt_text()}"

    def _load(self, last: int, at: int | None = None) -> None:
        """Go on with states up to `last`: at `at`, or where the reader was, as far as it is there.

        Call it with the new states in place: a slider that moves draws at once.
        """
        self.step.value = min(self.step.value, last)
        self.step.max = last
        if at is not None:
            self.go(at)
        self._redraw()

    def _above(self) -> str:
        """HTML above the pictures."""
        return escape(self.said)

    def _pictures(self) -> Sequence[str]:
        return (self.svg(),)

    def _alt_text(self) -> str:
        return self.said

    def _redraw(self, _: object = None) -> None:
        words = self._above()
        self._said.value = words
        self._said.layout.display = None if words else "none"
        self._view.value = stacked(self._pictures())

    def _button(self, words: str, target: Callable[[], int]) -> ipywidgets.Button:
        width = "5rem" if len(words) < 8 else "8rem"
        button = ipywidgets.Button(description=words, layout=ipywidgets.Layout(width=width))
        button.on_click(lambda _: self.go(target()))
        return button
