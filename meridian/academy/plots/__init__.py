"""The one plot style of the lab: readable in light and dark themes, and without colour.

Backgrounds are transparent, text and axes a grey that stands out equally on white and on
JupyterLab's dark page. Every series has a marker and a label beside it, so colour is never the
only difference. No pyplot: a figure is an ordinary object that a notebook shows as its value.
"""

from __future__ import annotations

from meridian.academy.plots.charts import distribution_plot, lines
from meridian.academy.plots.growth import growth_plot
from meridian.academy.plots.history import Attempt
from meridian.academy.plots.output import Saved, save
from meridian.academy.plots.race import race_plot
from meridian.academy.plots.theme import (
    INK,
    PALETTE,
    Plot,
    Series,
    figure,
    note,
    series,
    statement,
    style,
    use_style,
)

__all__ = [
    "INK",
    "PALETTE",
    "Attempt",
    "Plot",
    "Saved",
    "Series",
    "distribution_plot",
    "figure",
    "growth_plot",
    "lines",
    "note",
    "race_plot",
    "save",
    "series",
    "statement",
    "style",
    "use_style",
]
