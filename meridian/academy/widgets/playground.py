"""What widgets with knobs share: controls in a row, a sentence, pictures; run anew at each turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import ipywidgets

from meridian.academy.widgets.base import PicturedBox, captioned, escape, stacked

__all__ = ["Playground", "Shown", "choice", "slider"]


class Shown(NamedTuple):
    """What one run shows: a sentence, and pictures (whole SVG documents) below it.

    Not `aloud`: the pictures say the words themselves, which are their text alternative only.
    """

    words: str
    pictures: tuple[str, ...]
    aloud: bool = True


class Playground(PicturedBox):
    """Controls, and what `run` makes of their values: called at once and after every change.

    A button among the controls runs it again as they stand.
    """

    def __init__(self, controls: Sequence[ipywidgets.Widget], run: Callable[[], Shown]) -> None:
        self._run = run
        self._said = ipywidgets.HTML()
        self._view = ipywidgets.HTML()
        row = ipywidgets.HBox(list(controls), layout=ipywidgets.Layout(flex_flow="row wrap"))
        super().__init__([row, self._said, self._view], draw=self.svg, alt="")
        for control in controls:
            if isinstance(control, ipywidgets.Button):
                control.on_click(self._refresh)
            else:
                control.observe(self._refresh, "value")
        self._refresh()

    def svg(self) -> str:
        """The first picture."""
        return self.shown.pictures[0]

    def static_html(self) -> str:
        words, pictures, aloud = self.shown
        return captioned(escape(words) if aloud else "", pictures, words)

    def static_text(self) -> str:
        return f"[picture] {self.shown.words}"

    def _refresh(self, _: object = None) -> None:
        self.shown = self._run()
        self._said.value = escape(self.shown.words)
        self._said.layout.display = None if self.shown.aloud else "none"
        self._view.value = stacked(self.shown.pictures)


def slider(
    what: str, value: float, least: float, most: float, step: float, *, width: str = "22rem"
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
        layout=ipywidgets.Layout(width=width, margin="2px 24px 2px 2px"),
    )


def choice(
    what: str, options: Sequence[object] | Mapping[str, object], value: object, *, width: str
) -> ipywidgets.Dropdown:
    """A dropdown, as wide as its longest option needs; of a mapping the names are shown."""
    return ipywidgets.Dropdown(
        options=options if isinstance(options, Mapping) else list(options),
        value=value,
        description=what,
        style={"description_width": "initial"},
        layout=ipywidgets.Layout(width=width, margin="2px 24px 2px 2px"),
    )
