"""Lines, growth and distributions, labelled beside the data instead of in a legend."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from matplotlib.ticker import EngFormatter, LogLocator

from meridian.academy.plots.theme import INK, Plot, figure, series

__all__ = ["distribution_plot", "growth_plot", "label_ends", "lines"]

_LABEL_PT = 9.0


def lines(
    x: npt.ArrayLike,
    data: Mapping[str, npt.ArrayLike],
    *,
    xlabel: str,
    ylabel: str,
    title: str = "",
    log: Literal["", "x", "y", "xy"] = "",
    bands: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]] | None = None,
    width: float = 7.2,
    height: float = 3.6,
) -> Plot:
    """One line per entry of `data` over `x`, its name at its right end.

    `bands` adds intervals: ``{name: (lower, upper)}``. Missing points are NaN. Raises
    `ValueError` for no data, for lengths that differ and for values a log axis cannot show.
    """
    across = _numbers("x", x)
    if not data or across.size == 0:
        raise ValueError("Expected at least one line of at least one point")
    fig, ax = figure(width, height, title=title)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ends: list[tuple[float, float, str, str]] = []
    for index, (name, values) in enumerate(data.items()):
        y = _numbers(name, values)
        if y.size != across.size:
            raise ValueError(f"Expected {across.size} values for {name!r}, got {y.size}")
        if ("y" in log and np.nanmin(y, initial=math.inf) <= 0) or (
            "x" in log and across.min() <= 0
        ):
            raise ValueError(f"Expected positive values on a log axis in {name!r}")
        look = series(index)
        ax.plot(
            across,
            y,
            color=look.color,
            linestyle=look.dashes,
            marker=look.marker,
            markevery=max(1, across.size // 12),
        )
        if bands and name in bands:
            lower, upper = (_numbers(name, edge) for edge in bands[name])
            ax.fill_between(across, lower, upper, color=look.color, alpha=0.2, linewidth=0)
        seen = np.flatnonzero(np.isfinite(y))
        if seen.size:
            ends.append((float(across[seen[-1]]), float(y[seen[-1]]), name, look.color))
    if "x" in log:
        ax.set_xscale("log")
    if "y" in log:
        ax.set_yscale("log")
    label_ends(fig, ax, ends)
    return fig


def growth_plot(
    sizes: Sequence[int],
    data: Mapping[str, npt.ArrayLike],
    *,
    xlabel: str = "size",
    ylabel: str = "time per call",
    unit: str = "s",
    title: str = "",
    ci: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]] | None = None,
    width: float = 7.2,
    height: float = 3.6,
) -> Plot:
    """Time against size on log axes; each line's label carries its slope (1 linear, 0 constant).

    Values are in `unit`, shown with its prefix (2 us). `ci` adds intervals, ``{name: (lower,
    upper)}``. At least two sizes, all values positive.
    """
    log_sizes = np.log(_numbers("sizes", sizes))
    if log_sizes.size < 2:
        raise ValueError(f"Expected at least two sizes, got {log_sizes.size}")
    named, bands = {}, {}
    for name, values in data.items():
        y = _numbers(name, values)
        if y.size != log_sizes.size or not (y > 0).all():
            raise ValueError(f"Expected {log_sizes.size} positive values for {name!r}")
        label = f"{name}  (slope {np.polyfit(log_sizes, np.log(y), 1)[0]:.2f})"
        named[label] = y
        if ci and name in ci:
            bands[label] = ci[name]
    fig = lines(
        sizes,
        named,
        xlabel=xlabel,
        ylabel=ylabel,
        title=title,
        log="xy",
        bands=bands,
        width=width,
        height=height,
    )
    ax = fig.axes[0]
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


def distribution_plot(
    samples: Mapping[str, npt.ArrayLike],
    *,
    xlabel: str,
    kind: Literal["ecdf", "hist"] = "ecdf",
    title: str = "",
    log: bool = False,
    bins: int = 40,
    width: float = 7.2,
    height: float = 3.6,
) -> Plot:
    """How samples are spread: ``"ecdf"`` (share at or below x) or ``"hist"`` (counts).

    The ECDF hides nothing and needs no bins, so it is the default; ``log=True`` puts x on a log
    axis. The legend states the median of each series.
    """
    arrays = {name: _numbers(name, values) for name, values in samples.items()}
    if not arrays or any(values.size == 0 for values in arrays.values()):
        raise ValueError("Expected at least one series of at least one sample")
    everything = np.concatenate(list(arrays.values()))
    if not np.isfinite(everything).all() or (log and everything.min() <= 0):
        raise ValueError(f"Expected finite{' positive' if log else ''} samples")
    if kind not in ("ecdf", "hist"):
        raise ValueError(f"Expected kind 'ecdf' or 'hist', got {kind!r}")
    fig, ax = figure(width, height)
    ax.set(xlabel=xlabel, ylabel="share of samples" if kind == "ecdf" else "samples")
    ax.set_title(title, pad=26, loc="left", fontsize=11, fontweight="bold", color=INK)
    if log:
        ax.set_xscale("log")
    spaced = np.geomspace if log else np.linspace
    edges = spaced(everything.min(), everything.max(), bins + 1)
    for index, (name, values) in enumerate(arrays.items()):
        look = series(index)
        label = f"{name} (median {np.median(values):.4g})"
        if kind == "ecdf":
            y = np.arange(1, values.size + 1) / values.size
            every = max(1, values.size // 8)
            ax.step(
                np.sort(values),
                y,
                where="post",
                color=look.color,
                linestyle=look.dashes,
                marker=look.marker,
                markevery=every,
                label=label,
            )
        else:
            ax.hist(
                values,
                edges if edges[0] < edges[-1] else bins,
                histtype="stepfilled",
                facecolor="none",
                edgecolor=look.color,
                hatch=look.hatch,
                linewidth=1.6,
                label=label,
            )
    ax.legend(
        loc="lower left",
        bbox_to_anchor=(-0.01, 0.98),
        ncols=len(arrays),
        frameon=False,
        labelcolor=INK,
        fontsize=_LABEL_PT,
    )
    return fig


def label_ends(fig: Plot, ax: Any, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Write each line's name right of its last point, pushed apart so that none overlap.

    `ends` holds (x, y, text, colour). Positions are worked out whenever the figure is drawn,
    because a note or a new limit moves the points.
    """
    right = max((x for x, *_ in ends), default=0.0)
    labels = [
        ax.annotate(
            text,
            (right, y),
            xytext=(14, 0),
            textcoords="offset points",
            va="center",
            ha="left",
            fontsize=_LABEL_PT,
            color=color,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": color, "lw": 0.6, "shrinkA": 1, "shrinkB": 5},
        )
        for _, y, text, color in ends
    ]

    def spread_out() -> None:
        step = _LABEL_PT * 1.3
        points = {label: ax.transData.transform(label.xy)[1] * 72 / fig.dpi for label in labels}
        ordered = sorted(labels, key=points.__getitem__)
        targets: list[float] = []
        for label in ordered:
            targets.append(max(points[label], targets[-1] + step if targets else -math.inf))
        excess = sum(t - points[label] for t, label in zip(targets, ordered, strict=True))
        for label, target in zip(ordered, targets, strict=True):
            label.set_position((14, target - excess / len(targets) - points[label]))

    fig.before_draw.append(spread_out)


def _numbers(name: str, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"Expected a flat list for {name!r}, got {array.ndim} dimensions")
    return array
