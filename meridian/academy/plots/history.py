"""Earlier attempts under a plot of the latest: small points, one an attempt, oldest on the left."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.ticker import MaxNLocator

from meridian.academy.plots.theme import INK, Plot, figure, series

__all__ = ["Attempt", "with_history"]

_SHOWN = 9  # and the latest: more dates than ten do not fit side by side
_PANEL_IN = 1.9


class Attempt(NamedTuple):
    """One earlier measurement: when (ISO 8601), what, and its number, 0 for a race on its own."""

    when: str
    value: float
    number: int = 0
    low: float | None = None
    high: float | None = None


def with_history(
    history: Sequence[Attempt],
    *,
    now: float | None,
    asked: float | None,
    ylabel: str,
    log: bool,
    width: float,
    height: float,
    title: str = "",
    word: str = "target",
    bounds: tuple[float, float] | None = None,
) -> tuple[Plot, Any]:
    """A figure of `width` by `height` and its axes, with a panel below when there is a history.

    `now` is the latest value, drawn large at the right between its `bounds`; `asked` a line
    across, called `word`. The nine latest attempts are shown; `ValueError` for values a log axis
    cannot show.
    """
    if not history or now is None:
        return figure(width, height, title=title)
    fig, (ax, below) = figure(
        width, height + _PANEL_IN, title=title, rows=2, height_ratios=(height, _PANEL_IN)
    )
    low, high = bounds or (None, None)
    shown = [*list(history)[-_SHOWN:], Attempt("", now, low=low, high=high)]
    _draw(below, shown, log)
    if asked is not None:
        _line(below, asked, word)
    limits = [x for a in shown for x in (a.value, a.low, a.high) if x is not None]
    _limit(below, limits if asked is None else [*limits, asked], log)
    below.set_ylabel(ylabel)
    return fig, ax


def _draw(ax: Any, attempts: Sequence[Attempt], log: bool) -> None:
    """The last of `attempts` is the latest."""
    look = series(0)
    values = [attempt.value for attempt in attempts]
    if log and min(values) <= 0:
        raise ValueError("Expected positive values on a log axis")
    places = range(len(attempts))
    last = len(attempts) - 1
    for place, attempt in enumerate(attempts):
        if attempt.low is not None and attempt.high is not None:
            ax.vlines(place, attempt.low, attempt.high, color=look.color, linewidth=3, alpha=0.4)
    ax.plot(places, values, color=look.color, linewidth=0.9, alpha=0.6)
    ax.plot(places[:-1], values[:-1], color=look.color, marker="o", markersize=4, linestyle="none")
    ax.plot([last], values[-1:], color=look.color, marker="o", markersize=7, linestyle="none")
    if log:
        ax.set_yscale("log")
    ax.set_xlim(-0.5, last + 0.5)
    ax.set_xticks(places, [*_labels(attempts[:-1]), "now"], fontsize=8)
    ax.set_xlabel("earlier attempts, oldest first", fontsize=8.5)
    ax.grid(False, axis="x")


def _line(ax: Any, asked: float, word: str) -> None:
    ax.axhline(asked, color=INK, linewidth=1.2, linestyle=(0, (2, 3)))
    ax.annotate(
        word,
        (1, asked),
        xycoords=ax.get_yaxis_transform(),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=8.5,
        color=INK,
        annotation_clip=False,
    )


def _limit(ax: Any, values: Sequence[float], log: bool) -> None:
    """Room around the values, never so little that noise looks like progress; few plain ticks."""
    low, high = min(values), max(values)
    if log:
        margin = max((high / low) ** 0.15, 1.15)
        ax.set_ylim(low / margin, high * margin)
        ticks = _ticks(low / margin, high * margin)
        ax.set_yticks(ticks, [f"{tick:g}\N{MULTIPLICATION SIGN}" for tick in ticks])
        ax.minorticks_off()
    else:
        margin = max(0.15 * (high - low), 0.05)
        ax.set_ylim(low - margin, high + margin)
        ax.locator_params(axis="y", nbins=4)


def _ticks(low: float, high: float) -> list[float]:
    """A few round numbers between two, for a log axis: from afar by factors, close up by steps."""
    for steps in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        found = [float(f"{step}e{power}") for power in powers for step in steps]
        found = [tick for tick in found if low <= tick <= high]
        if len(found) >= 3:
            return found[:: math.ceil(len(found) / 5)]
    even = MaxNLocator(4, steps=(1, 2, 5, 10)).tick_values(low, high)
    return [round(float(tick), 6) for tick in even if low <= tick <= high]


def _labels(attempts: Sequence[Attempt]) -> list[str]:
    """``#3`` for a submission, ``race`` for a race on its own, and the day, or the time of day."""
    moments = [_moment(attempt.when) for attempt in attempts]
    days = {moment.date() for moment in moments if moment is not None}
    labels = []
    for attempt, moment in zip(attempts, moments, strict=True):
        if moment is None:
            when = ""
        elif len(days) > 1:
            when = f"{moment.day} {moment:%b}"
        else:
            when = f"{moment:%H:%M}"
        labels.append(f"{f'#{attempt.number}' if attempt.number else 'race'}\n{when}")
    return labels


def _moment(when: str) -> datetime.datetime | None:
    try:
        return datetime.datetime.fromisoformat(when)
    except ValueError:
        return None
