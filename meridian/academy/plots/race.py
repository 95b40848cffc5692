"""Who is how many times as fast as whom, with the uncertainty drawn."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from meridian.academy.plots.history import Attempt, with_history
from meridian.academy.plots.theme import INK, Plot, series
from meridian.foundation.profiling.result import BenchmarkResult

__all__ = ["race_plot"]

Row = tuple[str, str]  # workload, peer

_ROW_IN = 0.3
_FINE_TICKS = (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10)
_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)


def race_plot(
    results: Iterable[BenchmarkResult | Mapping[str, Any]],
    *,
    title: str = "",
    width: float = 7.2,
    history: Sequence[Attempt] = (),
) -> Plot:
    """One row per workload and peer, one marker per subject; right of the line is faster.

    Takes `BenchmarkResult`s or the benchmark entries of a grader report. A log axis, so that
    twice as fast and half as fast lie equally far from 1. The bar through a marker is its 95 %
    interval, the open triangle the target. A gap is written out with its reason. A subject is
    named where it shares a row or is not the first one: say in `title` who races. `history` are
    the ratios of earlier attempts at the first result, in a panel below.
    """
    races = [
        r if isinstance(r, BenchmarkResult) else BenchmarkResult.from_entry(r) for r in results
    ]
    if not races:
        raise ValueError("Expected at least one result")
    subjects = list(dict.fromkeys(race.subject for race in races))
    rows: dict[Row, list[BenchmarkResult]] = {}
    for race in sorted(races, key=lambda race: _first(races, race.name)):
        rows.setdefault((race.name, race.peer), []).append(race)
    heights = _heights(rows, len(subjects))
    bottom = max(heights.values()) + 0.4 * (len(subjects) - 1) + 0.7
    fig, ax = with_history(
        history,
        now=races[0].ratio,
        asked=races[0].target,
        bounds=races[0].ci95,
        ylabel=f"vs {races[0].peer}",
        log=True,
        width=width,
        height=1.3 + _ROW_IN * bottom,
    )
    ax.set_xscale("log")
    ax.set_xlim(*_limits(races))
    ax.set_ylim(bottom, -0.7)
    ax.axvline(1, color=INK, linewidth=1.2)
    for row, entries in rows.items():
        for place, race in enumerate(entries):
            offset = (place - (len(entries) - 1) / 2) * 0.8
            named = len(entries) > 1 or race.subject != subjects[0]
            _draw(ax, race, heights[row] + offset, subjects.index(race.subject), named)
    _label_axes(ax, rows, heights)
    ax.set_title(title, pad=20, loc="left", fontsize=11, fontweight="bold", color=INK)
    return fig


def _first(races: list[BenchmarkResult], name: str) -> int:
    return next(i for i, race in enumerate(races) if race.name == name)


def _heights(rows: Mapping[Row, list[BenchmarkResult]], subjects: int) -> dict[Row, float]:
    """Where each row is drawn: rows of one workload close together, workloads apart."""
    heights: dict[Row, float] = {}
    at, previous = 0.0, ""
    for row, entries in rows.items():
        if heights:
            at += 1.0 if row[0] == previous else 1.5
        half = (len(entries) - 1) * 0.4 if subjects > 1 else 0.0
        at += half
        heights[row] = at
        at += half
        previous = row[0]
    return heights


def _limits(races: list[BenchmarkResult]) -> tuple[float, float]:
    """An axis that holds everything, 1 included, and leaves room for the labels on the right."""
    values = [1.0]
    for race in races:
        if race.ratio is not None:
            values += [race.ratio, *(race.ci95 or ())]
            values += [race.target] if race.target else []
    low, high = min(values), max(values)
    span = max(math.log10(high / low), 0.6)
    return low / 10 ** (0.08 * span), high * 10 ** (0.5 * span)


def _draw(ax: Any, race: BenchmarkResult, y: float, subject: int, named: bool) -> None:
    who = f"{race.subject}: " if named else ""
    look = series(subject)
    if race.ratio is None:
        _write(ax, 1.0, y, f"{who}{race.note or 'not measured'}", INK, italic=True)
        return
    lo, hi = race.ci95 or _from_spread(race)
    ax.hlines(y, *sorted((1, race.ratio)), color=look.color, linewidth=1.0, alpha=0.6)
    ax.hlines(y, lo, hi, color=look.color, linewidth=6, alpha=0.45)
    ax.plot([race.ratio], [y], color=look.color, marker=look.marker, linestyle="none")
    label = f"{who}{_times(race.ratio)}"
    if race.target is not None:
        ax.plot([race.target], [y], marker=">", markersize=7, color=INK, fillstyle="none")
        label += f"   target {_times(race.target)} {'met' if race.met else 'missed'}"
    _write(ax, max(1.0, race.ratio, hi, race.target or 0), y, label, look.color)


def _from_spread(race: BenchmarkResult) -> tuple[float, float]:
    """The interval a grader entry implies: its width, split evenly on the log scale."""
    ratio = race.ratio or 1.0
    factor = math.sqrt(1 + (race.spread or 0.0))
    return ratio / factor, ratio * factor


def _write(ax: Any, x: float, y: float, text: str, color: str, *, italic: bool = False) -> None:
    ax.annotate(
        text,
        (x, y),
        xytext=(9, 0),
        textcoords="offset points",
        va="center",
        color=color,
        fontsize=9,
        fontstyle="italic" if italic else "normal",
        annotation_clip=False,
    )


def _label_axes(ax: Any, rows: Mapping[Row, Any], heights: Mapping[Row, float]) -> None:
    labels, previous = [], ""
    for name, peer in rows:
        labels.append(f"vs {peer}" if name == previous else f"{name}   vs {peer}")
        previous = name
    ax.set_yticks([heights[row] for row in rows], labels)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.grid(False, axis="y")
    low, high = ax.get_xlim()
    ticks = [tick for tick in _TICKS if low <= tick <= high]
    if len(ticks) < 4:
        ticks = [tick for tick in _FINE_TICKS if low <= tick <= high]
    while len(ticks) > 9:
        ticks = [tick for tick in ticks if math.log10(tick) % 1 == 0] or ticks[::2]
    ax.set_xticks(ticks, [_times(tick) for tick in ticks])
    ax.minorticks_off()
    ax.set_xlabel("times as fast as the peer (log scale, bar = 95 % interval)")
    top = ax.get_xaxis_transform()
    for text, side in (
        ("\N{LEFTWARDS ARROW} slower", "right"),
        ("faster \N{RIGHTWARDS ARROW}", "left"),
    ):
        ax.annotate(
            text,
            (1, 1),
            xycoords=top,
            xytext=(-6 if side == "right" else 6, 4),
            textcoords="offset points",
            ha=side,
            va="bottom",
            fontsize=8.5,
            color=INK,
        )


def _times(ratio: float) -> str:
    digits = f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.3g}" if ratio >= 1 else f"{ratio:.2g}"
    return f"{digits}\N{MULTIPLICATION SIGN}"
