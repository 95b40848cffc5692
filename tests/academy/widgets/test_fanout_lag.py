"""One stream through a broadcast and a watch, and its picture."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from meridian.academy.widgets.fanout_lag import FanOutLag
from meridian.academy.widgets.fanout_runs import run_lag
from meridian.academy.widgets.fanout_svg import lag_words, paint_lag


@pytest.mark.parametrize("work_s", [0.5, 1.0, 1.5, 3.0, 8.0])
@pytest.mark.parametrize("capacity", [1, 3, 8, 40])
def test_a_broadcast_accounts_for_every_number_and_a_watch_keeps_the_last(
    work_s: float, capacity: int
) -> None:
    run = run_lag(work_s, capacity=capacity)
    got: list[int] = []
    for look in run.by_broadcast:
        got += [*range(look.number - look.missed, look.number), look.number]
    assert got == list(range(1, 41))
    values = [look.number for look in run.by_watch]
    assert values == sorted(set(values))
    assert values[-1] == 40
    assert run.skipped == 40 - len(values)
    for look in run.by_watch[:-1]:
        assert look.at_s - look.number < 1  # the newest there was


def test_who_keeps_up_loses_nothing_either_way() -> None:
    run = run_lag(0.5)
    assert (run.missed, run.skipped) == (0, 0)
    assert all(look.at_s == look.number for look in (*run.by_broadcast, *run.by_watch))


def test_every_look_and_every_loss_is_drawn() -> None:
    run = run_lag(3.0)
    root = ET.fromstring(paint_lag(run))
    dots = [node for node in root.iter() if node.tag.endswith("circle")]
    assert len(dots) == len(run.by_broadcast) + len(run.by_watch)
    crosses = [node for node in root.iter() if "l5 5m0 -5l-5 5" in node.attrib.get("d", "")]
    assert len(crosses) == run.missed > 0
    assert root.attrib["aria-label"] == "; ".join(lag_words(run))


def test_the_sliders_run_it_anew() -> None:
    panel = FanOutLag()
    before = panel.run
    panel.work_s.value = 0.5
    assert panel.run.missed == 0 < before.missed
    panel.work_s.value = 8.0
    panel.capacity.value = 32
    assert panel.run.capacity == 32
    assert f"{panel.run.missed} missed" in panel.static_text()
    assert panel.static_html().startswith("<img")
