"""Earlier attempts under a plot of the latest: small points, one an attempt, oldest on the left."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any, NamedTuple

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
) -> tuple[Plot, Any]:
    """A figure of `width` by `height` and its axes, with a panel below when there is a history.

    `now` is the latest value, drawn large at the right; `asked` a line across. The nine latest
    attempts are shown; `ValueError` for values a log axis cannot show.
    """
    if not history or now is None:
        return figure(width, height, title=title)
    fig, (ax, below) = figure(
        width, height + _PANEL_IN, title=title, rows=2, height_ratios=(height, _PANEL_IN)
    )
    _draw(below, list(history)[-_SHOWN:], now, asked, log)
    below.set_ylabel(ylabel)
    return fig, ax


def _draw(ax: Any, attempts: Sequence[Attempt], now: float, asked: float | None, log: bool) -> None:
    look = series(0)
    values = [attempt.value for attempt in attempts]
    if log and min(*values, now) <= 0:
        raise ValueError("Expected positive values on a log axis")
    places = range(len(attempts))
    for place, attempt in enumerate(attempts):
        if attempt.low is not None and attempt.high is not None:
            ax.vlines(place, attempt.low, attempt.high, color=look.color, linewidth=3, alpha=0.4)
    ax.plot([*places, len(attempts)], [*values, now], color=look.color, linewidth=0.9, alpha=0.6)
    ax.plot(places, values, color=look.color, marker="o", markersize=4, linestyle="none")
    ax.plot([len(attempts)], [now], color=look.color, marker="o", markersize=7, linestyle="none")
    if asked is not None:
        ax.axhline(asked, color=INK, linewidth=1.2, linestyle=(0, (2, 3)))
        ax.annotate(
            "asked",
            (1, asked),
            xycoords=ax.get_yaxis_transform(),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
            color=INK,
            annotation_clip=False,
        )
    if log:
        ax.set_yscale("log")
    _limit(ax, [*values, now, *([asked] if asked is not None else [])], log)
    ax.set_xlim(-0.5, len(attempts) + 0.5)
    ax.set_xticks([*places, len(attempts)], [*_labels(attempts), "now"], fontsize=8)
    ax.set_xlabel("earlier attempts, oldest first", fontsize=8.5)
    ax.grid(False, axis="x")


def _limit(ax: Any, values: Sequence[float], log: bool) -> None:
    """Room around the values, never so little that noise looks like progress; few plain ticks."""
    low, high = min(values), max(values)
    if log:
        margin = max((high / low) ** 0.15, 1.15)
        ax.set_ylim(low / margin, high * margin)
        steps = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 1.5, 2, 3, 5, 10, 20, 50, 100, 200, 500)
        ticks = [step for step in steps if low / margin <= step <= high * margin]
        ticks = ticks[:: max(1, len(ticks) // 3)] or [float(f"{now:.2g}") for now in (low, high)]
        ax.set_yticks(ticks, [f"{tick:g}\N{MULTIPLICATION SIGN}" for tick in ticks])
        ax.minorticks_off()
    else:
        margin = max(0.15 * (high - low), 0.05)
        ax.set_ylim(low - margin, high + margin)
        ax.locator_params(axis="y", nbins=4)


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
