"""Palette, rc settings, and the figure every plot starts from."""

from __future__ import annotations

import io
import struct
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import matplotlib as mpl
from cycler import cycler
from matplotlib.figure import Figure

from meridian.foundation.profiling.fingerprint import Fingerprint

__all__ = [
    "INK",
    "PALETTE",
    "Plot",
    "Series",
    "figure",
    "note",
    "series",
    "statement",
    "style",
    "use_style",
]

# The grey with equal contrast, 4.3 : 1, on white and on the dark theme's #111111.
INK = "#797979"

# Okabe and Ito's colour-blind safe hues, moved to the same middle lightness: at least 3.8 : 1 on
# both backgrounds. Equal lightness is why every series also has a marker, a hatch and a label.
PALETTE: dict[str, str] = {
    "blue": "#1f7fc4",
    "vermilion": "#d55e00",
    "green": "#0a8f6a",
    "purple": "#b8609a",
    "amber": "#a87400",
    "grey": INK,
}
_MARKERS = ("o", "D", "s", "^", "v", "X")
_HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "----")
_DASHES = ("-", "--", "-.", ":", (0, (8, 2)), (0, (1, 1)))

NOTE_PT = 7.5

_RC: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.prop_cycle": cycler(color=list(PALETTE.values()), linestyle=list(_DASHES)),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "figure.dpi": 96,
    "figure.edgecolor": "none",
    "figure.facecolor": "none",
    "font.size": 9.5,
    "grid.alpha": 0.25,
    "grid.color": INK,
    "grid.linewidth": 0.6,
    "hatch.color": INK,
    "hatch.linewidth": 0.8,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.8,
    "lines.markersize": 6,
    "savefig.edgecolor": "none",
    "savefig.facecolor": "none",
    "svg.hashsalt": "meridian",  # the same figure gives the same file
    "text.color": INK,
    "xtick.color": INK,
    "xtick.labelcolor": INK,
    "ytick.color": INK,
    "ytick.labelcolor": INK,
}


class Plot(Figure):
    """A figure that a notebook shows as its value, whether or not pyplot was ever imported."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.before_draw: list[Callable[[], None]] = []  # run once the layout is settled
        self.note_in = 0.0  # inches at the bottom that belong to the note

    def draw(self, renderer: Any) -> None:
        engine = self.get_layout_engine()
        if self.before_draw and engine is not None:
            engine.execute(self)
        for adjust in self.before_draw:
            adjust()
        super().draw(renderer)

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        png = self.image("png")
        width, height = struct.unpack(">II", png[16:24])  # of the IHDR chunk
        # Shown at two thirds of its pixels, it is sharp on a dense screen and no larger elsewhere.
        return png, {"width": width * 2 // 3, "height": height * 2 // 3}

    def image(self, kind: str) -> bytes:
        """The picture as ``"png"`` or ``"svg"`` bytes; nothing is cut off at the edges."""
        # No dates and no versions inside: the same figure gives the same bytes.
        metadata = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
        buffer = io.BytesIO()
        with style():
            self.savefig(
                buffer, format=kind, dpi=144, metadata=metadata, bbox_inches="tight", pad_inches=0.1
            )
        return buffer.getvalue()


class Series(NamedTuple):
    """How the n-th series looks, in four ways that do not depend on each other."""

    color: str
    marker: str
    hatch: str
    dashes: Any


def series(index: int) -> Series:
    """The look of series `index`; from the seventh on, colours return with other dashes."""
    if index < 0:
        raise ValueError(f"Expected index >= 0, got {index}")
    turn, place = divmod(index, len(PALETTE))
    return Series(
        tuple(PALETTE.values())[place],
        _MARKERS[(place + turn) % len(_MARKERS)],
        _HATCHES[(place + turn) % len(_HATCHES)],
        _DASHES[(place + turn) % len(_DASHES)],
    )


@contextmanager
def style() -> Iterator[None]:
    """Draw in the lab's style inside the block; settings are as before afterwards."""
    with mpl.rc_context(_RC):
        yield


def use_style() -> None:
    """Draw in the lab's style from now on: the first cell of a notebook."""
    mpl.rcParams.update(_RC)


def figure(
    width: float = 7.2,
    height: float = 3.6,
    *,
    title: str = "",
    rows: int = 1,
    cols: int = 1,
    **subplots: Any,
) -> tuple[Plot, Any]:
    """A figure of `width` by `height` inches and its axes: one, or an array when there are more.

    The axes keep the style after the call, so that nothing drawn later turns black. `title` goes
    to the first axes, `subplots` to ``Figure.subplots`` (``sharex=True``).
    """
    with style():
        fig = Plot(figsize=(width, height), layout="constrained")
        axes = fig.subplots(rows, cols, **subplots)
        for ax in fig.axes:
            # Ticks are made when first drawn, by the settings of that moment: fix them now.
            ax.tick_params(which="both", color=INK, labelcolor=INK, labelsize=9)
            ax.grid(True, which="major", color=INK, alpha=0.25, linewidth=0.6)
        fig.axes[0].set_title(title)
    return fig, axes


def note(fig: Plot, text: str) -> None:
    """Put `text` under the plot, wrapped to its width: machine, versions, workload, bias.

    The figure grows by the height of the note, so the plot keeps its size. A second call replaces
    the first note.
    """
    # 0.55 em is the mean advance of DejaVu Sans plus a margin: a line never outgrows the figure.
    columns = max(20, int(fig.get_figwidth() * 72 / (NOTE_PT * 0.55)))
    lines = [
        line
        for paragraph in text.strip().splitlines()
        for line in (textwrap.wrap(paragraph, columns) or [""])
    ]
    note_in = len(lines) * NOTE_PT * 1.45 / 72
    fig.set_figheight(fig.get_figheight() - fig.note_in + note_in)
    fig.note_in = note_in
    fig.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=NOTE_PT, color=INK, linespacing=1.3)


def statement(
    *,
    workload: str,
    bias: str = "",
    versions: Mapping[str, str] | None = None,
    env: Fingerprint | None = None,
) -> str:
    """The text for `note` under a benchmark: what ran, what favours whom, where it was measured."""
    also = "".join(f", {name} {version}" for name, version in (versions or {}).items())
    parts = (
        f"Workload: {workload}",
        bias and f"Bias: {bias}",
        f"Measured on {env or _here()}{also}.",
    )
    return "\n".join(part for part in parts if part)


def _here() -> Fingerprint:
    return Fingerprint.current()
