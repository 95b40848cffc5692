"""What widgets with knobs share: controls in a row, a sentence, pictures; run anew at each turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import ipywidgets

from meridian.academy.widgets.base import PicturedBox, escape, picture

__all__ = ["Playground", "Shown", "choice", "slider"]


class Shown(NamedTuple):
    """What one run shows: a sentence, and pictures (whole SVG documents) below it."""

    words: str
    pictures: tuple[str, ...]


class Playground(PicturedBox):
    """Controls, and what `run` makes of their values: called at once and after every change."""

    def __init__(self, controls: Sequence[ipywidgets.Widget], run: Callable[[], Shown]) -> None:
        self._run = run
        self._said = ipywidgets.HTML()
        self._view = ipywidgets.HTML()
        row = ipywidgets.HBox(list(controls), layout=ipywidgets.Layout(flex_flow="row wrap"))
        children = [row, self._said, self._view]
        super().__init__(children, draw=lambda: self.shown.pictures[0], alt="")
        for control in controls:
            control.observe(self._refresh, "value")
        self._refresh()

    def static_html(self) -> str:
        pictures = "".join(picture(svg, self.shown.words) for svg in self.shown.pictures)
        return f"<p>{escape(self.shown.words)}</p>{pictures}"

    def static_text(self) -> str:
        return f"[picture] {self.shown.words}"

    def _refresh(self, _: object = None) -> None:
        self.shown = self._run()
        self._said.value = escape(self.shown.words)
        self._view.value = "".join(f"<div>{svg}</div>" for svg in self.shown.pictures)


def slider(
    what: str, value: float, least: float, most: float, step: float
) -> ipywidgets.FloatSlider | ipywidgets.IntSlider:
    """A slider that reports when it is let go; of whole numbers if all of these are."""
    whole = all(isinstance(number, int) for number in (value, least, most, step))
    return (ipywidgets.IntSlider if whole else ipywidgets.FloatSlider)(
        value=value,
        min=least,
        max=most,
        step=step,
        description=what,
        continuous_update=False,
        style={"description_width": "initial"},
        layout=ipywidgets.Layout(width="22rem", margin="2px 24px 2px 2px"),
    )


def choice(what: str, options: Sequence[str], value: str, *, width: str) -> ipywidgets.Dropdown:
    """A dropdown, as wide as its longest option needs."""
    return ipywidgets.Dropdown(
        options=list(options),
        value=value,
        description=what,
        style={"description_width": "initial"},
        layout=ipywidgets.Layout(width=width, margin="2px 24px 2px 2px"),
    )
