"""The panel of earlier attempts: nothing is cut off, and its axis can be read."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from meridian.academy.plots.history import Attempt, with_history


def panel(*values: float, now: float, **more: Any) -> Any:
    """The panel's axes, drawn; each value has an interval from half to twice of it."""
    attempts = [
        Attempt(f"2026-11-{day:02}T10:00:00+00:00", value, day, value / 2, value * 2)
        for day, value in enumerate(values, 1)
    ]
    facts: dict[str, Any] = {"asked": 1.0, "ylabel": "", "log": True, "width": 7, "height": 2}
    fig, _ = with_history(attempts, now=now, **facts | more)
    fig.image("png")
    return fig.axes[1]


def test_intervals_are_inside_the_panel() -> None:
    low, high = panel(0.4, 0.6, now=1.2, bounds=(0.1, 9.0)).get_ylim()
    assert low < 0.1
    assert high > 9.0


@pytest.mark.parametrize("now", [0.01, 0.5, 1.1, 3.0, 40.0, 900.0])
@pytest.mark.parametrize("before", [0.95, 1.0, 7.0, 300.0])
def test_the_axis_has_a_few_round_numbers_that_do_not_touch(before: float, now: float) -> None:
    ax = panel(before, now=now)
    boxes = [label.get_window_extent() for label in ax.get_yticklabels() if label.get_text()]
    assert 2 <= len(boxes) <= 7
    low, high = ax.get_ylim()
    ticks = [tick for tick in ax.get_yticks() if low <= tick <= high]
    assert len(ticks) == len(boxes)
    for lower, upper in itertools.pairwise(boxes):
        assert lower.y1 <= upper.y0, [label.get_text() for label in ax.get_yticklabels()]


def test_the_line_is_called_what_the_plot_calls_it() -> None:
    words = {text.get_text() for text in panel(0.5, now=0.7, word="allowed").texts}
    assert words == {"allowed"}
