"""Lines and distributions, labelled beside the data instead of in a legend."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from meridian.academy.plots.theme import INK, Plot, figure, series

__all__ = ["distribution_plot", "draw_lines", "label_ends", "lines", "numbers"]

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
    fig, ax = figure(width, height, title=title)
    draw_lines(fig, ax, x, data, log=log, bands=bands)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    return fig


def draw_lines(
    fig: Plot,
    ax: Any,
    x: npt.ArrayLike,
    data: Mapping[str, npt.ArrayLike],
    *,
    log: Literal["", "x", "y", "xy"] = "",
    bands: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]] | None = None,
    guides: Mapping[str, npt.ArrayLike] | None = None,
) -> None:
    """What `lines` draws, on axes that are there already; `guides` are dotted and nobody's data."""
    across = numbers("x", x)
    if not data or across.size == 0:
        raise ValueError("Expected at least one line of at least one point")
    ends: list[tuple[float, float, str, str]] = []
    for index, (name, values) in enumerate(data.items()):
        y = numbers(name, values)
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
            lower, upper = (numbers(name, edge) for edge in bands[name])
            ax.fill_between(across, lower, upper, color=look.color, alpha=0.2, linewidth=0)
        seen = np.flatnonzero(np.isfinite(y))
        if seen.size:
            ends.append((float(across[seen[-1]]), float(y[seen[-1]]), name, look.color))
    for name, values in (guides or {}).items():
        y = numbers(name, values)
        ax.plot(across, y, color=INK, linestyle=(0, (2, 3)), linewidth=1.2)
        ends.append((float(across[-1]), float(y[-1]), name, INK))
    if "x" in log:
        ax.set_xscale("log")
    if "y" in log:
        ax.set_yscale("log")
    label_ends(fig, ax, ends)


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
    arrays = {name: numbers(name, values) for name, values in samples.items()}
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


def numbers(name: str, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """`values` as a flat array; `ValueError` for anything else."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"Expected a flat list for {name!r}, got {array.ndim} dimensions")
    return array
