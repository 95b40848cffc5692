"""What every widget of the course shares: a picture for readers without a kernel, escaping, ink.

A notebook is read far more often than it is run: on a code host, in a mail, in JupyterLab before
the first Shift+Enter. A live widget shows nothing there (JupyterLab even prints "model not
found"), so each of ours puts a static picture into the *same* output bundle:

- `StaticMixin` for a widget class: implement `static_html()`, the rest follows;
- `PicturedBox` to stack ordinary ipywidgets and give the stack a picture;
- `show(widget, svg, alt)` for a widget you did not write.

The picture is an ``<img>`` with the SVG as data URI: JupyterLab does not trust the outputs of a
notebook it has not run itself and would drop inline SVG, scripts and styles, but keeps that.
Draw one SVG for both uses: inline it sees JupyterLab's theme through ``var(--jp-..., fallback)``;
inside ``<img>`` it does not, and the fallbacks, mid-tones readable on black and on white, apply.
The colours below are written that way. `meridian.academy.widgets.saved` keeps dead widget views
out of notebook files, so that the picture is what a reader sees.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import ipywidgets
from IPython.display import display

from meridian.academy.widgets.saved import HTML_MIME, VIEW_MIME

__all__ = [
    "ACCENT",
    "BAD",
    "FAINT",
    "GOOD",
    "HTML_MIME",
    "INK",
    "LINE",
    "MONO",
    "MUTED",
    "PANEL",
    "RUN_HINT",
    "SANS",
    "VIEW_MIME",
    "WARN",
    "PicturedBox",
    "StaticMixin",
    "captioned",
    "escape",
    "picture",
    "show",
    "stacked",
    "svg_document",
]

# Each is a theme colour of JupyterLab with a fallback that is legible on both black and white.
INK = "var(--jp-ui-font-color1, #75797d)"
MUTED = "var(--jp-ui-font-color2, #75797d)"
LINE = "var(--jp-border-color1, #9aa0a6)"
FAINT = "var(--jp-border-color2, #9aa0a666)"
PANEL = "var(--jp-layout-color2, #80868b22)"
ACCENT = "var(--jp-brand-color1, #2f80d0)"
# Never by colour alone: put a word, a mark or a hatch beside these. JupyterLab's light theme has
# a pale orange for WARN: good for marks and edges, too faint for words.
GOOD = "var(--jp-success-color1, #2e8b57)"
WARN = "var(--jp-warn-color1, #b9770e)"
BAD = "var(--jp-error-color1, #d0443c)"
SANS = "var(--jp-ui-font-family, system-ui, sans-serif)"
MONO = "var(--jp-code-font-family, ui-monospace, monospace)"

RUN_HINT = "Saved picture. Run this cell (Shift+Enter) for the live one."

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def escape(text: object) -> str:
    """`text` as inert HTML or SVG text, also inside a quoted attribute.

    Control characters, and those that reverse the direction of writing, become a visible escape
    such as ``\\x00``: a submission may print anything, and none of it may dress up as our words.
    Line feeds and tabs stay.
    """
    shown = _CONTROL.sub(lambda match: repr(match[0])[1:-1], str(text))
    return html.escape(shown, quote=True)


def svg_document(width: float, height: float, body: str, *, title: str) -> str:
    """A complete SVG of `width` x `height` user units around `body`; scales down, never up.

    `title` is what a screen reader says. `body` is SVG source: escape what is not yours.
    """
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" role="img" aria-label="{escape(title)}" '
        f'style="max-width:100%;height:auto" font-family="{SANS}">'
        f"<title>{escape(title)}</title>{body}</svg>"
    )


def picture(svg: str, alt: str) -> str:
    """HTML that shows `svg` (a whole document) as an image, also where outputs are not trusted."""
    if not svg.lstrip().startswith("<svg"):
        raise ValueError(f"Expected an SVG document that starts with <svg, got {svg[:40]!r}")
    data = base64.b64encode(svg.encode()).decode("ascii")
    return f'<img alt="{escape(alt)}" src="data:image/svg+xml;base64,{data}">'


def stacked(pictures: Iterable[str]) -> str:
    """HTML that shows SVG documents live, one below the other."""
    return "".join(f"<div>{svg}</div>" for svg in pictures)


def captioned(caption: str, pictures: Iterable[str], alt: str) -> str:
    """HTML that shows SVG documents as images; `caption` is HTML, and may be empty."""
    images = "<br>".join(picture(svg, alt) for svg in pictures)
    return f"<p>{caption}</p>{images}" if caption else images


class StaticMixin:
    """Gives a widget's output bundle an HTML alternative, because views die with their kernel.

    Mix in before the widget class: ``class Quiz(StaticMixin, anywidget.AnyWidget)``. The picture
    shows the state at the moment of display.
    """

    def static_html(self) -> str:
        """HTML without script or style that stands for the widget where no kernel runs."""
        raise NotImplementedError(f"{type(self).__name__} must implement static_html()")

    def static_text(self) -> str:
        """One line for terminals and diffs."""
        return f"<{type(self).__name__}>"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        live: Any = super()._repr_mimebundle_(**kwargs)  # type: ignore[misc]
        data = live[0] if isinstance(live, tuple) else live
        return {
            **(data or {}),
            HTML_MIME: f"{self.static_html()}<p><em>{RUN_HINT}</em></p>",
            "text/plain": self.static_text(),
        }


class PicturedBox(StaticMixin, ipywidgets.VBox):  # type: ignore[misc]
    """A stack of ordinary widgets with one picture, for drawings driven by sliders and buttons.

    `draw` returns the SVG document for the present state; it is called when the box is displayed.
    Show the same SVG live in an ``ipywidgets.HTML``, so that there is one drawing and not two.
    """

    def __init__(
        self,
        children: Sequence[ipywidgets.Widget],
        *,
        draw: Callable[[], str],
        alt: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(children=tuple(children), **kwargs)
        self._draw = draw
        self._alt = alt

    def static_html(self) -> str:
        return picture(self._draw(), self._alt)

    def static_text(self) -> str:
        return f"[picture] {self._alt}"


def show(widget: ipywidgets.Widget, svg: str, alt: str) -> None:
    """Display `widget`, with `svg` (a whole document) for readers without a kernel.

    Raises `ValueError` when `svg` is not an SVG document.
    """
    display(PicturedBox([widget], draw=lambda: svg, alt=alt))  # type: ignore[no-untyped-call]
