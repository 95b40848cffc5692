"""Time against size, on axes where a power is a straight line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.ticker import EngFormatter, LogLocator

from meridian.academy.plots.charts import draw_lines, numbers
from meridian.academy.plots.history import Attempt, with_history
from meridian.academy.plots.theme import Plot

__all__ = ["growth_plot"]


def growth_plot(
    sizes: Sequence[int],
    data: Mapping[str, npt.ArrayLike],
    *,
    xlabel: str = "size",
    ylabel: str = "time per call",
    unit: str = "s",
    title: str = "",
    ci: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]] | None = None,
    slopes: Mapping[str, float] | None = None,
    limit: float | None = None,
    history: Sequence[Attempt] = (),
    width: float = 7.2,
    height: float = 3.6,
) -> Plot:
    """Time against size on log axes; each line's label carries its slope (1 linear, 0 constant).

    Values are in `unit`, shown with its prefix (2 us). `ci` adds intervals, ``{name: (lower,
    upper)}``; `slopes` are exponents that were fitted with more care than here; `limit` the slope
    that is allowed, through the first point of the first line; `history` the slopes of earlier
    attempts at the first line, in a panel below. At least two sizes, all values positive.
    """
    log_sizes = np.log(numbers("sizes", sizes))
    if log_sizes.size < 2:
        raise ValueError(f"Expected at least two sizes, got {log_sizes.size}")
    named, bands, shown = {}, {}, []
    for name, values in data.items():
        y = numbers(name, values)
        if y.size != log_sizes.size or not (y > 0).all():
            raise ValueError(f"Expected {log_sizes.size} positive values for {name!r}")
        fitted = float(np.polyfit(log_sizes, np.log(y), 1)[0])
        shown.append((slopes or {}).get(name, fitted))
        label = f"{name}  (slope {_plain(shown[-1])})"
        named[label] = y
        if ci and name in ci:
            bands[label] = ci[name]
    fig, ax = with_history(
        history,
        now=shown[0] if shown else None,
        asked=limit,
        ylabel="slope",
        word="allowed",
        log=False,
        width=width,
        height=height,
        title=title,
    )
    guides = {}
    if limit is not None:
        steepest = np.exp((log_sizes - log_sizes[0]) * limit) * next(iter(named.values()))[0]
        guides[f"allowed  (slope {_plain(limit)})"] = steepest
    draw_lines(fig, ax, sizes, named, log="xy", bands=bands, guides=guides)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    low, high = ax.get_ylim()
    if high < 10 * low:  # a flat line must look flat: never zoom in on less than a decade
        middle = math.sqrt(low * high)
        low, high = middle / math.sqrt(10), middle * math.sqrt(10)
        ax.set_ylim(low, high)
    steps = (1, 2, 5) if high < 1_000 * low else (1,)
    ax.yaxis.set_major_locator(LogLocator(subs=steps))
    ax.yaxis.set_major_formatter(EngFormatter(unit=unit))
    ax.set_xticks(list(sizes), [f"{size:,}" for size in sizes])
    ax.minorticks_off()
    return fig


def _plain(slope: float) -> str:
    return f"{slope if abs(slope) >= 0.005 else 0:.2f}"
